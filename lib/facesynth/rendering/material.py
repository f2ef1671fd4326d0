"""What a surface is made of: a texture, colours at its vertices, or clay."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from facesynth.rendering.colour import from_uint8
from facesynth.surface.mesh import Floats

CLAY = np.array([0.42, 0.40, 0.375], np.float32)  # linear RGB


class MaterialError(ValueError):
    """The colours given for a mesh do not match it."""


class Hits(NamedTuple):
    """What k rays hit: the triangles' `corners` (k, 3) and barycentric `weights` (k, 3)."""

    corners: NDArray[np.int64]
    weights: Floats

    def interpolate(self, values: Floats) -> Floats:
        """Values (m,) or (m, c) of the vertices at the hits: (k,) or (k, c)."""
        return np.einsum("kj,kj...->k...", self.weights, values[self.corners])


def check_material(
    m: int,
    uv: ArrayLike | None,
    texture: ArrayLike | None,
    vertex_colors: ArrayLike | None,
    relief: ArrayLike | None = None,
    gloss: ArrayLike | None = None,
) -> None:
    """Raise `MaterialError` if colours do not match m vertices or each other."""
    if vertex_colors is not None and (uv is not None or texture is not None):
        raise MaterialError("give either uv and texture or vertex_colors, not both")
    if relief is not None:
        if uv is None:
            raise MaterialError("relief is an image; it needs the uv of the vertices")
        if np.ndim(relief) != 2 or np.shape(relief)[0] != np.shape(relief)[1]:
            raise MaterialError(f"relief has shape {np.shape(relief)}; expected (R, R)")
        if not np.isfinite(relief).all():
            raise MaterialError("relief has values that are not finite")
    if (uv is None) != (texture is None) and relief is None:
        raise MaterialError("uv and texture belong together; one of them is missing")
    for name, array, shape in (
        ("uv", uv, (m, 2)),
        ("vertex_colors", vertex_colors, (m, 3)),
        ("gloss", gloss, (m,)),
    ):
        if array is not None and np.shape(array) != shape:
            raise MaterialError(f"{name} has shape {np.shape(array)}; this mesh needs {shape}")
    if texture is not None and (np.ndim(texture) != 3 or np.shape(texture)[2] != 3):
        raise MaterialError(f"texture has shape {np.shape(texture)}; expected (R, R, 3)")


def albedo(
    hits: Hits, uv: ArrayLike | None, texture: ArrayLike | None, vertex_colors: ArrayLike | None
) -> Floats:
    """Linear RGB (k, 3) of the surface at the hits."""
    if vertex_colors is not None:
        return hits.interpolate(_linear(vertex_colors))
    if uv is None or texture is None:
        return np.broadcast_to(CLAY, hits.weights.shape)
    return look_up(_linear(texture), hits.interpolate(np.asarray(uv, np.float32)))


def look_up(image: Floats, uv: Floats) -> Floats:
    """Values (k, c) of an image (R, R, c) at uv (k, 2), bilinear between the texels' centres."""
    u, v = uv.T
    # Row 0 is at v = 1, and a texel's centre half a texel from its corner.
    where = np.stack([(1 - v) * image.shape[0] - 0.5, u * image.shape[1] - 0.5])
    channels = [
        map_coordinates(image[..., c], where, order=1, mode="nearest")
        for c in range(image.shape[2])
    ]
    return np.stack(channels, axis=1)


def _linear(colours: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(colours)
    return from_uint8(array) if array.dtype == np.uint8 else array.astype(np.float32)
