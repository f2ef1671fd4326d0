"""What the two cameras measure of a face: samples of its surface, and triangles between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay

from facesynth.mapping.image_mapping import ImageMapping, bilinear
from facesynth.rendering import Camera
from facesynth.rendering.light import unit
from facesynth.surface.mesh import Floats, IntArray
from facesynth.virtual_scanner.faults import Faults
from facesynth.virtual_scanner.settings import Scanner
from facesynth.virtual_scanner.surface import Surface, camera_position, from_view

_FEWEST = 60  # vertices of a piece that a scanner's software keeps
_RAGGED = 0.25  # deviation of the threshold from sample to sample
_STEEPEST = 0.3  # cosine beyond which noise grows no more


@dataclass(frozen=True)
class Samples:
    """k places that were measured."""

    points: Floats  # (k, 3) mm, with their errors
    plane: Floats  # (k, 2) where they lie in a plane onto which the face is flattened
    cosines: Floats  # (k, 2) how squarely each camera sees them; 0 where it does not

    def __getitem__(self, which: NDArray[np.generic]) -> "Samples":
        return Samples(self.points[which], self.plane[which], self.cosines[which])


def measure(
    surface: Surface,
    cameras: tuple[Camera, Camera],
    mapping: ImageMapping,
    plane: Floats,
    faults: Faults,
    relief: NDArray[np.floating] | None,
    settings: Scanner,
    rng: np.random.Generator,
) -> Samples:
    """Sample the surface from both cameras, each place by the one that sees it better.

    plane : (m, 2) of the vertices, one-to-one. relief : (R, R) mm along the normals, or None.
    """
    size = round(settings.field / settings.spacing)
    parts = []
    for k, camera in enumerate(cameras):
        position = camera_position(camera)
        directions = _grid(camera, size, settings.jitter, rng)
        met, hits = surface.cast(np.broadcast_to(position, directions.shape), directions)
        points, normals = hits.interpolate(surface.vertices), hits.interpolate(surface.normals)
        cosines = np.column_stack([surface.cosines(points, normals, c) for c in cameras])

        look_up = bilinear(hits.interpolate(mapping.uv).astype(np.float64), mapping.resolution)
        hole, bump = look_up @ faults.hole.ravel(), look_up @ faults.bump.ravel()
        points = points + bump[:, None] * unit(normals)
        if relief is not None:
            points += (look_up @ relief.astype(np.float64).ravel())[:, None] * unit(normals)

        error = _errors(size, met, cosines[:, k], settings, rng)
        points = _along_sight(points, position, error, settings)
        uneven = rng.normal(0, _RAGGED, (2, len(points)))
        kept = cosines[:, k] > settings.grazing * (1 + uneven[0])
        kept &= cosines[:, k] >= cosines.max(axis=1)
        kept &= hole + uneven[1] < 0
        parts.append(Samples(points, hits.interpolate(plane), cosines)[kept])
    fields = zip(*(vars(part).values() for part in parts), strict=True)
    return Samples(*map(np.concatenate, fields))


def _grid(camera: Camera, size: int, jitter: float, rng: np.random.Generator) -> Floats:
    """Unit directions (size², 3) in the scan's frame through a grid of pixels, jittered."""
    row, column = np.mgrid[:size, :size] + 0.5 + rng.normal(0, jitter, (2, size, size))
    mm = camera.height / size
    x, y = (column - size / 2) * mm, (size / 2 - row) * mm
    view = np.stack([x, y, np.full_like(x, -camera.distance)], axis=-1).reshape(-1, 3)
    return unit(from_view(camera, view))


def _errors(
    size: int,
    met: NDArray[np.bool_],
    cosine: Floats,
    settings: Scanner,
    rng: np.random.Generator,
) -> Floats:
    """Errors of depth (k,) in mm at the rays that met the surface, alike at neighbours."""
    white = rng.standard_normal((size, size))
    smooth = gaussian_filter(white, settings.smoothing) * 2 * np.sqrt(np.pi) * settings.smoothing
    noise = (0.6 * white + 0.8 * smooth).ravel()[met]
    error = settings.noise * noise / np.maximum(cosine, _STEEPEST)
    return error + settings.misfit * rng.standard_normal()


def _along_sight(points: Floats, position: Floats, error: Floats, settings: Scanner) -> Floats:
    """The points (k, 3) with errors (k,) of depth, and depth in the steps of a disparity."""
    depth = np.linalg.norm(points - position, axis=1)
    step = settings.depth_step / settings.distance**2  # of 1 / depth
    measured = 1 / (np.rint(1 / (depth + error) / step) * step)
    return position + (points - position) * (measured / depth)[:, None]


def triangulate(samples: Samples, longest: float) -> tuple[Samples, IntArray]:
    """Triangles (f, 3) between the samples with edges of at most `longest` mm, and those used.

    The triangulation of the plane is the samples' own and knows nothing of the template's. Where
    samples are missing its triangles become long, and are left out: holes stay holes.
    """
    if len(samples.points) < _FEWEST:
        return samples, np.empty((0, 3), dtype=np.int64)
    faces = Delaunay(samples.plane).simplices.astype(np.int64)
    a, b, c = (samples.plane[faces[:, k]] for k in range(3))
    ab, ac = b - a, c - a
    clockwise = ab[:, 0] * ac[:, 1] < ab[:, 1] * ac[:, 0]
    faces[clockwise] = faces[clockwise, ::-1]
    corners = samples.points[faces]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    faces = _large_pieces(faces[sides.max(axis=1) <= longest])
    used, faces = np.unique(faces, return_inverse=True)
    return samples[used], faces.reshape(-1, 3)


def _large_pieces(faces: IntArray) -> IntArray:
    """Those of the triangles (f, 3) that belong to pieces of more than a few vertices."""
    if len(faces) == 0:
        return faces
    n = int(faces.max()) + 1
    links = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    graph = coo_array((np.ones(links.shape[1]), tuple(links)), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    return faces[np.bincount(label)[label[faces[:, 0]]] >= _FEWEST]
