"""The universal mapping between faces and images: Section 5.3 of the paper.

All faces share the template's triangles, so one flattening of the template onto the unit square
(`parameterization`) carries every face's colours, or its coordinates, to an image and back.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.linalg import SuperLU

from facesynth.mapping.density import settled
from facesynth.mapping.image_mapping import ImageMapping, bilinear, check_resolution, rasterize
from facesynth.mapping.parameterization import check_weights, parameterize
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshArrayError,
    MeshError,
    check_arrays,
    check_boundary,
    check_disk,
    contained,
    factorize,
    graph_laplacian,
)
from facesynth.template import Template

# Smoothness of the correction in `to_vertices`, in pixels a vertex: it trades the error of a round
# trip (a tenth of this halves it) against the noise of a generated image that reaches the vertices.
_SMOOTHNESS = 0.05


class AsymmetricTemplateError(MeshError):
    """The template is not its own mirror image."""


class UniversalMapping(ImageMapping):
    """The mapping between faces and square images that all faces share (Section 5.3).

    Built once from a template: its parametrisation `uv` (m, 2) and the sparse operators both ways.
    If the template has a `mirror`, `uv` is exactly mirror symmetric, so that the image of a
    mirrored face is the mirrored image; a template whose `mirror` is None may have any shape.

    vertex_weights : (m,) positive, see `parameterize`; by default the template's own, or those that
    give `region_density(template)`. With a `mirror` they must be symmetric. Raises subclasses of
    `MeshError`, and `WeightError`; warns as `parameterize` does.
    """

    def __init__(
        self, template: Template, resolution: int, vertex_weights: ArrayLike | None = None
    ) -> None:
        self.template = template
        vertices, faces = check_arrays(template.vertices, template.faces)
        boundary = check_boundary(template.boundary, check_disk(vertices, faces))
        if vertex_weights is None:
            _check_symmetry(template, np.ones(len(vertices)))
            vertex_weights = settled(template).weights
        self.vertex_weights = check_weights(vertex_weights, len(vertices))
        mirror = _check_symmetry(template, self.vertex_weights)
        uv = parameterize(vertices, faces, self.vertex_weights, start=int(boundary[0]))
        if mirror is not None:
            # Symmetric up to the solver's rounding, as mesh, boundary and weights are; now wholly.
            uv = (uv + np.column_stack([1 - uv[mirror, 0], uv[mirror, 1]])) / 2
        super().__init__(uv, faces, *rasterize(uv, faces, check_resolution(resolution)))
        seen = self.barycentric[self.mask.ravel()]  # (p, m)
        self._look_up = bilinear(uv, self.resolution)
        self._gather = csr_array(seen.T)
        self._normal = csr_array(seen.T @ seen)

    @cached_property
    def _correct(self) -> SuperLU:
        return factorize(self._normal + _SMOOTHNESS * graph_laplacian(self.faces))

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process without the factors, which are found anew there."""
        return {name: value for name, value in vars(self).items() if name != "_correct"}

    def to_vertices(self, image: ArrayLike) -> FloatArray:
        """Images (..., R, R, c) to values (..., m, c) at the vertices.

        A bilinear look-up at the vertices blurs, and each vertex sees only four pixels. It is
        corrected by damped least squares, so that `to_image` of the result comes close to the given
        image: values that `to_image` wrote are recovered, and the noise of other images is averaged
        out. Where triangles are smaller than pixels, the correction is smooth.
        """
        array, size = np.asarray(image), self.resolution
        if array.ndim < 3 or array.shape[-3:-1] != (size, size):
            raise MeshArrayError(
                f"image has shape {array.shape}; expected (..., {size}, {size}, c)"
            )
        shape = array.shape[:-3] + array.shape[-1:]  # (..., c)
        pixels = np.moveaxis(array, (-3, -2), (0, 1)).reshape(size * size, -1)  # (R², n c)
        values = self._look_up @ pixels  # (m, n c)
        residual = self._gather @ pixels[self.mask.ravel()] - self._normal @ values
        values = values + self._correct.solve(residual)
        return np.moveaxis(values.reshape(-1, *shape), 0, -2)  # (..., m, c)


def _check_symmetry(template: Template, weights: FloatArray) -> IntArray | None:
    """The mirror permutation (m,), if there is one; all else must agree with it."""
    if template.mirror is None:
        return None
    vertices, faces = check_arrays(template.vertices, template.faces)
    mirror = np.asarray(template.mirror)
    every = np.arange(len(vertices))
    if not np.array_equal(np.sort(mirror), every):
        raise AsymmetricTemplateError(
            f"mirror is not a permutation of the vertices: it has shape {mirror.shape}, "
            f"expected ({len(every)},), each vertex once"
        )
    wrong = {
        "the mirror image of the mirror image": mirror[mirror] != every,
        "positions": np.abs(vertices[mirror] * [-1, 1, 1] - vertices).max(axis=1)
        > 1e-6 * np.ptp(vertices),
        "faces": np.isin(every, faces[~contained(faces, mirror[faces[:, ::-1]])]),
        "weights": ~np.isclose(weights[mirror], weights, rtol=1e-9, atol=0),
        "the boundary's start": (every == template.boundary[0]) & (mirror != every),
    }
    found = [f"{what} at vertex {np.flatnonzero(w)[0]}" for what, w in wrong.items() if w.any()]
    if found:
        raise AsymmetricTemplateError(
            f"the template differs from its mirror image: {', '.join(found)}; make template and "
            "weights symmetric, or set mirror to None for a mapping that is not"
        )
    return mirror
