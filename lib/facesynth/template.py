"""The template: the face that is deformed onto every scan, as a value. Section 5.2 of the paper.

Nothing in the package knows whose face it is. `standard()` is the project's own; anybody's comes
from a mesh and a small table of landmarks:

    template = Template.load("my_face.obj", landmarks="my_face.csv")

    landmark,vertex        or        landmark,x,y,z
    nose_bridge_4,3110               nose_bridge_4,0.2,-4.1,63.0

with the names in `LANDMARKS`, or dlib's numbers 17 to 59, in any order; six or more of them.
"""

import csv
import functools
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from facesynth.files.atomic import write_whole
from facesynth.files.units import MM
from facesynth.surface.holes import fill_holes
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshError,
    check_arrays,
    check_disk,
    contained,
)

# dlib's 68 landmarks without the jaw (17) and the inner lips (8), in their order; right is the
# subject's, at smaller x.
LANDMARKS = (
    *(f"right_brow_{k}" for k in range(1, 6)),
    *(f"left_brow_{k}" for k in range(1, 6)),
    *(f"nose_bridge_{k}" for k in range(1, 5)),  # the fourth is the tip
    *(f"nose_base_{k}" for k in range(1, 6)),
    *(f"right_eye_{k}" for k in range(1, 7)),  # from the outer corner over the upper lid
    *(f"left_eye_{k}" for k in range(1, 7)),  # from the inner corner over the upper lid
    *(f"mouth_{k}" for k in range(1, 13)),  # from the right corner over the upper lip
)
N_LANDMARKS = len(LANDMARKS)  # 43
# The right half of a pair of landmarks and the left one, as positions among the 43.
MIRROR = np.array(
    [*range(9, -1, -1), *range(10, 14), *range(18, 13, -1)]
    + [28, 27, 26, 25, 30, 29, 22, 21, 20, 19, 24, 23]
    + [37, 36, 35, 34, 33, 32, 31, 42, 41, 40, 39, 38]
)
FIRST_OF_68 = 17  # the jaw comes before, and after 43 more the inner lips
ENOUGH = 6  # landmarks for a pose
OUTER_CORNERS = LANDMARKS.index("right_eye_1"), LANDMARKS.index("left_eye_4")
EYE_TO_EYE = (60.0, 130.0)  # mm between the outer corners of the eyes, of children and adults
ON_SURFACE = 5.0  # mm from the surface beyond which a landmark belongs to something else
SYMMETRIC = 1e-6  # of the template's extent: differences of a mirror image that rounding explains
# Landmarks around a feature, and the distance in mm over which its region fades out, from and to.
AROUND = {
    "eyes": (slice(19, 31), 4, 12),
    "nose": (slice(10, 19), 6, 14),
    "lips": (slice(31, 43), 1, 5),
}
HOLES = {"right_eye": slice(19, 25), "left_eye": slice(25, 31), "mouth": slice(31, 43)}


class TemplateError(ValueError):
    """A template that cannot be used; the message says what is wrong, where, and what to do."""


class TemplateFileError(TemplateError):
    """A template's file, or its table of landmarks or regions, is missing or cannot be read."""


class TemplateLandmarkError(TemplateError):
    """Landmarks are missing, unknown, or do not lie on the template."""


class TemplateSizeError(TemplateError):
    """The template is not as large as a face in mm, or does not look along +z with y up."""


class MissingLandmarkError(TemplateError):
    """Something needs landmarks that this template does not have."""


@dataclass(frozen=True, eq=False)
class Template:
    """A neutral face of m vertices and disk topology. Two are equal where their `digest` is.

    vertices   (m, 3) mm, y up, z towards the viewer
    faces      (f, 3) triangles, counter-clockwise from outside
    landmarks  (43,) vertices in the order of `LANDMARKS`; -1 where one is not known
    mirror     (m,) index of each vertex's mirror image in the plane x = 0; None without symmetry
    boundary   (b,) boundary loop, counter-clockwise, from the lowest vertex of the midline
    regions    name -> (m,) membership in [0, 1]: left_eye, right_eye (what is seen of the balls),
               mouth (the surface between the lips), lips, nose, eyes (both, with lids), or some
    curves     name -> (k,) vertices, where a template names any
    detected   where dlib's detector finds the landmarks, if that is known: triangles (43,) and
               weights (43, 3) of their corners
    filled     rims (k,) of the holes that were filled, by name
    """

    vertices: FloatArray
    faces: IntArray
    landmarks: IntArray
    mirror: IntArray | None
    boundary: IntArray
    regions: Mapping[str, FloatArray] = field(default_factory=dict)
    curves: Mapping[str, IntArray] = field(default_factory=dict)
    detected: tuple[IntArray, FloatArray] | None = None
    filled: Mapping[str, IntArray] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Compare all that results depend on: caches find what was made for an equal template."""
        return isinstance(other, Template) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @functools.cached_property
    def digest(self) -> str:
        """Name of this very template, of 16 hexadecimal digits: of what results depend on."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(f"{name} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def at_landmarks(self) -> csr_array:
        """The operator (43, m) from vertices (m, 3) to landmarks; rows of unknown ones are zero."""
        known = np.flatnonzero(self.landmarks >= 0)
        entries = np.ones(len(known)), (known, self.landmarks[known])
        return csr_array(entries, shape=(N_LANDMARKS, len(self.vertices)))

    @functools.cached_property
    def at_detected(self) -> csr_array:
        """The operator (43, m) to the points that `scans.landmarks.detect` finds on a scan."""
        if self.detected is None:
            return self.at_landmarks
        triangle, weights = self.detected
        weights = weights.copy()  # the operator may sort its entries in place
        corners = self.faces[triangle]  # (43, 3)
        row_ends = np.arange(0, corners.size + 1, 3)
        entries = weights.ravel(), corners.ravel(), row_ends
        return csr_array(entries, shape=(N_LANDMARKS, len(self.vertices)))

    @property
    def known(self) -> IntArray:
        """Which of the 43 landmarks are known: their numbers (k,)."""
        return np.flatnonzero(self.landmarks >= 0)

    def vertices_of(self, numbers: ArrayLike) -> IntArray:
        """The vertices of some landmarks, by their numbers of the 43.

        Raises `MissingLandmarkError`.
        """
        found = self.landmarks[np.asarray(numbers)]
        if (found < 0).any():
            missing = [LANDMARKS[k] for k in np.asarray(numbers)[found < 0]]
            raise MissingLandmarkError(
                f"this template has no landmark {', '.join(missing)}; add it to its table"
            )
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one .npz file, which `load` reads without a table. Raises `WriteError`."""
        arrays = self._arrays()
        write_whole(Path(path), lambda file: np.savez_compressed(file, **arrays))

    def _arrays(self) -> dict[str, Any]:
        arrays: dict[str, Any] = {
            name: getattr(self, name) for name in ("vertices", "faces", "landmarks", "boundary")
        }
        if self.mirror is not None:
            arrays["mirror"] = self.mirror
        if self.detected is not None:
            arrays["detected_triangles"], arrays["detected_weights"] = self.detected
        for kind in ("regions", "curves", "filled"):
            arrays |= {f"{kind}/{name}": of for name, of in getattr(self, kind).items()}
        return arrays

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        landmarks: str | os.PathLike[str] | None = None,
        regions: str | os.PathLike[str] | None = None,
        unit: str = "mm",
    ) -> "Template":
        """Read a template, and check it.

        path       an .obj or .ply file, or an .npz file that `save` wrote. Vertices keep their
                   order. Holes but the longest boundary are filled, by triangles alone
        landmarks  a table (.csv): see this module; by default the .csv file of the mesh's name
        regions    a .json file {name: [vertices]} of vertex groups; by default the .regions.json
                   file of the mesh's name, if there is one. What is missing is taken from the
                   landmarks
        unit       of the mesh and the table: mm, cm or m

        Raises `TemplateError` and its subclasses, and `MeshError` where the mesh is no disk.
        """
        file = Path(path)
        if unit not in MM:
            raise TemplateSizeError(f"unit is {unit!r}; known are {', '.join(MM)}")
        if file.suffix.lower() == ".npz":
            return cls._saved(file)
        vertices, faces = _read_mesh(file)
        vertices = vertices * MM[unit]
        table = Path(landmarks) if landmarks is not None else file.with_suffix(".csv")
        groups = Path(regions) if regions is not None else file.with_suffix(".regions.json")
        return make(
            vertices,
            faces,
            _read_landmarks(table, vertices, MM[unit]),
            _read_regions(groups, len(vertices)) if groups.exists() or regions else {},
            name=str(file),
        )

    @classmethod
    def _saved(cls, file: Path) -> "Template":
        try:
            with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
                found = dict(arrays)
            detected = None
            if "detected_triangles" in found:
                detected = found["detected_triangles"], found["detected_weights"]
            return cls(
                **{name: found[name] for name in ("vertices", "faces", "landmarks", "boundary")},
                mirror=found.get("mirror"),
                detected=detected,
                regions=_group(found, "regions"),
                curves=_group(found, "curves"),
                filled=_group(found, "filled"),
            )
        except Exception as error:  # whatever a damaged file makes the reader stumble over
            raise TemplateFileError(
                f"{file} is missing, damaged or no template ({error!r}); write it again with "
                "Template.save, or load the mesh"
            ) from error


@functools.cache
def standard() -> Template:
    """The project's own template, read once in a process: the mean face of its population."""
    with resources.as_file(resources.files("facesynth.data") / "template/standard.npz") as path:
        return Template.load(path)


def make(
    vertices: ArrayLike,
    faces: ArrayLike,
    landmarks: IntArray,
    regions: Mapping[str, FloatArray] | None = None,
    name: str = "the template",
) -> Template:
    """A template of a mesh (m, 3) in mm and (f, 3) with landmarks (43,), -1 where not known.

    Fills holes, looks for mirror symmetry, and takes regions that are not given from the landmarks.
    Raises `TemplateError` and its subclasses, and `MeshError` where the mesh is no disk.
    """
    try:
        points, triangles = check_arrays(vertices, faces)
        triangles, rims = fill_holes(points, triangles)
        loop = check_disk(points, triangles)
    except MeshError as error:
        raise type(error)(f"{name}: {error}") from error
    _check_landmarks(points, landmarks, name)
    filled = _named(rims, points, landmarks)
    given = dict(regions or {})
    for hole in {"right_eye", "left_eye", "mouth"} & set(filled):
        given.setdefault(hole, _members(filled[hole], len(points)))
    for region in AROUND:
        if region not in given and (landmarks[AROUND[region][0]] >= 0).any():
            given[region] = _around(points, landmarks, region)
    mirror = _mirror(points, triangles)
    middle = 0.0 if mirror is not None else points[landmarks[landmarks >= 0], 0].mean()
    below = points[loop, 1] < np.median(points[loop, 1])
    off = np.where(below, np.abs(points[loop, 0] - middle), np.inf)
    return Template(
        vertices=points,
        faces=triangles,
        landmarks=landmarks,
        mirror=mirror,
        boundary=np.roll(loop, -int(off.argmin())),
        regions=given,
        filled=filled,
    )


def _group(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {name.partition("/")[2]: of for name, of in arrays.items() if name.startswith(kind)}


def _read_mesh(file: Path) -> tuple[FloatArray, IntArray]:
    """Vertices and triangles in the file's order."""
    kind = file.suffix.lower()
    if kind not in (".obj", ".ply"):
        raise TemplateFileError(f"{file}: templates are read from .obj, .ply or .npz files")
    try:
        content = file.read_bytes()
        if kind == ".obj":  # of positions alone: texture coordinates would split vertices
            content = _positions(content.decode(errors="replace")).encode()
        mesh = trimesh.load_mesh(io.BytesIO(content), file_type=kind[1:], process=False)
        return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except OSError as error:
        raise TemplateFileError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise TemplateFileError(f"{file} cannot be read as a mesh: {error!r}") from error


def _positions(text: str) -> str:
    lines = []
    for line in text.splitlines():
        key, *rest = line.split() or [""]
        if key == "v":
            lines.append(" ".join([key, *rest[:3]]))
        elif key == "f":
            lines.append(" ".join([key, *(corner.partition("/")[0] for corner in rest)]))
    return "\n".join(lines)


def _read_landmarks(table: Path, vertices: FloatArray, mm: float) -> IntArray:
    """Vertices (43,) of the table's landmarks; -1 where it has none."""
    if not table.is_file():
        raise TemplateLandmarkError(
            f"{table} is missing: a template needs a table of landmarks, lines of landmark,vertex "
            f"or landmark,x,y,z with names such as {', '.join(LANDMARKS[::9])}"
        )
    found = np.full(N_LANDMARKS, -1)
    tree = cKDTree(np.nan_to_num(vertices))
    with table.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            where = f"{table}, line {number}"
            name = (row.get("landmark") or "").strip()
            if name.isdigit() and FIRST_OF_68 <= int(name) < FIRST_OF_68 + N_LANDMARKS:
                name = LANDMARKS[int(name) - FIRST_OF_68]
            if name not in LANDMARKS:
                raise TemplateLandmarkError(
                    f"{where}: unknown landmark {name!r}; there are {', '.join(LANDMARKS)}, or "
                    "dlib's numbers 17 to 59"
                )
            try:
                if row.get("vertex"):
                    vertex = int(row["vertex"])
                else:
                    point = mm * np.array([float(row[axis]) for axis in "xyz"])
                    distance, vertex = tree.query(point)
                    if not distance < ON_SURFACE:
                        raise TemplateLandmarkError(
                            f"{where}: {name} is {distance:.1f} mm from the nearest vertex; "
                            "is it in the mesh's frame and unit?"
                        )
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                if isinstance(error, TemplateError):
                    raise
                raise TemplateLandmarkError(
                    f"{where}: neither a vertex nor x, y and z ({error})"
                ) from error
            if not 0 <= vertex < len(vertices):
                raise TemplateLandmarkError(
                    f"{where}: vertex {vertex} is outside 0..{len(vertices) - 1}"
                )
            found[LANDMARKS.index(name)] = vertex
    return found


def _read_regions(path: Path, m: int) -> dict[str, FloatArray]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _members(np.asarray(of, np.int64), m) for name, of in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise TemplateFileError(
            f"{path} must hold {{name: [vertices]}}, counted from 0 to {m - 1}: {error!r}"
        ) from error


def _members(vertices: IntArray, m: int) -> FloatArray:
    region = np.zeros(m)
    region[vertices] = 1.0
    return region


def _check_landmarks(points: FloatArray, landmarks: IntArray, name: str) -> None:
    known = np.flatnonzero(landmarks >= 0)
    if len(known) < ENOUGH:
        raise TemplateLandmarkError(
            f"{name} has {len(known)} landmarks; {ENOUGH} or more are needed to align scans, and "
            "corners of the eyes and the mouth and the tip of the nose are the best"
        )
    right, left = landmarks[list(OUTER_CORNERS)]
    if right < 0 or left < 0:
        missing = [LANDMARKS[k] for k in OUTER_CORNERS if landmarks[k] < 0]
        raise TemplateLandmarkError(
            f"{name} lacks {' and '.join(missing)}, the outer corners of the eyes, which tell its "
            "size; add them to the table"
        )
    across = points[left] - points[right]
    size = float(np.linalg.norm(across))
    low, high = EYE_TO_EYE
    if not low <= size <= high:
        fits = [f"unit={u!r}" for u, mm in MM.items() if low <= size * mm <= high]
        advice = f"; is it in another unit? load it with {fits[0]}" if fits else "; scale it"
        raise TemplateSizeError(
            f"{name}: its eyes' outer corners are {size:.4g} mm apart, and {low:g} to {high:g} mm "
            f"is human{advice}"
        )
    lower = (
        landmarks[10:19][landmarks[10:19] >= 0].tolist()
        + landmarks[31:43][landmarks[31:43] >= 0].tolist()
    )
    eyes = (points[left] + points[right]) / 2
    upright = across[0] > 0.9 * size and (not lower or points[lower, 1].mean() < eyes[1])
    if not upright:
        raise TemplateSizeError(
            f"{name} does not look along +z with y up: the right eye is at {points[right].round(1)}"
            f" mm and the left one at {points[left].round(1)}; turn it, or swap left and right in "
            "the table (right is the subject's right, at smaller x)"
        )


def _named(rims: list[IntArray], points: FloatArray, landmarks: IntArray) -> dict[str, IntArray]:
    """The holes that were filled, called by the landmarks that they are nearest to."""
    names: dict[str, IntArray] = {}
    for k, rim in enumerate(rims):
        centre = points[rim].mean(axis=0)
        away = {}
        for name, numbers in HOLES.items():
            known = landmarks[numbers][landmarks[numbers] >= 0]
            if name not in names and len(known):
                away[name] = float(np.linalg.norm(points[known].mean(axis=0) - centre))
        near = min(away, key=lambda n: away[n], default="")
        names[near if near and away[near] < 20 else f"hole {k + 1}"] = rim
    return names


def _around(points: FloatArray, landmarks: IntArray, region: str) -> FloatArray:
    """Membership (m,): 1 at a feature's landmarks and between them, fading with the distance."""
    numbers, near, far = AROUND[region]
    known = landmarks[numbers][landmarks[numbers] >= 0]
    halves = np.array_split(known, 2) if region == "eyes" else [known]
    share = np.linspace(0, 1, 9)[:, None, None]
    between = []
    for part in halves:
        if len(part):
            spokes = points[part] + share * (points[part].mean(axis=0) - points[part])
            rim = points[part] + share * (points[np.roll(part, -1)] - points[part])
            between += [spokes.reshape(-1, 3), rim.reshape(-1, 3)]
    distance = cKDTree(np.concatenate(between)).query(points)[0]
    return np.clip((far - distance) / (far - near), 0, 1)


def _mirror(points: FloatArray, faces: IntArray) -> IntArray | None:
    """The mirror permutation (m,) of a template that is its own mirror image, else None."""
    away, mirror = cKDTree(points).query(points * [-1, 1, 1])
    every = np.arange(len(points))
    if away.max() > SYMMETRIC * np.ptp(points) or not np.array_equal(mirror[mirror], every):
        return None
    return mirror if contained(faces, mirror[faces[:, ::-1]]).all() else None
