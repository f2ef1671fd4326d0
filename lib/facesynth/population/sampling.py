"""Drawing a population: in parallel, cached, resumable, and the same whatever the workers."""

import functools
import hashlib
import importlib.metadata
import os
import random
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
import platformdirs
from tqdm import tqdm

from facesynth.files import arrays
from facesynth.files.atomic import WriteError, write_whole
from facesynth.files.integers import check_jobs, checked_seed
from facesynth.population.appearance import sample_appearance
from facesynth.population.expression import sample_expressions
from facesynth.population.head import head, on_face
from facesynth.population.identity import ANCESTRIES, GENDERS, Identities, sample_faces
from facesynth.population.photometry import Photometry, Subject, check_resolution
from facesynth.rendering import colour
from facesynth.surface.mesh import FloatArray
from facesynth.template import standard

CHUNK = 30  # subjects in a file of the cache
LABELS = np.dtype([("gender", "U6"), ("ancestry", "U9"), ("age", "f4")])
Arrays = dict[str, npt.NDArray[np.generic]]


class CacheError(OSError):
    """The population's cache could not be written."""


@dataclass(frozen=True)
class Population:
    """n subjects. Images are sRGB as in a file; `rendering.colour` makes them linear."""

    geometry: npt.NDArray[np.float32]  # (n, m, 3) mm, neutral, moved rigidly onto the template
    labels: npt.NDArray[np.void]  # (n,) fields gender, ancestry, age (years)
    textures: npt.NDArray[np.uint8] | None  # (n, R, R, 3) sRGB, of the neutral faces
    expressions: npt.NDArray[np.float32] | None  # (n, e, m, 3) mm, as `EXPRESSIONS` orders them
    amplitudes: npt.NDArray[np.float32] | None  # (n, e) of the expressions, 0 for neutral
    relief: npt.NDArray[np.float16] | None = None  # (n, R, R) mm outwards, finer than the geometry

    def __len__(self) -> int:
        return len(self.geometry)


def sample(
    n: int,
    seed: int = 0,
    *,
    resolution: int | None = None,
    expressions: bool = False,
    relief: bool = False,
    whole: bool = False,
    n_jobs: int = -1,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Population:
    """Draw n subjects.

    Subject i depends on the seed and on i only: neither on n nor on the number of workers.

    n            subjects; each six of them hold both genders and the three ancestries evenly
    seed         non-negative
    resolution   pixels along the side of the textures, 64 to 1024; None for geometry alone
    expressions  whether to make the expressions of `EXPRESSIONS` too
    relief       whether to keep the relief that the textures were shaded with, too
    whole        whether to give whole heads, in the topology and the canonical image of `head()`;
                 by default faces, in those of the standard template
    n_jobs       worker processes, as in joblib (-1: one for each core)
    cache        folder of finished subjects; by default `FACESYNTH_CACHE` or the user's cache. A
                 run that was stopped resumes. The code that made a file is part of its
                 name, so a changed recipe never meets old faces.
    progress     whether to show a bar

    Raises ValueError for a negative n or seed or an impossible resolution, `SeedError`, `JobsError`
    and CacheError, when the cache cannot be written (a full disk, say): what was finished stays.
    """
    seed = checked_seed(seed)
    check_jobs(n_jobs)
    if resolution is not None:
        check_resolution(resolution)
    if relief and resolution is None:
        raise ValueError("relief is an image, as textures are: it needs a resolution")
    if n < 0 or seed < 0:
        raise ValueError(f"n and seed must not be negative, got n={n}, seed={seed}")
    folder = _folder(cache) / _key(seed, resolution, expressions, relief, whole)
    chunks = [
        _Chunk(folder, first, min(CHUNK, n - first), seed, resolution, expressions, relief, whole)
        for first in range(0, n, CHUNK)
    ]
    missing = [chunk for chunk in chunks if not chunk.path.exists()]
    # processes that draw the same population at the same time share the work: each goes its own
    # way through the chunks, and leaves out those that are there when it comes to them
    random.Random(os.getpid()).shuffle(missing)
    workers = 1 if len(missing) == 1 else n_jobs
    parallel = joblib.Parallel(workers, return_as="generator_unordered", batch_size=1)
    with tqdm(total=n, unit="face", desc="population", disable=not progress) as bar:
        bar.update(n - sum(chunk.n for chunk in missing))
        for made in parallel(joblib.delayed(_make)(chunk) for chunk in missing) if missing else ():
            bar.update(made)
    if not chunks:  # no subjects: the columns of one, without its row
        one = _draw(_Chunk(folder, 0, 1, seed, resolution, expressions, relief, whole))
        return _join([{name: column[:0] for name, column in one.items()}])
    return _join([_load(chunk) for chunk in chunks])


@dataclass(frozen=True)
class _Chunk:
    """Subjects first to first + n - 1 of a seed, and where they are kept."""

    folder: Path
    first: int
    n: int
    seed: int
    resolution: int | None
    expressions: bool
    relief: bool
    whole: bool

    @property
    def path(self) -> Path:
        return self.folder / f"{self.first:06d}_{self.n}.npz"


def _make(chunk: _Chunk) -> int:
    """Draw a chunk into its file, unless it is there; return its number of subjects."""
    if not chunk.path.exists():
        _save(chunk.path, _draw(chunk))
    return chunk.n


def _draw(chunk: _Chunk) -> Arrays:
    identities, heads = sample_faces(chunk.n, chunk.seed, chunk.first)
    geometry = _shown(heads, chunk.whole)
    arrays: Arrays = {"geometry": geometry, "labels": _labels(identities)}
    if chunk.expressions:
        sets, amplitudes = sample_expressions(identities, chunk.seed, chunk.first)
        arrays["expressions"] = _shown(sets, chunk.whole)
        arrays["amplitudes"] = amplitudes.astype(np.float32)
    if chunk.resolution is not None:
        painted = [
            _paint(_subject(who, chunk.resolution, chunk.whole), shown)
            for who, shown in zip(_who(identities, chunk.seed, chunk.first), geometry, strict=True)
        ]
        arrays["textures"] = np.array([texture for texture, _ in painted])
        if chunk.relief:
            arrays["relief"] = np.array([relief for _, relief in painted])
    return arrays


def paint(
    seed: int,
    i: int,
    resolution: int,
    vertices: npt.ArrayLike | None = None,
    *,
    whole: bool = False,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Texture (R, R, 3), sRGB, and relief (R, R), mm, of subject i of a seed in any expression.

    seed, i      as in `sample`
    resolution   pixels along the side, 64 to 1024
    vertices     (m, 3) mm, the subject's face with an expression, as in `Population.expressions`.
                 Skin that it squeezes folds into wrinkles, and an open mouth shows its teeth. By
                 default the neutral face, which gives what `sample` gives
    whole        as in `sample`: the vertices, too, are then a head's

    Raises ValueError for a negative number or an impossible resolution, and MeshError for vertices
    that do not fit the template.
    """
    identities, heads = sample_faces(1, seed, i)
    (who,) = _who(identities, seed, i)
    neutral = _shown(heads, whole)[0]
    expressive = (neutral, None) if vertices is None else (vertices, neutral)
    return _paint(_subject(who, resolution, whole), *expressive)


def _paint(
    subject: tuple[Photometry, Subject],
    vertices: npt.ArrayLike,
    neutral: npt.ArrayLike | None = None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    texture, relief = subject[0].paint(subject[1], vertices, neutral)
    return colour.to_uint8(texture), relief.astype(np.float16)


class _Who(NamedTuple):
    """What a subject's looks are drawn by."""

    seed: int
    number: int
    masculinity: float
    shares: tuple[float, ...]
    age: float
    weight: float
    muscle: float


def _who(identities: Identities, seed: int, first: int) -> list[_Who]:
    i = identities
    numbers = zip(i.masculinity, i.shares, i.age, i.weight, i.muscle, strict=True)
    return [
        _Who(seed, first + k, float(m), tuple(map(float, shares)), *map(float, others))
        for k, (m, shares, *others) in enumerate(numbers)
    ]


@functools.lru_cache(maxsize=1)  # a subject's expressions are painted one after another
def _subject(who: _Who, resolution: int, whole: bool) -> tuple[Photometry, Subject]:
    seed, number, masculinity, shares, *others = who
    of_look, of_skin = (np.random.default_rng([seed, 3, number, k]) for k in range(2))
    photometry = _photometry(resolution, whole)
    look = sample_appearance(of_look, masculinity, shares, *others)
    return photometry, photometry.subject(look, of_skin)


@functools.cache
def _photometry(resolution: int, whole: bool) -> Photometry:
    return Photometry(head() if whole else standard(), resolution)


def _shown(heads: FloatArray, whole: bool) -> npt.NDArray[np.float32]:
    """The heads (..., m, 3), or their faces."""
    return (heads if whole else on_face(heads)).astype(np.float32)


def _labels(identities: Identities) -> npt.NDArray[np.void]:
    labels = np.empty(len(identities), dtype=LABELS)
    labels["gender"] = np.array(GENDERS)[identities.gender]
    labels["ancestry"] = np.array(ANCESTRIES)[identities.ancestry]
    labels["age"] = identities.age
    return labels


def _folder(cache: str | os.PathLike[str] | None) -> Path:
    if cache is not None:
        return Path(cache)
    base = os.environ.get("FACESYNTH_CACHE") or platformdirs.user_cache_dir("facesynth")
    return Path(base) / "population"


def _key(seed: int, resolution: int | None, expressions: bool, relief: bool, whole: bool) -> str:
    """Name of a folder that holds what these arguments and this very code make."""
    digest = hashlib.sha256(f"{seed} {resolution} {expressions} {relief} {whole} {CHUNK}".encode())
    package = Path(__file__).parents[1]
    rooms = ("population", "mapping", "surface")
    sources = sorted(path for room in rooms for path in package.glob(f"{room}/*.*"))
    for source in [*sources, package / "rendering/colour.py"]:
        digest.update(source.read_bytes())
    digest.update(f"{head().digest} {standard().digest}".encode())  # files, made by `shipped`
    for name in ("anny", "numpy", "scipy", "embreex"):
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return digest.hexdigest()[:16]


def _save(path: Path, arrays: Arrays) -> None:
    try:
        write_whole(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    except WriteError as error:
        raise CacheError(
            f"{error}; name another folder by the argument `cache` or the variable FACESYNTH_CACHE"
        ) from error


def _load(chunk: _Chunk) -> Arrays:
    """Read a chunk; one that is damaged is drawn again."""
    try:
        return arrays.read(chunk.path)
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile):
        chunk.path.unlink(missing_ok=True)
        _make(chunk)
        return arrays.read(chunk.path)


def _join(chunks: list[Arrays]) -> Population:
    joined = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    names = ("geometry", "labels", "textures", "expressions", "amplitudes", "relief")
    return Population(**{name: joined.get(name) for name in names})  # type: ignore[arg-type]
