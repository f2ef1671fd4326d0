"""A template as a value, the files that keep it, and the project's own."""

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from facesynth.files import arrays
from facesynth.files.atomic import write_whole
from facesynth.files.units import MM
from facesynth.surface.mesh import FloatArray, IntArray, interpolation
from facesynth.template.completion import complete
from facesynth.template.files import read_landmarks, read_mesh, read_regions
from facesynth.template.parts import (
    LANDMARKS,
    N_LANDMARKS,
    MissingLandmarkError,
    TemplateFileError,
    TemplateSizeError,
)


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
    weights    (m,) of the mapping to images, if they are settled: `mapping.settled`. What images of
               this template show where depends on them
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
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        """Make all arrays read-only: caches rely on the digest."""
        for name, value in vars(self).items():
            object.__setattr__(self, name, _read_only(value))

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
        return interpolation(self.faces[triangle], weights, len(self.vertices))

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
        for name in ("mirror", "weights"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
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
        landmarks  a table (.csv): see this package; by default the .csv file of the mesh's name
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
        vertices, faces = read_mesh(file)
        vertices = vertices * MM[unit]
        table = Path(landmarks) if landmarks is not None else file.with_suffix(".csv")
        groups = Path(regions) if regions is not None else file.with_suffix(".regions.json")
        marks = read_landmarks(table, vertices, MM[unit])
        given = read_regions(groups, len(vertices)) if groups.exists() or regions else {}
        return cls(**complete(vertices, faces, marks, given, name=str(file)))

    @classmethod
    def _saved(cls, file: Path) -> "Template":
        advice = "write it again with Template.save, or load the mesh"
        with arrays.readable(file, TemplateFileError, advice, "missing, damaged or no template"):
            found = arrays.read(file)
            detected = None
            if "detected_triangles" in found:
                detected = found["detected_triangles"], found["detected_weights"]
            return cls(
                **{name: found[name] for name in ("vertices", "faces", "landmarks", "boundary")},
                mirror=found.get("mirror"),
                weights=found.get("weights"),
                detected=detected,
                regions=_group(found, "regions"),
                curves=_group(found, "curves"),
                filled=_group(found, "filled"),
            )


@functools.cache
def standard() -> Template:
    """The project's own template, read once in a process: the mean face of its population."""
    with resources.as_file(resources.files("facesynth.data") / "template/standard.npz") as path:
        return Template.load(path)


def _read_only(value: Any) -> Any:
    """The value with read-only views of its arrays, at any depth."""
    if isinstance(value, Mapping):
        return {name: _read_only(of) for name, of in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_read_only, value))
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def _group(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {name.partition("/")[2]: of for name, of in arrays.items() if name.startswith(kind)}
