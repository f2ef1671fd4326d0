"""The ground truth of a virtual scan, and which parts of it the scan shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facesynth.mapping.image_mapping import ImageMapping, bilinear
from facesynth.rendering import Camera
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import standard
from facesynth.virtual_scanner.surface import Surface

_FOOTPRINT = 1.0  # pixels of a photograph over which a place is seen
_HIDDEN = 0.1  # share of it that hair covers, from which on it shows hair
_EYE_ERROR = 0.5  # mm: an eyeball further off than this is not the true surface
NEAR = 1.0  # mm between the true surface and a scan that shows it


@dataclass(frozen=True)
class Truth:
    """The ground truth of a scan, for evaluation.

    `holes` are pixels that were not captured, lie under a strand or on a distorted eyeball, or have
    the colours of an occluder. A valid mask ought to reject all of these.
    """

    vertices: FloatArray  # (m, 3) mm, of the template's topology, in the scan's frame
    texture: NDArray[np.uint8]  # (R, R, 3) sRGB, canonical
    relief: NDArray[np.floating] | None  # (R, R) mm along the normals, finer than the vertices
    pose: FloatArray  # (4, 4) moves the face that was given to the scan's frame
    strands: NDArray[np.bool_]  # (R, R) where hair covers the face in the photograph shown there
    holes: NDArray[np.bool_]  # (R, R) invalid pixels

    @property
    def landmarks(self) -> FloatArray:
        """The true landmarks (43, 3) in mm, in the scan's frame."""
        return self.vertices[standard().landmarks]

    def heights(self, points: FloatArray, mapping: ImageMapping) -> FloatArray:
        """How far (k,) mm outside of the true skin, relief included, points (k, 3) mm lie."""
        faces = standard().faces
        corners = mapping.uv[faces]
        skin = Scan(self.vertices, faces, corners, np.zeros(len(faces), int), (self.texture,))
        surface = ScannedSurface(skin)
        places = surface.nearest(points)
        above = points - surface.points(places)
        height = np.einsum("kc,kc->k", above, surface.normals_at(places))
        if self.relief is None:
            return height
        uv = np.einsum("kj,kjc->kc", places.weights, corners[places.triangle])
        return height - bilinear(uv, len(self.relief)) @ self.relief.astype(np.float64).ravel()


def find_truth(
    scan: Scan,
    face: Surface,
    mapping: ImageMapping,
    texture: NDArray[np.uint8],
    relief: NDArray[np.floating] | None,
    pose: FloatArray,
    cameras: tuple[Camera, ...],
    covers: list[NDArray[np.floating]],
    bump: NDArray[np.floating],
) -> Truth:
    """Compare a scan with the face that it was made of.

    covers : the share of each pixel that hair hides, for each photograph. bump : (R, R) in mm
    distorts the eyes.
    """
    points, normals = canonical_points(face, mapping, relief)
    triangle = shown_by(scan, points, normals)
    if relief is not None:  # the cameras look at the mesh, whose creases are flat
        points, _ = canonical_points(face, mapping)
    visible, hidden = np.zeros((2, len(points)), dtype=bool)
    for k, (camera, cover) in enumerate(zip(cameras, covers, strict=True)):
        # the photograph of a place is that of the triangle that lies there
        here = np.flatnonzero((triangle >= 0) & (scan.photograph[triangle] == k))
        here = here[face.cosines(points[here], normals[here], camera) > 0]
        visible[here] = True
        column, row = camera.project(points[here], len(cover)).astype(int).T
        hidden[here] = gaussian_filter(cover, _FOOTPRINT)[row, column] > _HIDDEN
    holes = ~visible | hidden | (np.abs(bump.ravel()) > _EYE_ERROR)
    shape = texture.shape[:2]
    return Truth(face.vertices, texture, relief, pose, hidden.reshape(shape), holes.reshape(shape))


def canonical_points(
    face: Surface, mapping: ImageMapping, relief: NDArray[np.floating] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Points and unit normals (R², 3) of a face's surface at the pixels of the canonical image."""
    points, normals = mapping.surface(face.vertices, relief)
    return points.reshape(-1, 3), normals.reshape(-1, 3)


def shown_by(scan: Scan, points: FloatArray, normals: FloatArray, near: float = NEAR) -> IntArray:
    """The triangle (k,) of the scan that lies within `near` mm of places (k, 3), or -1.

    It is looked for along the normal (k, 3), to both sides.
    """
    triangle, distance = Surface(scan.vertices, scan.faces).first(points + near * normals, -normals)
    return np.where(distance <= 2 * near, triangle, -1)
