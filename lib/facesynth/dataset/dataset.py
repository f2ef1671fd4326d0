"""A data set: aligned scans, whom they show, and what a generator may learn from them.

`building.build` makes one of a folder of scans or of another source. Its folder holds

    settings.json  what it was made with; other settings are refused
    template.npz   what was aligned with every scan
    scans/*.npz    the scans: geometry, texture, valid pixels, displacement unless it was left out,
                   and a digest of their source's files
    scans.csv      a line for each scan: name, file, subject, expression, and labels if any
    scans.json     how good each scan is, and what is doubtful about it: see `quality`
    failed.csv     the scans that could not be used, and why
    rejected.txt   yours: names, one a line, that `load` leaves out
"""

import csv
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from facesynth.dataset import packing
from facesynth.dataset.sources import DatasetError
from facesynth.files import arrays, tables, texts
from facesynth.template import Template, standard

SETTINGS, TEMPLATE, REJECTED = "settings.json", "template.npz", "rejected.txt"
SCANS, FAILED, QUALITY = "scans.csv", "failed.csv", "scans.json"
COLUMNS = ("name", "file", "subject", "expression")  # of `SCANS`; labels follow
AGAIN = "build the data set again: only missing and damaged files are made"
NEUTRAL = "neutral"  # the expression of a face at rest
Place = tuple[str, int]  # a scan's file, and the scan's number in it


@dataclass(frozen=True, eq=False)
class Dataset:
    """n aligned scans. Geometry, textures and masks are read from their files when asked for.

    template          what was aligned with the scans
    resolution        R, pixels along the side of the images
    names             of the scans, such as ada/smile
    subjects          (n,) numbers in `subject_names`
    expressions       (n,) numbers in `expression_names`, of which the first is "neutral" if a scan
                      shows it
    labels            further columns of the table of scans, (n,) each: what is known of the subject
    failed            name -> reason, of scans that are not there
    quality           name -> what was measured of a scan, if it was: see `quality`
    folder            of the files; None for arrays in memory
    has_displacement  whether there is one: not in data sets of before it was measured
    """

    template: Template
    resolution: int
    names: tuple[str, ...]
    subjects: NDArray[np.intp]
    expressions: NDArray[np.intp]
    subject_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    labels: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    quality: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path | None = None
    has_displacement: bool = False
    _places: tuple[Place, ...] = ()
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        geometry: NDArray[np.floating],
        textures: NDArray[np.uint8],
        valid: NDArray[np.bool_] | None = None,
        *,
        displacement: NDArray[np.floating] | None = None,
        subjects: ArrayLike | None = None,
        expressions: ArrayLike | None = None,
        expression_names: Sequence[str] = (NEUTRAL,),
        template: Template | None = None,
    ) -> "Dataset":
        """A data set of arrays: see the attributes. By default n subjects at rest, all valid.

        Raises `DatasetError` for a displacement that has another shape or is not finite.
        """
        n = len(geometry)
        measured: dict[str, NDArray[Any]] = {}
        if displacement is not None:
            if displacement.shape != textures.shape[:3] or not np.isfinite(displacement).all():
                raise DatasetError(
                    f"displacement has shape {displacement.shape}; expected finite numbers for all "
                    f"pixels of the textures, {textures.shape[:3]}, and 0 where none is known"
                )
            measured["displacement"] = displacement
        numbers = np.arange(n) if subjects is None else np.asarray(subjects, np.intp)
        return cls(
            standard() if template is None else template,
            textures.shape[1],
            tuple(map(str, range(n))),
            numbers,
            np.zeros(n, np.intp) if expressions is None else np.asarray(expressions, np.intp),
            tuple(map(str, range(numbers.max(initial=-1) + 1))),
            tuple(expression_names),
            has_displacement=bool(measured),
            _arrays=measured
            | {
                "geometry": geometry,
                "textures": textures,
                "valid": np.ones(textures.shape[:3], bool) if valid is None else valid,
            },
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def geometry(self) -> NDArray[np.float32]:
        """(n, m, 3) mm. Turned and moved on to the template; true in size. To about 0.02 mm."""

        def of(content: packing.Arrays) -> NDArray[np.float32]:
            return packing.unpack_geometry(content["geometry"].tobytes(), self.template)

        return self._read("geometry", of, self.template.vertices.shape, np.float32)

    @property
    def textures(self) -> NDArray[np.uint8]:
        """(n, R, R, 3) sRGB. Invalid pixels are filled from around them, only to be looked at.

        Raises `DatasetError` where a scan has none.
        """
        bare = [name for name, has in zip(self.names, self.textured, strict=True) if not has]
        if bare:
            raise DatasetError(
                f"{len(bare)} of {len(self)} scans have no texture, the first is {bare[0]}: leave "
                f"them out, by their names in {REJECTED} or with take(faces.textured), or use the "
                "geometry alone"
            )
        shape = self.resolution, self.resolution, 3
        return self._read("textures", packing.textures, shape, np.uint8)

    @property
    def textured(self) -> NDArray[np.bool_]:
        """(n,), True where a scan has a texture."""
        return np.array([self.quality.get(n, {}).get("texture", True) for n in self.names], bool)

    @property
    def doubtful(self) -> dict[str, str]:
        """What is doubtful about scans, by name."""
        found = {name: self.quality.get(name, {}).get("doubtful", ()) for name in self.names}
        return {name: "; ".join(reasons) for name, reasons in found.items() if reasons}

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n, R, R), True where the scan shows the face."""
        R = self.resolution
        of = functools.partial(packing.valid, resolution=R)
        return self._read("valid", of, (R, R), np.bool_)

    @property
    def displacement(self) -> NDArray[np.float32]:
        """(n, R, R) mm from the geometry's surface out to the scan's; 0 where it is not valid.

        Along the normals of `ImageMapping.surface`. Raises `DatasetError` where it was not kept.
        """
        if not self.has_displacement:
            raise DatasetError(
                f"{self.folder or 'the data set'} holds no displacement: it was left out, or is not"
                " measured in older data sets; build it anew in another folder"
            )
        R = self.resolution
        of = functools.partial(packing.displacement, resolution=R)
        return self._read("displacement", of, (R, R), np.float32)

    @property
    def neutral_geometry(self) -> NDArray[np.float32]:
        """(n, m, 3) mm: each scan's subject without expression (Section 9).

        Raises `DatasetError` where a subject has no neutral scan.
        """
        neutral = np.flatnonzero(self.is_neutral)
        at_rest = {int(self.subjects[row]): int(row) for row in neutral}
        self._check_all_at_rest(at_rest)
        return self.geometry[[at_rest[int(subject)] for subject in self.subjects]]

    @property
    def is_neutral(self) -> NDArray[np.bool_]:
        """(n,), True where a scan's expression is neutral."""
        return np.array(self.expression_names)[self.expressions] == NEUTRAL

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the scans: of their files, or of arrays in memory."""
        digest = hashlib.sha256(self.template.digest.encode())
        digest.update(json.dumps(self._places or self.names).encode())
        for file in dict(self._places):
            with self._file(file).open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        if not self._places:
            for name in ("geometry", "textures", "valid", "displacement"):
                if name in self._arrays:
                    digest.update(np.ascontiguousarray(self._arrays[name]).tobytes())
        return digest.hexdigest()[:16]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> "Dataset":
        """Return some of the scans, by a mask (n,) or by numbers."""
        index = np.arange(len(self))[rows]
        return dataclasses.replace(
            self,
            names=tuple(self.names[k] for k in index),
            subjects=self.subjects[index],
            expressions=self.expressions[index],
            labels={name: of[index] for name, of in self.labels.items()},
            _places=tuple(self._places[k] for k in index) if self._places else (),
            _arrays={name: of[index] for name, of in self._arrays.items()},
        )

    def parts(self, size: int = 100) -> "Iterator[Dataset]":
        """The data set in parts of so many scans: more than memory holds can be gone through."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def named(self, names: Sequence[str]) -> "Dataset":
        """The scans of these names; all of them for none. Raises `DatasetError`."""
        if unknown := set(names) - set(self.names):
            raise DatasetError(f"the data set has no scans {sorted(unknown)}")
        return self.take(np.isin(self.names, names)) if names else self

    def _check_all_at_rest(self, at_rest: Iterable[int]) -> None:
        alone = sorted({int(subject) for subject in self.subjects} - set(at_rest))
        if alone:
            raise DatasetError(
                f"{len(alone)} subjects have no neutral scan, the first is "
                f"{self.subject_names[alone[0]]}: reject their scans, or say in a table scans.csv "
                f"beside the scans which ones have the expression {NEUTRAL}"
            )

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return scans_file(self.folder, name)

    def _read(
        self,
        name: str,
        of: Callable[[packing.Arrays], Sequence[NDArray[Any] | None] | NDArray[Any]],
        shape: tuple[int, ...],
        dtype: DTypeLike,
    ) -> NDArray[Any]:
        """Rows of all scans, read once; `of` takes a file's content to the rows of its scans."""
        if name not in self._arrays:
            into = np.empty((len(self), *shape), dtype)
            rows: dict[str, list[tuple[int, int]]] = {}
            for row, (file, k) in enumerate(self._places):
                rows.setdefault(file, []).append((row, k))
            for file, pairs in rows.items():
                path = self._file(file)
                with arrays.readable(path, DatasetError, AGAIN):
                    found = of(arrays.read(path))
                    for row, k in pairs:
                        into[row] = found[k]
            self._arrays[name] = into
        return self._arrays[name]


def load(path: str | os.PathLike[str]) -> Dataset:
    """A data set that `build` has made, without the scans that its rejected.txt names.

    Raises `DatasetError` where there is none, rejected.txt names unknown scans, or a file is in
    an encoding that cannot be told.
    """
    folder = Path(path)
    try:
        settings = json.loads(texts.read(folder / SETTINGS))
        resolution, digest = int(settings["resolution"]), settings["template"]
        failed = {row["name"]: row["reason"] for row in tables.read(folder / FAILED)}
        rows = tables.read(folder / SCANS)
        told = folder / QUALITY
        quality = json.loads(texts.read(told)) if told.exists() else {}
        names, files, subjects, expressions = ([row[key] for row in rows] for key in COLUMNS)
        rejected = set(rejected_names(folder))
    except texts.EncodingError as error:
        raise DatasetError(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DatasetError(
            f"{folder} contains no finished data set ({error!r}); build it, or repeat the command "
            "that was stopped, which resumes"
        ) from error
    template = Template.load(folder / TEMPLATE)
    if template.digest != digest:
        raise DatasetError(
            f"{folder / TEMPLATE} is not the template that this data set was made with; restore "
            "it, or build the data set anew in another folder"
        )
    seen: dict[str, int] = {}
    places = []
    for file in files:
        places.append((file, seen.setdefault(file, 0)))
        seen[file] += 1
    subject_names = tuple(dict.fromkeys(subjects))
    expression_names = tuple(dict.fromkeys([NEUTRAL] * (NEUTRAL in expressions) + expressions))
    whole = Dataset(
        template,
        resolution,
        tuple(names),
        _numbers(subjects, subject_names),
        _numbers(expressions, expression_names),
        subject_names,
        expression_names,
        {key: np.array([r[key] for r in rows]) for key in (rows or [{}])[0] if key not in COLUMNS},
        failed,
        quality,
        folder,
        settings.get("displacement", "none") != "none",
        tuple(places),
    )
    if unknown := rejected - {*names, *failed}:
        raise DatasetError(
            f"{folder / REJECTED} lists names that are not in the data set: {sorted(unknown)}"
        )
    if not rejected:
        return whole
    return whole.take(np.array([name not in rejected for name in names], bool))


def released(n_subjects: int | None = None) -> Dataset:
    """The data set that comes with the package, scans of the book's open population.

    n_subjects : how many of its subjects, in their order; None for all.
    """
    whole = load(folder())
    return whole if n_subjects is None else whole.take(whole.subjects < n_subjects)


def folder() -> Path:
    """Where the package keeps it."""
    with resources.as_file(resources.files("facesynth.data") / "faces") as path:
        return path


def scans_file(folder: Path, name: str) -> Path:
    """Where a data set keeps the file of this name."""
    return folder / "scans" / f"{name}.npz"


def _numbers(of: Iterable[str], names: Sequence[str]) -> NDArray[np.intp]:
    number = {name: k for k, name in enumerate(names)}
    return np.array([number[name] for name in of], np.intp)


def rejected_names(folder: Path) -> list[str]:
    """The names in a data set's rejected.txt; lines that begin with # are comments."""
    path = folder / REJECTED
    lines = [line.strip() for line in texts.read(path).splitlines()] if path.exists() else []
    return [line for line in lines if line and not line.startswith("#")]
