"""Photographs, scans and shapes of real people, downloaded on demand: the project contains none.

`real_data.csv` lists every file with its SHA-256 and its public address. The hash ensures that a
file is the one that the book's figures were made with, whether it comes from the address, the
user's cache, or the folder given by the environment variable `FACESYNTH_DATA`.
`data/README.md` documents the authors of the data, the people shown, and the permitted use.
"""

import csv
import hashlib
import math
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import platformdirs
from PIL import Image
from tqdm import tqdm

from facesynth.scans.parts import Photograph
from facesynth.scans.wavefront import read_obj
from facesynth.surface.mesh import FloatArray

FOLDER = "FACESYNTH_DATA"  # the environment variable: a folder laid out as `real_data.csv` says
LIGHT_STAGE_FACE = 9409  # the first vertices of a head of the light stage are its face
_EYEBALLS = slice(21451, 24591)
_CENTIMETRE = 10.0  # mm
_SUFFIX = {"neutral": "03", "smiling": "08"}  # the London set's numbers of an expression


class DataUnavailableError(OSError):
    """A file is not in the user's folder or the cache, and cannot be downloaded."""


class DamagedDataError(DataUnavailableError):
    """A file does not match its registered hash."""


@dataclass(frozen=True)
class Portrait:
    """One person of the Face Research Lab London Set, seen from the front."""

    id: str
    age: float  # years, NaN if unknown
    gender: str
    ethnicity: str
    path: Path
    landmarks: FloatArray | None  # (189, 2) column and row in pixels; None for smiling portraits

    def read(self) -> Photograph:
        """The photograph (h, w, 3), sRGB."""
        with Image.open(self.path) as image:
            return np.asarray(image.convert("RGB"))


def james() -> Path:
    """The scan of a head, james.obj, with its texture and landmarks beside it (3 MB).

    Raises `DataUnavailableError` and `DamagedDataError`.
    """
    beside = {path.suffix: path for path in fetch("james/")}
    return beside[".obj"]


def london(kind: Literal["neutral", "smiling"] = "neutral") -> list[Portrait]:
    """The 102 portraits of the Face Research Lab London Set, neutral (38 MB) or smiling (55 MB).

    Raises `DataUnavailableError` and `DamagedDataError`, and ValueError for another kind.
    """
    if kind not in _SUFFIX:
        raise ValueError(
            f"unknown kind {kind!r}; the London set has {' and '.join(_SUFFIX)} portraits"
        )
    (table,) = fetch("london/london_info.csv")
    paths = {path.name: path for path in fetch(f"london/{kind}_front/")}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [_portrait(row, f"{row['face_id']}_{_SUFFIX[kind]}", paths) for row in rows]


def face_shape_scores() -> FloatArray:
    """Scores (2729, 13) of people on the principal components of their faces' shape, without size.

    Of T. Zarzar's "GeometricMorphometrics" (0.5 MB), published without a licence: for aggregates
    only. Raises `DataUnavailableError` and `DamagedDataError`.
    """
    (path,) = fetch("face_shape_scores/scores.csv")
    return np.loadtxt(path, delimiter=",")


def light_stage() -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Faces of the light stage: mean (m, 3) mm, 24 modes (24, m, 3) mm, triangles (f, 3).

    The leading modes of identity of ICT FaceKit Light (Li et al. 2020; MIT; 64 MB), principal
    components of scans, each scaled to one standard deviation. After the `LIGHT_STAGE_FACE`
    vertices of the face come the eyeballs. Raises `DataUnavailableError` and `DamagedDataError`.
    """
    fetched = {path.stem: path for path in fetch("ict/")}
    neutral = read_obj(fetched.pop("generic_neutral_mesh"))
    kept = np.r_[:LIGHT_STAGE_FACE, _EYEBALLS]
    mean = neutral.vertices[kept]
    heads = [read_obj(fetched[name]).vertices[kept] for name in sorted(fetched)]
    place = np.full(len(neutral.vertices), -1)
    place[kept] = np.arange(len(kept))
    faces = place[neutral.faces]
    faces = faces[(faces >= 0).all(axis=1)]
    return _CENTIMETRE * mean, _CENTIMETRE * (np.array(heads) - mean), faces


def fetch(prefix: str) -> list[Path]:
    """Paths of the registered files that begin with a prefix, downloaded where need be.

    Raises `DataUnavailableError`, `DamagedDataError`, and ValueError for an unknown prefix.
    """
    wanted = {name: entry for name, entry in _registry().items() if name.startswith(prefix)}
    if not wanted:
        raise ValueError(f"no file {prefix!r} is registered; see real_data.csv")
    if own := os.environ.get(FOLDER):
        return [_own(Path(own), name, sha256) for name, (sha256, _) in wanted.items()]
    cache = _cache()

    import pooch  # its import of a progress bar warns in a notebook, where none is wanted

    store = pooch.create(
        path=cache,
        base_url="",
        registry={name: sha256 for name, (sha256, _) in wanted.items()},
        urls={name: url for name, (_, url) in wanted.items()},
    )
    missing = sum(not (cache / name).exists() for name in wanted)
    bar = tqdm(wanted, unit="file", desc=prefix.strip("/"), disable=missing == 0)
    with bar:  # or, if it is not closed where a file fails, it is drawn again later
        return [_fetched(store, name) for name in bar]


def at_hand() -> list[str]:
    """The registered files that need no download: what a chapter can show without a network."""
    own = os.environ.get(FOLDER)
    folder = Path(own) if own else _cache()
    return [name for name in _registry() if (folder / name).exists()]


def landmarks_189(path: Path) -> FloatArray:
    """Points (n, 2), column and row in pixels, of a WebMorph template (.tem).

    The file holds the number of points, then one point a line, then what lines connect them.
    Raises `DamagedDataError`.
    """
    lines = path.read_text().splitlines()
    try:
        count = int(lines[0])
        points = np.array([line.split() for line in lines[1 : count + 1]], dtype=np.float64)
    except (ValueError, IndexError) as error:
        raise DamagedDataError(f"{path} is not a WebMorph template: {error}") from error
    if points.shape != (count, 2):
        raise DamagedDataError(f"{path} announces {count} points but contains {len(points)}")
    return points


def _portrait(row: dict[str, str], stem: str, paths: dict[str, Path]) -> Portrait:
    points = paths.get(f"{stem}.tem")
    return Portrait(
        id=row["face_id"],
        age=float(row["face_age"]) if row["face_age"].isdigit() else math.nan,
        gender=row["face_gender"],
        ethnicity=row["face_eth"],
        path=paths[f"{stem}.jpg"],
        landmarks=None if points is None else landmarks_189(points),
    )


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("facesynth")) / "real_data"


def _registry() -> dict[str, tuple[str, str]]:
    """SHA-256 and address of every file, by its path."""
    text = (resources.files("facesynth.people") / "real_data.csv").read_text()
    return {row["path"]: (row["sha256"], row["url"]) for row in csv.DictReader(text.splitlines())}


def _own(folder: Path, name: str, sha256: str) -> Path:
    """A file of the user's own folder, which is only read."""
    path = folder / name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataUnavailableError(
            f"cannot read {path}: {error.strerror}; {FOLDER} is {folder}. Put the file there, "
            f"or unset {FOLDER} to have it downloaded"
        ) from error
    if found != sha256:
        raise DamagedDataError(
            f"{path} has SHA-256 {found[:12]}..., not {sha256[:12]}...; replace it by the "
            f"unmodified file from {_registry()[name][1]}"
        )
    return path


def _fetched(store: Any, name: str) -> Path:
    """A file of the cache, downloaded first if it is missing or its hash differs."""
    try:
        return Path(store.fetch(name))
    except ValueError as error:  # pooch's word for a download whose hash differs
        raise DamagedDataError(
            f"{store.get_url(name)} does not deliver the registered file; set {FOLDER} to a folder "
            "that contains the unmodified file"
        ) from error
    except OSError as error:
        raise DataUnavailableError(
            f"{name} is not in {store.path}, and {store.get_url(name)} cannot be reached: {error}. "
            f"Connect to the network and run again, or set {FOLDER} to a folder that contains it"
        ) from error
