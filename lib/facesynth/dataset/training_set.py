"""The training set of Sections 7.1 and 8: subjects in all expressions, scanned and aligned.

Each subject of a population makes each of its expressions before the virtual scanner, and each scan
goes the way of a real one: landmarks, alignment, canonical image and mask. That takes seconds a
scan, so the result is small enough to be passed on: files of a few subjects each, in which

    textures  are WebP images of high quality,
    valid     are bits, and
    geometry  is high-pass quantised (Sorkine, Cohen-Or and Toledo 2003): what a vertex's deviation
              from the template differs from its neighbours' mean, in steps of 0.03 mm, and some
              vertices' deviations themselves. Smooth deviations give small numbers, and what
              rounding does to them is smooth, too: some 0.02 mm that nobody sees in a render.
"""

import functools
import io
import json
import lzma
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import SuperLU
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from facesynth.dataset import aligned_scan
from facesynth.files.atomic import write_whole
from facesynth.mapping.image_mapping import check_resolution
from facesynth.scans import Scan
from facesynth.surface.mesh import factorize, graph_laplacian
from facesynth.template import standard

SUBJECTS_A_FILE = 5
EXPRESSIONS = ("neutral", "smile", "surprise", "sadness", "anger")  # of each subject, in this order
STEP = 0.03  # mm, of the differences from the neighbours and of the vertices that are kept
KEPT_EVERY = 20  # vertices
QUALITY = 95  # of WebP, of 100


Scans = Callable[[int, int, int], Iterator[Scan]]


class TrainingSetError(ValueError):
    """A training set that cannot be made or read."""


@dataclass(frozen=True)
class TrainingSet:
    """n aligned scans, ordered by subject and expression."""

    subjects: NDArray[np.intp]  # (n,) numbers in the population
    expressions: NDArray[np.intp]  # (n,) numbers in `EXPRESSIONS`
    geometry: NDArray[np.float32]  # (n, m, 3) mm, moved rigidly onto the template
    textures: NDArray[np.uint8]  # (n, R, R, 3) sRGB; invalid pixels are filled from around them
    valid: NDArray[np.bool_]  # (n, R, R), True where the scan shows the face

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def neutral_geometry(self) -> NDArray[np.float32]:
        """(n, m, 3) mm: each scan's subject without expression (Section 9).

        Raises `TrainingSetError` where a subject has no neutral scan.
        """
        neutral = {int(self.subjects[row]): row for row in np.flatnonzero(self.expressions == 0)}
        alone = sorted({int(subject) for subject in self.subjects} - set(neutral))
        if alone:
            raise TrainingSetError(
                f"{len(alone)} subjects have no neutral scan, the first is {alone[0]}: leave them "
                "out"
            )
        where = [neutral[int(subject)] for subject in self.subjects]
        return self.geometry[where]

    def take(self, rows: NDArray[np.bool_]) -> "TrainingSet":
        """Return some of the scans, by a mask (n,)."""
        return TrainingSet(*(getattr(self, field.name)[rows] for field in fields(self)))


def build(
    n_subjects: int,
    seed: int,
    folder: str | os.PathLike[str],
    scans: Scans,
    *,
    sources: tuple[str, ...] = (),
    resolution: int = 256,
    n_jobs: int = -1,
    progress: bool = True,
) -> TrainingSet:
    """Scan and align the first subjects of a population in all expressions, and keep the result.

    n_subjects  a multiple of 5
    seed        of the population and the scanner
    folder      of the files, made if need be. What is there is not made again
    scans       yields a subject's scans in all `EXPRESSIONS`, from the seed, its number and the
                resolution: `virtual_scanner.open_world.scans` does
    sources     patterns of the package's files that the scans depend on
    resolution  R, pixels along the side of the images
    n_jobs      worker processes, as in joblib (-1: one for each core)
    progress    whether to show a bar

    Raises `TrainingSetError` for an impossible number of subjects or a folder with files of other
    settings or that other code has made, `MeshError` for an impossible resolution and
    `WriteError` for a full disk.
    """
    if n_subjects < 1 or n_subjects % SUBJECTS_A_FILE:
        raise TrainingSetError(
            f"{n_subjects} subjects do not fill files of {SUBJECTS_A_FILE}: ask for a multiple"
        )
    folder, resolution = Path(folder), check_resolution(resolution)
    blocks = range(0, n_subjects, SUBJECTS_A_FILE)
    missing = [first for first in blocks if not _file(folder, first).exists()]
    made_by = aligned_scan.made_by(sources)
    kept = sorted(set(blocks) - set(missing)) if missing else []
    for first in kept:
        if _settings(_file(folder, first)).get("code") != made_by["code"]:
            raise TrainingSetError(
                f"{_file(folder, first)} was made by other code than this, so that the rest would "
                "not go with it; choose another folder, or remove the files to make all anew"
            )
    made = joblib.Parallel(n_jobs, return_as="generator_unordered")(
        joblib.delayed(_make)(_file(folder, first), seed, first, resolution, scans, made_by)
        for first in missing
    )
    done = len(blocks) - len(missing)
    with tqdm(total=len(blocks), initial=done, desc="training set", disable=not progress) as bar:
        for _ in made:
            bar.update()
    return load(folder, n_subjects, seed=seed, resolution=resolution)


def load(
    folder: str | os.PathLike[str],
    n_subjects: int | None = None,
    *,
    seed: int | None = None,
    resolution: int | None = None,
) -> TrainingSet:
    """Read what `build` has made, of all its subjects or of the first: some 40 scans a second.

    Raises `TrainingSetError` where files are missing, damaged, or of another seed or resolution
    than asked for.
    """
    paths = sorted(Path(folder).glob("[0-9]*.npz"))
    if n_subjects is not None:
        paths = [_file(Path(folder), first) for first in range(0, n_subjects, SUBJECTS_A_FILE)]
    if not paths:
        raise TrainingSetError(f"{folder} holds no training set: build one")
    parts = []
    for path in paths:
        settings, part = _read(path)
        for key, asked in (("seed", seed), ("resolution", resolution)):
            if asked is not None and settings.get(key) != asked:
                raise TrainingSetError(
                    f"{path} is of {key} {settings.get(key)}, not {asked}: choose another folder"
                )
        parts.append(part)
    if len({part.textures.shape[1:] for part in parts}) > 1:
        raise TrainingSetError(f"{folder} mixes images of several sizes: build it anew")
    whole = _joined(parts)
    return whole if n_subjects is None else whole.take(whole.subjects < n_subjects)


def released(n_subjects: int | None = None) -> TrainingSet:
    """Read the training set that comes with the package, of all its subjects or of the first."""
    return load(folder(), n_subjects)


def folder() -> Path:
    """Where the package keeps its training set."""
    with resources.as_file(resources.files("facesynth.data") / "faces") as path:
        return path


def released_subjects(subjects: Collection[int]) -> TrainingSet:
    """Read the scans of some subjects of the training set that comes with the package.

    Raises `TrainingSetError` where one is not in it.
    """
    blocks = sorted({subject // SUBJECTS_A_FILE * SUBJECTS_A_FILE for subject in subjects})
    whole = _joined([_read(_file(folder(), first))[1] for first in blocks])
    return whole.take(np.isin(whole.subjects, list(subjects)))


def pack_geometry(geometry: NDArray[np.floating]) -> bytes:
    """Compress faces (n, m, 3) mm in the template's topology."""
    deviation = np.moveaxis(geometry - standard().vertices, 0, 1)  # (m, n, 3)
    differences, kept, _ = _operators()
    flat = deviation.reshape(len(deviation), -1)
    steps = np.concatenate([differences @ flat, kept @ flat]) / STEP
    return lzma.compress(np.round(steps).T.astype("<i2").tobytes(), preset=9)


def unpack_geometry(packed: bytes) -> NDArray[np.float32]:
    """Faces (n, m, 3) mm from what `pack_geometry` made of them, to about 0.02 mm.

    The deviations whose differences and kept vertices come closest to the rounded ones.
    """
    differences, kept, normal = _operators()
    m = differences.shape[0]
    rows = np.frombuffer(lzma.decompress(packed), "<i2").reshape(-1, m + kept.shape[0])
    steps = STEP * rows.T.astype(np.float64)
    flat = normal.solve(differences.T @ steps[:m] + kept.T @ steps[m:])
    deviation = np.moveaxis(flat.reshape(m, -1, 3), 1, 0)
    return (standard().vertices + deviation).astype(np.float32)


@functools.cache
def _operators() -> tuple[csr_array, csr_array, SuperLU]:
    """Vertex minus mean of its neighbours, the vertices that are kept, and the normal equations."""
    laplacian = graph_laplacian(standard().faces)
    m = laplacian.shape[0]
    differences = csr_array(diags_array(1 / laplacian.diagonal()) @ laplacian)
    kept = csr_array(eye_array(m, format="csr")[::KEPT_EVERY])
    return differences, kept, factorize(differences.T @ differences + kept.T @ kept)


def _joined(parts: list[TrainingSet]) -> TrainingSet:
    gathered = [[getattr(part, field.name) for part in parts] for field in fields(TrainingSet)]
    return TrainingSet(*map(np.concatenate, gathered))


def _file(folder: Path, first: int) -> Path:
    return folder / f"{first:04d}.npz"


def _make(
    path: Path, seed: int, first: int, resolution: int, scans: Scans, made_by: dict[str, str]
) -> None:
    """Scan and align the subjects of one file."""
    with threadpool_limits(1):  # more would change the last bits, and workers share the cores
        arrays = [
            aligned_scan.align(scan, aligned_scan.mapping(resolution))
            for subject in range(first, first + SUBJECTS_A_FILE)
            for scan in scans(seed, subject, resolution)
        ]
        packed = pack_geometry(np.stack([a["geometry"] for a in arrays]))
    images = [_webp(a["texture"]) for a in arrays]
    settings = {"seed": seed, "resolution": resolution, **made_by}
    content = {
        "settings": np.array(json.dumps(settings)),
        "first": np.array(first),
        "geometry": np.frombuffer(packed, np.uint8),
        "textures": np.frombuffer(b"".join(images), np.uint8),
        "ends": np.cumsum([len(image) for image in images]),
        "valid": np.packbits([a["valid"] for a in arrays]),
    }
    write_whole(path, lambda file: np.savez_compressed(file, **content))  # type: ignore[arg-type]


def _webp(image: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "WEBP", quality=QUALITY, method=6)
    return content.getvalue()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name a file that a reader stumbles over, whatever it is that it raises."""
    try:
        yield
    except Exception as error:
        raise TrainingSetError(
            f"{path} is missing or damaged ({error!r}); remove it and build the training set again"
        ) from error


def _settings(path: Path) -> dict[str, object]:
    """What one file was made with, without its scans."""
    with _readable(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(json.loads(str(arrays["settings"])))


def _read(path: Path) -> tuple[dict[str, object], TrainingSet]:
    """Settings and scans of one file."""
    with _readable(path):
        content = aligned_scan.read(path)
        settings = json.loads(str(content["settings"]))
        images = np.split(content["textures"], content["ends"][:-1])
        textures = np.stack([np.asarray(Image.open(io.BytesIO(i.tobytes()))) for i in images])
        valid = np.unpackbits(content["valid"], count=textures[..., 0].size)
        n_expressions = len(EXPRESSIONS)
        n = np.arange(len(images))
        return settings, TrainingSet(
            subjects=int(content["first"]) + n // n_expressions,
            expressions=n % n_expressions,
            geometry=unpack_geometry(content["geometry"].tobytes()),
            textures=textures,
            valid=valid.reshape(textures.shape[:3]).astype(bool),
        )
