"""Relief finer than the mesh, as bent normals (Blinn 1978).

A surface displaced by h along its normal n has the normal n - ∇h, with the gradient taken on the
surface. The image holds h as a function of u and v, so ∇h = ∂h/∂u ∇u + ∂h/∂v ∇v.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from facesynth.rendering.material import Hits, look_up
from facesynth.surface.mesh import Floats, triangle_areas

_FOOTPRINT = 0.45  # of a pixel: standard deviation of the filter against what is finer than it


def bend(
    normals: Floats,  # (k, 3) unit, at the hits
    hits: Hits,
    points: Floats,  # (m, 3) mm
    faces: NDArray[np.integer],  # (f, 3)
    uv: ArrayLike,  # (m, 2)
    relief: ArrayLike,  # (R, R) mm outwards
    pixel: float,  # mm that a sample of the picture sees
) -> Floats:
    """Normals (k, 3), of any length, of the surface displaced by its relief."""
    where = np.asarray(uv, dtype=np.float32)
    image = np.asarray(relief, dtype=np.float32)
    size = len(image)
    texel = np.sqrt(triangle_areas(points, faces).sum()) / size
    blur = _FOOTPRINT * pixel / texel
    if blur > _FOOTPRINT:  # the picture's samples are further apart than the relief's
        image = gaussian_filter(image, blur, truncate=2.5)
    down, right = np.gradient(image)
    gradient = np.stack([right, -down], axis=-1) * size  # ∂h/∂u, ∂h/∂v
    slope = look_up(gradient, hits.interpolate(where))
    along = surface_gradients(points, faces, where)  # of u and v
    axes = hits.interpolate(along.reshape(-1, 6)).reshape(-1, 2, 3)
    return normals - slope[:, :1] * axes[:, 0] - slope[:, 1:] * axes[:, 1]


def surface_gradients(
    points: Floats, faces: NDArray[np.integer], values: Floats
) -> NDArray[np.float32]:
    """Gradients (m, c, 3) on the surface of values (m, c), the mean over each vertex' triangles."""
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)  # (f, 3), twice the area long
    squared = np.maximum(np.einsum("fi,fi->f", normal, normal), 1e-12)
    # of the linear function through the corners: sum of value times n x opposite side / (2 A)
    opposite = np.stack([c - b, a - c, b - a], axis=1)  # (f, 3, 3)
    hats = np.cross(normal[:, None], opposite) / squared[:, None, None]
    of_triangle = np.einsum("fkc,fki->fci", values[faces], hats)  # (f, c, 3)
    area = 0.5 * np.sqrt(squared)
    corner = (np.repeat(area, 3), (faces.ravel(), np.repeat(np.arange(len(faces)), 3)))
    gather = sp.csr_array(corner, shape=(len(points), len(faces)))
    mean = gather @ of_triangle.reshape(len(faces), -1)
    mean /= np.maximum(gather.sum(axis=1), 1e-12)[:, None]
    return mean.reshape(len(points), values.shape[1], 3).astype(np.float32)
