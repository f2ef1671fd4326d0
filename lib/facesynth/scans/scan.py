"""What a scanner delivers: a mesh, photographs, and which photograph each triangle is seen in."""

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from facesynth.files.units import GivenUnit
from facesynth.scans import files
from facesynth.scans.parts import Photograph, ScanError
from facesynth.surface.mesh import FloatArray, IntArray, MeshArrayError, check_arrays
from facesynth.template import N_LANDMARKS


@dataclass(frozen=True)
class Scan:
    """A face as a scanner delivers it.

    Neither position nor orientation means anything. Holes, several pieces and edges of more than
    two triangles are common. Some or all triangles may have no photograph: then the colours of the
    vertices count, and where there are none, the scan is geometry alone.

    Raises `MeshError` for an invalid mesh and `ScanError` for photographs that do not match it.
    """

    vertices: FloatArray  # (n, 3) mm
    faces: IntArray  # (f, 3) triangles, counter-clockwise from outside
    uv: FloatArray  # (f, 3, 2) of their corners in the photograph: u right and v up, in [0, 1]
    photograph: IntArray  # (f,) which of the photographs each triangle was given; -1 for none
    photographs: tuple[Photograph, ...] = ()  # sRGB images (h, w, 3), of any sizes
    landmarks: FloatArray | None = None  # (43, 3) mm, NaN where unknown, if they came with it
    name: str = "scan"  # of the file or subject, for messages
    colours: NDArray[np.uint8] | None = None  # (n, 3) sRGB of the vertices
    sized: bool = True  # False where the unit of its numbers is not known

    def __post_init__(self) -> None:
        points, faces = check_arrays(self.vertices, self.faces)
        f = len(faces)
        if np.shape(self.uv) != (f, 3, 2) or np.shape(self.photograph) != (f,):
            raise MeshArrayError(
                f"uv has shape {np.shape(self.uv)} and photograph {np.shape(self.photograph)}; "
                f"{f} triangles need {(f, 3, 2)} and {(f,)}"
            )
        for k, image in enumerate(self.photographs):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ScanError(
                    f"photograph {k} of {self.name} has shape {image.shape} and type "
                    f"{image.dtype}; expected (h, w, 3) uint8"
                )
        if np.min(self.photograph) < -1 or np.max(self.photograph) >= len(self.photographs):
            raise ScanError(
                f"{self.name} refers to photographs {np.min(self.photograph)} to "
                f"{np.max(self.photograph)} of {len(self.photographs)}; -1 is for none"
            )
        if self.colours is not None and (
            np.shape(self.colours) != points.shape or self.colours.dtype != np.uint8
        ):
            raise ScanError(
                f"the colours of {self.name} have shape {np.shape(self.colours)} and type "
                f"{self.colours.dtype}; expected {points.shape} uint8"
            )
        if self.landmarks is not None and np.shape(self.landmarks) != (N_LANDMARKS, 3):
            raise ScanError(
                f"{self.name} has landmarks of shape {np.shape(self.landmarks)}; "
                f"expected ({N_LANDMARKS}, 3)"
            )

    @property
    def has_texture(self) -> bool:
        """Whether any of it has a colour."""
        return self.colours is not None or bool(np.max(self.photograph) >= 0)

    @classmethod
    def geometry(
        cls, vertices: FloatArray, faces: IntArray, landmarks: FloatArray | None = None
    ) -> "Scan":
        """A scan without a colour, of vertices (n, 3) mm and triangles (f, 3)."""
        f = len(faces)
        return cls(vertices, faces, np.zeros((f, 3, 2)), np.full(f, -1), landmarks=landmarks)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        landmarks: str | os.PathLike[str] | npt.ArrayLike | None = None,
        unit: GivenUnit | None = None,
        texture: bool = True,
    ) -> "Scan":
        """Read a scan, and its photographs if it has any, from an OBJ, PLY, STL, GLB or glTF file.

        path       of an OBJ file with its MTL files and images beside, or the one image of its
                   name; of a PLY file and its image; or of any with colours of vertices, or none
        landmarks  43, 51 or, in dlib's order, 68 rows x, y, z: an array or a file, as
                   `landmark_files` says. By default the file of the scan's name, if there is one
        unit       of the numbers in both files: mm, cm, m, or how many mm one is. By default m in
                   GLB and glTF files, as their standard says, and mm in others. The scan is in mm;
                   but for "auto", with which the face will tell, once it is found
        texture    False for the geometry alone

        In an OBJ file vertices and triangles keep their order, and each triangle its texture
        coordinates. Raises subclasses of `ScanError` (`ScanFileError`, `ScanTextureError`,
        `ScanUnitsError`, `LandmarkFileError`), and `MeshError` for an unusable mesh.
        """
        return cls(**files.read(path, landmarks, unit, texture))

    def save(self, path: str | os.PathLike[str], quality: int | None = None) -> None:
        """Write an OBJ file, and beside it its MTL file, photographs, and landmarks as JSON.

        path     ending in .obj; its folder is made. Files of the same names are replaced, each as
                 a whole, the OBJ file last
        quality  of the photographs as JPEG, 1 to 95; None writes PNG files, which lose nothing

        `load` restores exactly the same arrays. Raises `ScanFileError`.
        """
        files.write(vars(self), path, quality)
