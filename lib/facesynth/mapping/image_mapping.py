"""From the vertices of a mesh to the pixels of an image: sparse operators and what they measure.

Images have shape (R, R, c) with the top row first; the centre of pixel (r, c) lies at
$u = (c + 1/2) / R$, $v = 1 - (r + 1/2) / R$.
"""

import numpy as np
import trimesh
from matplotlib.tri import Triangulation
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_array

from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshArrayError,
    check_arrays,
    interpolation,
    triangle_areas,
    vertex_areas,
    vertex_normals,
)
from facesynth.template import Template


class ImageMapping:
    """Moves what is known at a mesh's vertices to the pixels of an image.

    uv : (m, 2), where each vertex lies in the image. faces : (f, 3). mask : (R, R), True where a
    pixel's centre sees a triangle. barycentric : (R², m) sparse, three entries a row; a pixel
    outside the mask takes the row of the nearest one inside.
    """

    def __init__(
        self, uv: FloatArray, faces: IntArray, triangle: IntArray, within: FloatArray
    ) -> None:
        """Take the triangle (R, R) that a pixel sees, or -1, and its corners' weights (R, R, 3)."""
        self.uv = uv
        self.faces = faces
        self.resolution = len(triangle)
        self.mask = triangle >= 0
        nearest = tuple(
            distance_transform_edt(~self.mask, return_distances=False, return_indices=True)
        )
        corners, weights = faces[triangle[nearest]], within[nearest]  # (R, R, 3) each
        self.barycentric = interpolation(corners, weights, len(uv))

    def to_image(self, values: ArrayLike) -> FloatArray:
        """Values (..., m, c) at the vertices to images (..., R, R, c), linear in each triangle."""
        array = np.asarray(values)
        m, size = len(self.uv), self.resolution
        if array.ndim < 2 or array.shape[-2] != m:
            raise MeshArrayError(f"values have shape {array.shape}; expected (..., {m}, c)")
        flat = np.moveaxis(array, -2, 0).reshape(m, -1)  # (m, n c)
        image = (self.barycentric @ flat).reshape(size, size, *array.shape[:-2], array.shape[-1])
        return np.moveaxis(image, (0, 1), (-3, -2))  # (..., R, R, c)

    def surface(
        self, vertices: ArrayLike, displacement: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Points (R, R, 3) of a face (m, 3), in mm, and unit normals (R, R, 3).

        The normals are interpolated between the vertices', so they are continuous, and so are the
        points, moved along them by a displacement (R, R) in mm: all detail that was measured.
        """
        points = self.to_image(np.asarray(vertices, dtype=np.float64))
        normals = self.to_image(vertex_normals(vertices, self.faces))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        if displacement is not None:
            points += check_displacement(displacement, self.resolution)[..., None] * normals
        return points, normals


def ray_cast_mapping(template: Template, resolution: int) -> ImageMapping:
    """The earlier mapping of Slossberg et al. (2018), for comparison: rays from a cylinder.

    A cylinder is wrapped around the face, its axis vertical through the middle of the head. From
    each pixel a ray is cast towards the axis and keeps what it meets first; rays that miss leave
    blanks. The unrolled cylinder keeps its proportions, at the face's mean radius, and is as large
    as the image allows. What lies hidden, as under the nose, gets no pixel.
    """
    vertices, faces = check_arrays(template.vertices, template.faces)
    size = check_resolution(resolution)
    axis = np.array([0.0, 0.0, vertices[np.abs(vertices[:, 0]).argmax(), 2]])  # at the widest
    x, y, z = (vertices - axis).T
    angle, radius = np.arctan2(x, z), np.hypot(x, z)
    scale = np.array([1 / radius.mean(), 1.0])  # a mm on the image: radians, mm
    unrolled = np.column_stack([angle, y]) / scale  # (m, 2) in mm
    side = np.ptp(unrolled, axis=0).max()
    low = (unrolled.max(axis=0) + unrolled.min(axis=0) - side) / 2
    uv = (unrolled - low) / side

    angle, height = ((pixel_centres(size) * side + low) * scale).T  # (R²,)
    outward = np.column_stack([np.sin(angle), np.zeros(size * size), np.cos(angle)])
    origins = 2 * radius.max() * outward + height[:, None] * [0, 1, 0] + axis
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    points, ray, triangle = mesh.ray.intersects_location(origins, -outward, multiple_hits=False)
    seen = np.full(size * size, -1)
    within = np.zeros((size * size, 3))
    seen[ray] = triangle
    within[ray] = trimesh.triangles.points_to_barycentric(mesh.triangles[triangle], points)
    return ImageMapping(uv, faces, seen.reshape(size, size), within.reshape(size, size, 3))


def distortion(
    vertices: ArrayLike, faces: ArrayLike, uv: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """How each triangle is stretched: area (f,) and angle (f,) distortion of a map uv (m, 2).

    With s1 >= s2 the singular values of the linear map from the triangle (mm) to its image, area
    is s1 s2 over the whole surface's own ratio: 1 is its fair share, 2 twice as much. Angle is
    s1 / s2: 1 is conformal, circles stay circles; 2 makes them ellipses twice as long as wide.
    """
    points, triangles, flat = np.asarray(vertices), np.asarray(faces), np.asarray(uv)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    along = b - a
    length = np.linalg.norm(along, axis=1)
    x = ((c - a) * along).sum(axis=1) / length  # the triangle in its plane: (0,0) (length,0) (x,y)
    y = 2 * triangle_areas(points, triangles) / length
    du, dv = (flat[triangles[:, k]] - flat[triangles[:, 0]] for k in (1, 2))
    e1 = du / length[:, None]  # the Jacobian's columns (f, 2)
    e2 = (dv - x[:, None] * e1) / y[:, None]
    s = np.linalg.svd(np.stack([e1, e2], axis=2), compute_uv=False)  # (f, 2)
    area = s.prod(axis=1)
    total = triangle_areas(points, triangles)
    return area * total.sum() / (area @ total), s[:, 0] / s[:, 1]


def texels_per_mm2(mapping: ImageMapping, vertices: ArrayLike, region: ArrayLike) -> float:
    """Pixels for each mm² of a region (m,), memberships in [0, 1], on a face (m, 3) in mm."""
    member = np.asarray(region, dtype=np.float64)
    pixels = (mapping.barycentric[mapping.mask.ravel()] @ member).sum()
    return float(pixels / (vertex_areas(vertices, mapping.faces) @ member))


def check_resolution(resolution: int) -> int:
    """Return the resolution, if it is a whole number of at least two pixels."""
    if resolution != int(resolution) or resolution < 2:
        raise MeshArrayError(f"resolution {resolution}; expected a whole number of pixels from 2")
    return int(resolution)


def check_displacement(displacement: ArrayLike, resolution: int) -> FloatArray:
    """Return a displacement (R, R) in mm, if it is finite and of this resolution."""
    found = np.asarray(displacement, dtype=np.float64)
    if found.shape != (resolution, resolution):
        raise MeshArrayError(
            f"a displacement of shape {found.shape}; expected {resolution} x {resolution} pixels, "
            "as the texture has"
        )
    if not np.isfinite(found).all():
        raise MeshArrayError("a displacement with NaN or infinite pixels; 0 is where none is known")
    return found


def pixel_centres(resolution: int) -> FloatArray:
    """(u, v) of each pixel's centre (R², 2), rows from the top."""
    centre = (np.arange(resolution) + 0.5) / resolution
    u, v = np.meshgrid(centre, 1 - centre)
    return np.column_stack([u.ravel(), v.ravel()])


def rasterize(uv: FloatArray, faces: IntArray, resolution: int) -> tuple[IntArray, FloatArray]:
    """The triangle (R, R) at each pixel's centre, or -1, and its corners' weights (R, R, 3)."""
    centres = pixel_centres(resolution)
    finder = Triangulation(uv[:, 0], uv[:, 1], faces).get_trifinder()
    triangle = np.asarray(finder(centres[:, 0], centres[:, 1]), dtype=np.int64)  # (R²,)
    a, b, c = (uv[faces[triangle, k]] for k in range(3))
    ab, ac, ap = b - a, c - a, centres - a
    double_area = cross_2d(ab, ac)
    beta, gamma = cross_2d(ap, ac) / double_area, cross_2d(ab, ap) / double_area
    within = np.column_stack([1 - beta - gamma, beta, gamma])
    return triangle.reshape(resolution, resolution), within.reshape(resolution, resolution, 3)


def bilinear(uv: FloatArray, resolution: int) -> csr_array:
    """Return the operator (m, R²) that looks images up at uv (m, 2), from four pixels each.

    Linear between the centres of pixels, and beyond the outermost ones up to the image's border.
    """
    position = np.column_stack([1 - uv[:, 1], uv[:, 0]]) * resolution - 0.5  # row, column
    first = np.clip(np.floor(position).astype(np.int64), 0, resolution - 2)
    beyond = position - first
    share = np.stack([1 - beyond, beyond])  # (2, m, 2): of the first pixel and the next one
    weights = share[:, None, :, 0] * share[None, :, :, 1]  # (2, 2, m)
    row, column = first.T[:, None] + np.arange(2)[:, None]  # (2, m) each
    pixels = row[:, None] * resolution + column[None]  # (2, 2, m)
    return interpolation(pixels.reshape(4, -1).T, weights.reshape(4, -1).T, resolution**2)


def between(source: ImageMapping, target: ImageMapping) -> csr_array:
    """The operator (T², S²) that takes images of one mapping to those of another of the same mesh.

    Each pixel of `target` sees a point of the surface, and looks it up in the image of `source`.
    """
    return bilinear(target.barycentric @ source.uv, source.resolution)


def shrunk(image: ArrayLike, resolution: int, mask: ArrayLike | None = None) -> FloatArray:
    """An image (f R, f R, c), and its mask, to (R, R, c): means of what the mask holds, or else 0.

    Raises `MeshArrayError` if the image's side is no multiple of the resolution.
    """
    pixels = np.asarray(image, dtype=np.float64)
    side, factor = check_resolution(resolution), len(pixels) // resolution
    if pixels.shape[:2] != (factor * side, factor * side):
        raise MeshArrayError(f"an image of {pixels.shape[:2]} pixels cannot be shrunk to {side}")
    weight = np.ones(pixels.shape[:2]) if mask is None else np.asarray(mask, dtype=np.float64)
    blocks = (side, factor, side, factor, -1)  # (R, f, R, f, c)
    total = (pixels * weight[..., None]).reshape(blocks).sum(axis=(1, 3))
    return np.asarray(total / np.maximum(weight.reshape(blocks).sum(axis=(1, 3)), 1))


def cross_2d(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cross products (k,) of plane vectors (k, 2): twice the area they span."""
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
