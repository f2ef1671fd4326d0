"""Where a data set's scans come from: a folder of files, or anything else with `Source`'s methods.

A source has parts, the units of work: a folder has its files, the book's open population its
subjects, each scanned in all expressions. What is finished of a part is kept.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from facesynth.files import texts
from facesynth.files.units import GivenUnit
from facesynth.scans import Scan, ScanUnitsError
from facesynth.scans.files import in_mm
from facesynth.scans.formats import READERS, read_with
from facesynth.scans.images import pixels_of
from facesynth.scans.landmark_files import SUFFIXES as LANDMARKS

TABLE = "scans.csv"  # in a folder of scans, if its names do not say who is shown
# bytes that the alignment of a scan takes: in any case, for each pixel of its images and for each
# byte of its file, which may contain images
_BASE, _EACH, _BYTE = 2**29, 12, 12
UNKNOWN = "unknown"  # expression of a scan that lies in no folder of its subject


class DatasetError(ValueError):
    """A data set cannot be made or read; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """What is known of one scan: its name, whom it shows, and how."""

    name: str
    subject: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)  # such as gender or age


class Part(Protocol):
    """Some scans that are made together, by a worker process that gets this object."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """One for each scan."""

    def digest(self) -> str:
        """Tells whether what `scans` yields is still the same."""

    def scans(self) -> Iterable[Scan]:
        """The scans, in the order of the entries."""


class Source(Protocol):
    """Scans by parts, whose names are paths without suffix."""

    def parts(self) -> Mapping[str, Part]:
        """All parts by name, sorted. Raises `DatasetError`."""

    def settings(self) -> dict[str, Any]:
        """What all parts depend on: a data set made with other settings is not completed."""


@dataclass(frozen=True)
class ScanFile:
    """A file with one scan."""

    entries: tuple[Entry, ...]
    path: Path
    unit: GivenUnit | None
    texture: bool

    def digest(self) -> str:
        """SHA-256 of the file and of those that are read with it, and their names."""
        path = self.path
        digest = hashlib.sha256()
        beside = [path.with_suffix(suffix) for suffix in LANDMARKS]
        for file in dict.fromkeys([path, *read_with(path), *beside]):
            if file.is_file():
                with file.open("rb") as content:
                    sha = hashlib.file_digest(content, "sha256").digest()
                digest.update(file.name.encode() + sha)
        return digest.hexdigest()

    def memory(self) -> int:
        """About how many bytes its alignment takes."""
        pixels = sum(pixels_of(file) for file in read_with(self.path))
        return _BASE + _EACH * pixels + _BYTE * self.path.stat().st_size

    def scans(self) -> list[Scan]:
        """The one scan. Raises `ScanError` and `MeshError`."""
        return [Scan.load(self.path, unit=self.unit, texture=self.texture)]


@dataclass(frozen=True)
class Folder:
    """All scans in a folder and the folders in it, but for hidden ones.

    path  of the folder. A table scans.csv in it may have the columns `scan` (path in the folder,
          without suffix), `subject`, `expression` and any labels. What it leaves empty is
          taken from the names: subject and expression are folder and file, as in ada/smile.obj; a
          scan outside of subfolders is a subject of its own, with unknown expression
    unit  of the scans' numbers: see `Scan.load`
    texture  False for the scans' geometry alone

    Of files that differ in their suffix alone, the one counts whose format keeps the most:
    `passed_over` has the others.
    """

    path: Path
    unit: GivenUnit | None = None
    texture: bool = True

    def parts(self) -> dict[str, ScanFile]:
        """The scans' files by their paths without suffix. Raises `DatasetError`."""
        try:
            if self.unit is not None and self.unit != "auto":
                in_mm(self.unit)
        except ScanUnitsError as error:
            raise DatasetError(str(error)) from None
        files, _ = self._found
        told = self._table(set(files))
        return {
            name: ScanFile(
                (_entry(name, told.get(name, {})),), path.absolute(), self.unit, self.texture
            )
            for name, path in files.items()
        }

    def settings(self) -> dict[str, Any]:
        """The unit, and whether there are textures."""
        return {"unit": self.unit, "texture": self.texture}

    @property
    def passed_over(self) -> list[Path]:
        """Files beside others of the same name. Raises `DatasetError`."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[dict[str, Path], list[Path]]:
        return find(Path(self.path))

    def _table(self, names: set[str]) -> dict[str, dict[str, str]]:
        """Rows of the table by scan, if there is one."""
        path, found = Path(self.path) / TABLE, {}
        if not path.exists():
            return {}
        try:
            content = texts.read(path)
        except texts.EncodingError as error:
            raise DatasetError(str(error)) from None
        with io.StringIO(content, newline="") as file:
            rows = csv.DictReader(file, restkey="", restval="")
            if "scan" not in (rows.fieldnames or ()):
                raise DatasetError(f"{path} needs a column `scan`, has {rows.fieldnames}")
            for number, row in enumerate(rows, 2):
                name = row.pop("scan").strip()
                known = name if name in names else os.path.splitext(name)[0]
                if known not in names or known in found:
                    problem = "is listed twice" if known in found else "is not a scan in the folder"
                    raise DatasetError(f"{path}, line {number}: {name!r} {problem}")
                if "" in row:
                    raise DatasetError(f"{path}, line {number} has more values than the header")
                found[known] = {key: value.strip() for key, value in row.items()}
        return found


def _entry(name: str, told: dict[str, str]) -> Entry:
    *above, stem = name.split("/")
    subject, expression = ("/".join(above), stem) if above else (stem, UNKNOWN)
    labels = {k: v for k, v in told.items() if k not in ("subject", "expression")}
    return Entry(name, told.get("subject") or subject, told.get("expression") or expression, labels)


def find(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The scans in a folder and the folders in it, by name, sorted; and other files of their names.

    Links are followed; what is hidden, is not looked at. Raises `DatasetError`.
    """
    kinds = ", ".join(READERS)
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not a folder; give the one that contains the scans ({kinds})"
        )
    files: list[Path] = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link to a folder that contains it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(root, name) for name in names if not name.startswith(".")]
    rank = {suffix: k for k, suffix in enumerate(READERS)}
    scans = [file for file in files if file.suffix.lower() in rank and file.is_file()]
    found: dict[str, Path] = {}
    passed_over = []
    for path in sorted(scans, key=lambda path: (rank[path.suffix.lower()], path)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            passed_over.append(path)
        found.setdefault(name, path)
    if not found:
        raise DatasetError(f"no scans ({kinds}) in {folder} or its subfolders")
    return dict(sorted(found.items())), passed_over
