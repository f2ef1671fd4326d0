"""The ground truth of a virtual scan, and which parts of it the scan shows."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from facesynth.mapping import UniversalMapping
from facesynth.mapping.image_mapping import ImageMapping, bilinear
from facesynth.population.head import face_operator, head, on_face
from facesynth.rendering import Camera
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import Template, standard
from facesynth.virtual_scanner.surface import Surface

_FOOTPRINT = 1.0  # pixels of a photograph over which a place is seen
_HIDDEN = 0.1  # share of it that hair covers, from which on it shows hair
NEAR = 1.0  # mm between the true surface and a scan that shows it


@dataclass(frozen=True)
class KnownHead:
    """What was scanned, and what hid or distorted it."""

    surface: Surface  # in the scan's frame
    mapping: ImageMapping
    texture: NDArray[np.uint8]  # (R, R, 3) sRGB
    relief: NDArray[np.floating] | None  # (R, R) mm
    pose: FloatArray  # (4, 4) moves the head that was given to the scan's frame
    covers: tuple[NDArray[np.floating], ...]  # of each photograph, the share of a pixel under hair


@dataclass(frozen=True)
class Truth:
    """The ground truth of a scan, for evaluation.

    `holes` are pixels that were not captured, or lie under a strand. A valid mask ought to reject
    all of these.
    """

    template: Template  # the mean head, or the standard template: whose topology and image it is
    vertices: FloatArray  # (m, 3) mm, in the scan's frame
    texture: NDArray[np.uint8]  # (R, R, 3) sRGB, canonical
    relief: NDArray[np.floating] | None  # (R, R) mm along the normals, finer than the vertices
    pose: FloatArray  # (4, 4) moves what was given to the scan's frame
    strands: NDArray[np.bool_]  # (R, R) where hair covers the face in the photograph shown there
    holes: NDArray[np.bool_]  # (R, R) invalid pixels

    @property
    def landmarks(self) -> FloatArray:
        """The true landmarks (43, 3) in mm, in the scan's frame."""
        return self.vertices[self.template.landmarks]

    def heights(self, points: FloatArray, mapping: ImageMapping) -> FloatArray:
        """How far (k,) mm outside of the true skin, relief included, points (k, 3) mm lie."""
        faces = self.template.faces
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


def find_truth(scan: Scan, known: KnownHead, cameras: tuple[Camera, ...]) -> Truth:
    """Compare a scan with the head that it was made of."""
    surface, mapping = known.surface, known.mapping
    points, normals = canonical_points(surface, mapping, known.relief)
    triangle = shown_by(scan, points, normals)
    if known.relief is not None:  # the cameras look at the mesh, whose creases are flat
        points, _ = canonical_points(surface, mapping)
    visible, hidden = np.zeros((2, len(points)), dtype=bool)
    for k, (camera, cover) in enumerate(zip(cameras, known.covers, strict=True)):
        # the photograph of a place is that of the triangle that lies there
        here = np.flatnonzero((triangle >= 0) & (scan.photograph[triangle] == k))
        here = here[surface.cosines(points[here], normals[here], camera) > 0]
        visible[here] = True
        column, row = camera.project(points[here], len(cover)).astype(int).T
        hidden[here] = gaussian_filter(cover, _FOOTPRINT)[row, column] > _HIDDEN
    holes = ~visible | hidden
    shape = known.texture.shape[:2]
    return Truth(
        head(),
        surface.vertices,
        known.texture,
        known.relief,
        known.pose,
        hidden.reshape(shape),
        holes.reshape(shape),
    )


def truth_on_face(truth: Truth, mapping: ImageMapping) -> Truth:
    """The truth of a head, in the images of a mapping, on its face: the standard template."""
    look_up = _look_up(mapping)

    def seen(image: NDArray[np.generic]) -> NDArray[np.float64]:
        flat = image.reshape(len(truth.texture) ** 2, -1).astype(np.float64)
        return np.asarray(look_up @ flat).reshape(image.shape)

    return Truth(
        standard(),
        on_face(truth.vertices),
        np.rint(seen(truth.texture)).astype(np.uint8),
        None if truth.relief is None else seen(truth.relief),
        truth.pose,
        seen(truth.strands) > 0.5,
        seen(truth.holes) > 0.5,
    )


@functools.lru_cache(maxsize=2)
def _look_up(mapping: ImageMapping) -> csr_array:
    """From a head's canonical image to that of its face, of the same resolution: (R², R²)."""
    face = UniversalMapping(standard(), mapping.resolution)
    uv = face.barycentric @ (face_operator() @ mapping.uv)  # of the face's pixels, on the head
    return bilinear(np.asarray(uv), mapping.resolution)


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
