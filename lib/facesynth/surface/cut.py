"""Cutting a mesh along a smooth curve that need not follow its edges."""

import numpy as np
from numpy.typing import ArrayLike

from facesynth.surface.mesh import FloatArray, IntArray, MeshArrayError, check_arrays, edges

# A vertex nearer to the curve than this share of an edge is moved on to it: without that, triangles
# beside the curve would be as thin as chance makes them.
SNAP = 0.4


def cut(
    vertices: ArrayLike, faces: ArrayLike, values: ArrayLike, mirror: IntArray | None = None
) -> tuple[IntArray, FloatArray, IntArray]:
    """The part of a mesh where values (m,) at its vertices are positive, cut where they are zero.

    vertices : (m, 3) and faces : (f, 3). mirror : (m,) the vertices' mirror images, if mesh and
    values are symmetric: then the part is, too.

    Returns, for each of the part's k vertices, two of the mesh's (k, 2) and their weights (k, 2),
    and the part's triangles (g, 3). A vertex that lies on no edge has the weights 1 and 0. Raises
    `MeshError` subclasses.
    """
    points, triangles = check_arrays(vertices, faces)
    value = np.array(values, dtype=np.float64)
    m = len(points)
    if value.shape != (m,) or not np.isfinite(value).all():
        raise MeshArrayError(f"values of shape {value.shape}; expected finite ones, ({m},)")
    edge = edges(triangles)
    crossed = edge[(value[edge[:, 0]] > 0) != (value[edge[:, 1]] > 0)]
    ends = np.concatenate([crossed, crossed[:, ::-1]])  # (c, 2) from each end to the other
    where = value[ends[:, 0]] / (value[ends[:, 0]] - value[ends[:, 1]])
    if mirror is not None:  # vertices of the midline move along it alone
        middle = mirror == np.arange(m)
        along = middle[ends].all(axis=1)
        allowed = ~middle[ends[:, 0]] | along
        ends, where = ends[allowed], where[allowed]
    near = np.flatnonzero(where < SNAP)
    near = near[np.argsort(-where[near], kind="stable")]  # the nearest is written last
    towards, share = np.arange(m), np.zeros(m)
    towards[ends[near, 0]], share[ends[near, 0]] = ends[near, 1], where[near]
    side = np.where(value > 0, 1, -1)
    side[ends[near, 0]] = 0

    split = crossed[side[crossed].prod(axis=1) < 0]  # (s, 2) edges that get a vertex of their own
    at = value[split[:, 0]] / (value[split[:, 0]] - value[split[:, 1]])
    corners = np.concatenate([np.column_stack([np.arange(m), towards]), split])
    second = np.concatenate([share, at])
    weights = np.column_stack([1 - second, second])  # (m + s, 2)
    places = np.einsum("nk,nkc->nc", weights, points[corners])
    kept = _kept(triangles, side, split, places)
    used, numbered = np.unique(kept, return_inverse=True)
    return corners[used], weights[used], numbered.reshape(-1, 3)


def _kept(triangles: IntArray, side: IntArray, split: IntArray, points: FloatArray) -> IntArray:
    """The triangles on the positive side; those that the curve crosses in parts."""
    new = {frozenset(pair): len(side) + k for k, pair in enumerate(split.tolist())}
    signs = side[triangles]
    whole = triangles[(signs >= 0).all(axis=1) & (signs > 0).any(axis=1)]
    parts = []
    for corners in triangles[(signs > 0).any(axis=1) & (signs < 0).any(axis=1)].tolist():
        polygon = []
        for i, j in zip(corners, corners[1:] + corners[:1], strict=True):
            if side[i] >= 0:
                polygon.append(i)
            if side[i] * side[j] < 0:
                polygon.append(new[frozenset((i, j))])
        if len(polygon) == 4:  # cut along the shorter diagonal
            a, b, c, d = points[polygon]
            if np.linalg.norm(b - d) < np.linalg.norm(a - c):
                polygon = polygon[1:] + polygon[:1]
            parts.append([polygon[0], polygon[2], polygon[3]])
        parts.append(polygon[:3])
    return np.concatenate([whole, np.array(parts, dtype=np.int64).reshape(-1, 3)])
