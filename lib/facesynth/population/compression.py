r"""How far an expression squeezes the skin, and along which direction: where wrinkles deepen.

The squeeze is measured on the mesh: each triangle of the expressive face against the same triangle
of the neutral one. It is kept as a symmetric 2 x 2 tensor in the unrolled plane of the template,
$K = c\,d d^T$, with $d$ the direction in which the skin is shortened most and $c$ the share of its
length that is lost; $n^T K n$ is then what a furrow across $n$ feels of it.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from facesynth.population.noise import Floats
from facesynth.population.occlusion import neighbour_mean
from facesynth.surface.mesh import triangle_areas

MOST = 0.5  # share of its length that skin can lose: beyond, a triangle is folded, not squeezed
_FLAT = 0.15  # least share of a triangle's area that the plane must show, for it to be measured
_SMOOTHINGS = 6  # means over neighbours: skin gives way over a few mm, not triangle by triangle


class Compression:
    """Measures the squeeze of one face after another, for one mesh and its unrolled plane.

    vertices : (m, 3) of the template, mm. plane : (m, 2) its vertices unrolled. faces : (f, 3).
    """

    def __init__(self, vertices: ArrayLike, plane: ArrayLike, faces: NDArray[np.integer]) -> None:
        self._faces = faces
        m, f = len(np.asarray(plane)), len(faces)
        sides = _sides(np.asarray(plane, dtype=float), faces)  # (f, 2, 2)
        area = triangle_areas(vertices, faces)
        shown = 0.5 * np.abs(np.linalg.det(sides)) > _FLAT * area
        sides[~shown] = np.eye(2)
        self._to_plane = np.linalg.inv(sides)
        weight = np.where(shown, area, 0.0)
        gather = sp.csr_array(
            (np.repeat(weight, 3), (faces.ravel(), np.repeat(np.arange(f), 3))), shape=(m, f)
        )
        total = np.maximum(gather.sum(axis=1), 1e-9)
        self._at_vertices = sp.csr_array(gather / total[:, None])
        self._smooth = neighbour_mean(faces, m)

    def tensor(self, neutral: ArrayLike, expressive: ArrayLike) -> Floats:
        """K (m, 3) at the vertices, as K_ss, K_st, K_tt, of a face (m, 3) and its expression."""
        before, after = (self._metric(points) for points in (neutral, expressive))
        # in a frame in which the neutral triangle is undistorted: inverse of its Cholesky factor
        frame = np.linalg.inv(np.linalg.cholesky(before))
        stretch, direction = np.linalg.eigh(frame @ after @ frame.transpose(0, 2, 1))
        lost = np.clip(1 - np.sqrt(np.maximum(stretch[:, 0], 0)), 0, MOST)  # the smaller one first
        ds, dt = direction[:, :, 0].T
        triangles = lost[:, None] * np.stack([ds * ds, ds * dt, dt * dt], axis=1)
        at_vertices = self._at_vertices @ triangles
        for _ in range(_SMOOTHINGS):
            at_vertices = self._smooth @ at_vertices
        return np.asarray(at_vertices, dtype=np.float32)

    def _metric(self, points: ArrayLike) -> NDArray[np.float64]:
        """Dot products (f, 2, 2) of the triangles' images of the plane's two axes."""
        jacobian = _sides(np.asarray(points, dtype=float), self._faces) @ self._to_plane
        metric = jacobian.transpose(0, 2, 1) @ jacobian
        return metric + 1e-9 * np.eye(2)


def _sides(points: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Two sides of each triangle as columns (f, d, 2)."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.stack([b - a, c - a], axis=2)
