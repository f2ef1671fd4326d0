"""A scan with acceleration structures: ray intersections, nearest points and colours.

Landmark detection (Section 5.1) needs renderings of the scan, the canonical texture (Section 5.3)
the colour of the scan at each point of the aligned template.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from facesynth.mapping.image_mapping import cross_2d
from facesynth.rendering.colour import from_uint8, to_uint8
from facesynth.scans.parts import Photograph
from facesynth.scans.scan import Scan
from facesynth.surface.mesh import (
    DegenerateTriangleError,
    FloatArray,
    IntArray,
    border_edges,
    triangle_areas,
    vertex_normals,
)

Colours = NDArray[np.float32]  # (..., 3) linear RGB in [0, 1]

ON_EDGE = 1e-3  # barycentric weight of a corner, below which a place is on the opposite edge
NEIGHBOURS = 12  # triangles, by their middles, among which a point's nearest is looked for
ENOUGH = 4.0  # pixels of photographs along one of the canonical image; eyes have twice as many
GREY = 0.4  # linear, of a surface without any colour
SHARPNESS = 0.8  # levels of the pyramid finer than a pixel's footprint: a box blurs by itself


@dataclass(frozen=True)
class Places:
    """k places on a scan: its `triangle` (k,), -1 for none, and the corners' `weights` (k, 3)."""

    triangle: IntArray
    weights: FloatArray

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether (k,) there is a place at all."""
        return self.triangle >= 0


class ScannedSurface:
    """A scan's triangles for rays and for nearest points, and its photographs at all scales.

    vertices (n, 3) mm, those at the same place being one: files split them where the texture does;
    faces (f, 3); normals (f, 3) of unit length, zero without area;
    coloured (f,), whether a triangle has a colour: all of a scan without texture count as grey;
    texels (f,), how many of the photograph's pixels a mm of the triangle spans, 0 without one.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.vertices, self.faces = welded(
            np.asarray(scan.vertices, dtype=np.float64), np.asarray(scan.faces, dtype=np.int64)
        )
        self.corners = self.vertices[self.faces]  # (f, 3, 3)
        a, b, c = np.moveaxis(self.corners, 1, 0)
        across = np.cross(b - a, c - a)
        length = np.linalg.norm(across, axis=1, keepdims=True)
        self.normals = np.divide(across, length, out=np.zeros_like(across), where=length > 0)
        self.vertex_normals = vertex_normals(self.vertices, self.faces)
        self._photograph = np.asarray(scan.photograph, dtype=np.int64)
        self.coloured = (
            (self._photograph >= 0) | (scan.colours is not None) | (not scan.has_texture)
        )
        # (p + 1, 2) w, h; no photograph, -1, is the last
        sizes = np.array([*(image.shape[1::-1] for image in scan.photographs), (0, 0)])
        self._pixels = np.asarray(scan.uv) * [1, -1] + [0, 1]  # (f, 3, 2), v down
        self._pixels = (self._pixels * sizes[self._photograph][:, None]).astype(np.float32)
        along, up = np.moveaxis(self._pixels[:, 1:] - self._pixels[:, :1], 1, 0)
        area = np.abs(cross_2d(along, up)) / 2  # pixels²
        surface = triangle_areas(self.vertices, self.faces)
        self.texels = np.sqrt(area / np.maximum(surface, 1e-9))
        self._pyramids = [_pyramid(from_uint8(image)) for image in scan.photographs]
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, self.vertices.astype(np.float32), self.faces.astype(np.int32))

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """The least and largest coordinates (3,) each of the triangles."""
        return self.corners.min(axis=(0, 1)), self.corners.max(axis=(0, 1))

    @cached_property
    def _middles(self) -> tuple[IntArray, cKDTree]:
        """The triangles that have an area, and a search tree of their middles."""
        solid = np.flatnonzero(self.normals.any(axis=1))
        if len(solid) == 0:
            raise DegenerateTriangleError(
                f"all triangles of {self.scan.name} have zero area; is it a point cloud?"
            )
        return solid, cKDTree(self.corners[solid].mean(axis=1))

    @cached_property
    def charts(self) -> IntArray:
        """The picture (f,) that each triangle is from: connected parts of one photograph.

        An atlas combines several photographs in one image; there, charts distinguish them.
        """
        f = len(self.faces)
        # an eighth of a pixel is the same place
        column, row = np.rint(self._pixels.reshape(-1, 2) * 8).T.astype(np.float64)
        places, place = np.unique(column + 1j * row, return_inverse=True)
        corner = np.repeat(self._photograph + 1, 3) * len(self.vertices)
        corner = (corner + self.faces.ravel()) * len(places) + place
        same = np.unique(corner, return_inverse=True)[1]  # (3f,)
        n = f + int(same.max()) + 1
        triangles = np.repeat(np.arange(f), 3)
        graph = coo_array((np.ones(3 * f), (triangles, f + same)), shape=(n, n))
        return np.asarray(connected_components(graph, directed=False)[1][:f], dtype=np.int64)

    @cached_property
    def squareness(self) -> FloatArray:
        """How squarely (f,) the photograph sees each triangle: 1 head-on, 0 from the side.

        1 where there is no photograph.

        The ratio of the shortest to the longest extent that a circle on the triangle has in the
        photograph, which is the cosine to the line of sight.
        """
        a, b, c = np.moveaxis(self.corners, 1, 0)
        along = b - a
        length = np.maximum(np.linalg.norm(along, axis=1), 1e-9)
        x = ((c - a) * along).sum(axis=1) / length  # the triangle in its plane: 0, length, (x, y)
        y = np.maximum(2 * triangle_areas(self.vertices, self.faces) / length, 1e-9)
        du, dv = np.moveaxis(self._pixels[:, 1:] - self._pixels[:, :1], 1, 0).astype(np.float64)
        e1 = du / length[:, None]
        e2 = (dv - x[:, None] * e1) / y[:, None]
        # singular values of a 2 x 2 matrix from its trace and determinant
        square, area = (e1**2 + e2**2).sum(axis=1), np.abs(cross_2d(e1, e2))
        root = np.sqrt(np.maximum(square**2 - 4 * area**2, 0))
        ratio = np.sqrt(np.maximum(square - root, 0) / np.maximum(square + root, 1e-12))
        return np.where(self._photograph < 0, 1.0, ratio)

    def cast(self, origins: FloatArray, directions: FloatArray) -> Places:
        """What rays (k, 3) from origins (k, 3) meet first, from whichever side."""
        hit = self._scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            output=True,
        )
        u, v = hit["u"].astype(np.float64), hit["v"].astype(np.float64)
        return Places(hit["primID"].astype(np.int64), np.column_stack([1 - u - v, u, v]))

    def nearest(self, points: FloatArray) -> Places:
        """The nearest places to points (k, 3) in mm."""
        solid, middles = self._middles
        k = min(NEIGHBOURS, len(solid))
        near = solid[middles.query(points, k=k)[1].reshape(len(points), k)]
        repeated = np.repeat(points, k, axis=0)  # (n k, 3)
        on = trimesh.triangles.closest_point(self.corners[near.ravel()], repeated)
        distance = np.linalg.norm(on - repeated, axis=1).reshape(near.shape)
        row, best = np.arange(len(points)), distance.argmin(axis=1)
        triangle = near[row, best]
        at = on.reshape(*near.shape, 3)[row, best]
        weights = trimesh.triangles.points_to_barycentric(self.corners[triangle], at)
        return Places(triangle, weights)

    @cached_property
    def border(self) -> NDArray[np.bool_]:
        """Which edges (f, 3), from each corner of a triangle to the next, have no other triangle.

        The border of the scan, and of the holes in it.
        """
        return border_edges(self.faces)

    def on_border(self, places: Places) -> NDArray[np.bool_]:
        """Whether places (k,) lie on the border: a nearest point there is often not the nearest."""
        on_edge = np.roll(places.weights, 1, axis=1) < ON_EDGE  # the one opposite to a corner
        return np.asarray((on_edge & self.border[places.triangle]).any(axis=1))

    def points(self, places: Places) -> FloatArray:
        """Positions (k, 3) in mm; NaN without a place."""
        at = np.einsum("kj,kjc->kc", places.weights, self.corners[places.triangle])
        return np.where(places.found[:, None], at, np.nan)

    def normals_at(self, places: Places) -> FloatArray:
        """Unit normals (k, 3), interpolated between the vertices'."""
        corners = self.vertex_normals[self.faces[places.triangle]]
        normals = np.einsum("kj,kjc->kc", places.weights, corners)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def colours(self, places: Places, footprint: FloatArray | float) -> Colours:
        """Linear RGB (k, 3) averaged over `footprint` mm (k,) of surface; zero without place.

        Without a photograph, between the colours of the vertices; grey in a scan without texture.
        """
        result = self._average(self._pyramids, places, footprint)
        scan, triangle = self.scan, places.triangle
        bare = np.flatnonzero(places.found & (self._photograph[triangle] < 0))
        if not scan.has_texture:
            result[bare] = GREY
        elif scan.colours is not None and len(bare):
            corners = from_uint8(scan.colours[np.asarray(scan.faces)[triangle[bare]]])
            result[bare] = np.einsum("kj,kjc->kc", places.weights[bare], corners)
        return result

    def average(
        self, images: Sequence[Colours], places: Places, footprint: FloatArray | float
    ) -> Colours:
        """Values (k, c) of images (h, w, c) in the photographs' stead, as in `colours`."""
        return self._average([_pyramid(image) for image in images], places, footprint)

    def _average(
        self, pyramids: list[list[Colours]], places: Places, footprint: FloatArray | float
    ) -> Colours:
        """Between the pixels' centres, and between two levels of a pyramid of halved copies.

        So a coarse picture of a fine photograph does not shimmer.
        """
        triangle, found = places.triangle, places.found
        at = np.einsum("kj,kjc->kc", places.weights.astype(np.float32), self._pixels[triangle])
        texels = np.maximum(self.texels[triangle] * footprint, 1e-6)
        level = np.maximum(np.log2(texels) - SHARPNESS, 0)
        channels = pyramids[0][0].shape[2] if pyramids else 3
        result = np.zeros((len(triangle), channels), np.float32)
        photograph = np.where(found, self._photograph[triangle], -1)
        for k, pyramid in enumerate(pyramids):
            clipped = np.minimum(level, len(pyramid) - 1)
            for step, image in enumerate(pyramid):
                share = 1 - np.abs(clipped - step)  # linear between two levels
                used = np.flatnonzero((photograph == k) & (share > 0))
                looked_up = bilinear(image, (at[used] / 2**step) - 0.5)
                result[used] += share[used, None].astype(np.float32) * looked_up
        return result


def reduced(scan: Scan, pixel: float) -> Scan:
    """A scan whose photographs have at most some `ENOUGH` pixels along one of `pixel` mm.

    They are halved, in light, as often as that takes: 16 bytes a pixel and seconds are saved.
    """
    if not scan.photographs or not scan.sized:
        return scan
    textured = np.flatnonzero(np.asarray(scan.photograph) >= 0)
    area = triangle_areas(scan.vertices, np.asarray(scan.faces)[textured]).sum()
    a, b, c = np.moveaxis(np.asarray(scan.uv)[textured], 1, 0)
    sizes = np.array([image.shape[0] * image.shape[1] for image in scan.photographs])
    texels = np.abs(cross_2d(b - a, c - a)) / 2 @ sizes[np.asarray(scan.photograph)[textured]]
    across = np.sqrt(texels / max(area, 1e-9)) * pixel
    halvings = max(0, int(np.floor(np.log2(max(across / ENOUGH, 1e-9)))))
    if not halvings:
        return scan
    return replace(scan, photographs=tuple(_shrunk(p, 2**halvings) for p in scan.photographs))


def _shrunk(image: Photograph, times: int) -> Photograph:
    """Means of an image's light over times x times pixels, some rows after the others."""
    h, w = (max(size // times, 1) for size in image.shape[:2])
    times = min(times, *image.shape[:2])
    rows = [
        from_uint8(image[k * times : (k + 1) * times, : w * times])
        .reshape(times, w, times, 3)
        .mean(axis=(0, 2))
        for k in range(h)
    ]
    return to_uint8(np.stack(rows))


def bilinear(image: Colours, at: NDArray[np.floating]) -> Colours:
    """Colours (k, c) between the pixels of (h, w, c) at (k, 2), column and row of pixel centres."""
    h, w = image.shape[:2]
    at = np.clip(at, 0, [w - 1, h - 1])
    low = np.minimum(at.astype(np.int64), [max(w - 2, 0), max(h - 2, 0)])
    x, y = np.moveaxis((at - low).astype(np.float32), 1, 0)[..., None]
    flat, first = image.reshape(h * w, -1), low[:, 1] * w + low[:, 0]
    right, below = int(w > 1), w * int(h > 1)
    above = flat[first] * (1 - x) + flat[first + right] * x
    under = flat[first + below] * (1 - x) + flat[first + below + right] * x
    return np.asarray(above * (1 - y) + under * y)


def welded(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """The mesh with one vertex at each place; the same arrays if it is so already."""
    unique, inverse = np.unique(vertices, axis=0, return_inverse=True)
    if len(unique) == len(vertices):
        return vertices, faces
    return unique, inverse.ravel()[faces]


def _pyramid(image: Colours) -> list[Colours]:
    """An image (h, w, c), and copies of half the size down to a few pixels."""
    levels = [image]
    while min(levels[-1].shape[:2]) > 8:
        image = levels[-1]
        h, w = image.shape[:2]
        image = np.pad(image, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
        rows = image[0::2] + image[1::2]
        levels.append(np.asarray((rows[:, 0::2] + rows[:, 1::2]) / 4, np.float32))
    return levels
