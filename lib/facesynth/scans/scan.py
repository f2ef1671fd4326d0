"""What a scanner delivers: a mesh, photographs, and which photograph each triangle is seen in."""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facesynth.scans import files
from facesynth.scans.parts import Photograph, ScanError
from facesynth.surface.mesh import FloatArray, IntArray, MeshArrayError, check_arrays
from facesynth.template import N_LANDMARKS


@dataclass(frozen=True)
class Scan:
    """A face as a scanner delivers it.

    Neither position nor orientation means anything, but the head is about upright (y up) and looks
    about along +z. Holes, several pieces and edges of more than two triangles are common.

    Raises `MeshError` for an invalid mesh and `ScanError` for photographs that do not match it.
    """

    vertices: FloatArray  # (n, 3) mm
    faces: IntArray  # (f, 3) triangles, counter-clockwise from outside
    uv: FloatArray  # (f, 3, 2) of their corners in the photograph: u right and v up, in [0, 1]
    photograph: IntArray  # (f,) which of the photographs each triangle was given
    photographs: tuple[Photograph, ...]  # sRGB images (h, w, 3), of any sizes
    landmarks: FloatArray | None = None  # (43, 3) mm, NaN where unknown, if they came with it
    name: str = "scan"  # of the file or subject, for messages

    def __post_init__(self) -> None:
        _, faces = check_arrays(self.vertices, self.faces)
        f = len(faces)
        if np.shape(self.uv) != (f, 3, 2) or np.shape(self.photograph) != (f,):
            raise MeshArrayError(
                f"uv has shape {np.shape(self.uv)} and photograph {np.shape(self.photograph)}; "
                f"{f} triangles need {(f, 3, 2)} and {(f,)}"
            )
        if not self.photographs:
            raise ScanError(f"{self.name} has no photograph; a scan needs at least one")
        for k, image in enumerate(self.photographs):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ScanError(
                    f"photograph {k} of {self.name} has shape {image.shape} and type "
                    f"{image.dtype}; expected (h, w, 3) uint8"
                )
        if np.min(self.photograph) < 0 or np.max(self.photograph) >= len(self.photographs):
            raise ScanError(
                f"{self.name} refers to photographs {np.min(self.photograph)} to "
                f"{np.max(self.photograph)} of {len(self.photographs)}"
            )
        if self.landmarks is not None and np.shape(self.landmarks) != (N_LANDMARKS, 3):
            raise ScanError(
                f"{self.name} has landmarks of shape {np.shape(self.landmarks)}; "
                f"expected ({N_LANDMARKS}, 3)"
            )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        landmarks: str | os.PathLike[str] | npt.ArrayLike | None = None,
        unit: Literal["mm", "cm", "m"] = "mm",
    ) -> "Scan":
        """Read a scan and its photographs from an OBJ, PLY or GLB file.

        path       of an OBJ file with its MTL file and images beside, or the one image of its name;
                   of a PLY file and its image; or of a GLB file
        landmarks  43 or, in dlib's order, 68 rows x, y, z: an array or a file (.ljson of menpo,
                   .json, .csv, .txt). By default the file of the scan's name, if there is one
        unit       of the numbers in both files; the scan is in mm

        In an OBJ file vertices and triangles keep their order, and each triangle its texture
        coordinates. Raises subclasses of `ScanError` (`ScanFileError`, `ScanTextureError`,
        `ScanUnitsError`, `LandmarkFileError`), and `MeshError` for an unusable mesh.
        """
        return cls(**files.read(path, landmarks, unit))

    def save(self, path: str | os.PathLike[str], quality: int | None = None) -> None:
        """Write an OBJ file, and beside it its MTL file, photographs, and landmarks as JSON.

        path     ending in .obj; its folder is made. Files of the same names are replaced, each as
                 a whole, the OBJ file last
        quality  of the photographs as JPEG, 1 to 95; None writes PNG files, which lose nothing

        `load` restores exactly the same arrays. Raises `ScanFileError`.
        """
        files.write(vars(self), path, quality)
