r"""A surface of disk topology, flattened onto the unit square: Section 5.3 of the paper.

An inner vertex $u_i$ lies at the weighted mean of its neighbours [Floater 1997],

$$u_i = \sum_j \lambda_{i,j} u_j \quad (4), \qquad
  \lambda_{i,j} = w_{i,j} / \textstyle\sum_j w_{i,j} \quad (5),$$

while the boundary runs along the square's sides by arc length from the chin (Eq. 6). Where that
would collapse triangles, the sides are bowed outwards a little: see `parameterize`.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, eye_array

from facesynth.mapping.image_mapping import cross_2d
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshError,
    check_arrays,
    check_disk,
    edges,
    factorize,
)

# How far each side of the square is bowed for a mesh with dividing edges, in widths of the square:
# the middle of a side stays on the square, its ends move in by this much. The more, the larger are
# the triangles that dividing edges cut off, and the less of the square is covered.
BOW = 0.02

# How close to a side of the square a vertex counts as on it. One meant for a corner may miss it by
# rounding, and a dividing edge from there would cut off triangles no thicker than that.
_ON_SIDE = 1e-9


class WeightError(ValueError):
    """Vertex weights that are not finite and positive, one for each vertex."""


class StartVertexError(MeshError):
    """The vertex to start the boundary at is not on the boundary."""


class BoundaryWarning(UserWarning):
    """The boundary is bowed, since triangles would collapse on the square's straight sides."""


class CollapsedTriangleError(MeshError):
    """A triangle has no positive area in the plane: it is too small for floating point numbers."""


def parameterize(
    vertices: ArrayLike,
    faces: ArrayLike,
    vertex_weights: ArrayLike | None = None,
    start: int | None = None,
) -> FloatArray:
    """Map any surface of disk topology one-to-one into the unit square (Section 5.3).

    vertices : (m, 3) in mm; faces : (f, 3), counter-clockwise seen from outside.
    vertex_weights : (m,) positive. How much the surface around a vertex is to be magnified,
        compared to the rest: edges at a weight of 2 are to be twice as long in the plane as edges
        of the same length on the surface at a weight of 1. A larger weight gives a larger area.
        Only ratios matter; constant weights, the default, magnify the whole surface alike.
    start : the boundary vertex put at the bottom's centre (0.5, 0); by default the lowest one.

    Returns uv (m, 2) in [0, 1]. No triangle is flipped, and each has a positive area.

    The boundary runs along the square's sides, and the corners of the square are cut off between
    the two boundary vertices next to them: of b evenly spaced vertices that takes at most 8 / b²
    of the area. Triangles would collapse into a side if a *dividing edge*, an inner edge between
    two boundary vertices, had both its ends on it (see `dividing_edges`), as at the corners of a
    regular grid. For such a mesh the sides are bowed outwards, see `bowed`, and a
    `BoundaryWarning` says so: then Eq. 4 is one-to-one whatever the edges [Floater 2003], and 97 %
    of the square is left to the surface.

    Raises subclasses of `MeshError`, and `WeightError`.
    """
    springs = Springs.of(vertices, faces, start)
    uv = springs.solve(check_weights(vertex_weights, len(springs.points)))
    _check_orientation(uv, springs.faces)
    return uv


@dataclass(frozen=True)
class Springs:
    """The network of a surface: what all choices of weights have in common.

    `loop` is the boundary from its start, `boundary_uv` where it lies, `uniform` the solution for
    equal springs, which Eq. 5's weights are normalised by.
    """

    points: FloatArray  # (m, 3)
    faces: IntArray  # (f, 3)
    edge: IntArray  # (e, 2)
    lengths: FloatArray  # (e,) mm
    loop: IntArray  # (b,)
    boundary_uv: FloatArray  # (b, 2)
    uniform: FloatArray  # (m, 2), the solution for equal springs

    @classmethod
    def of(cls, vertices: ArrayLike, faces: ArrayLike, start: int | None) -> "Springs":
        """The network of a mesh (m, 3), (f, 3): see `parameterize`, which tells what it raises."""
        points, triangles = check_arrays(vertices, faces)
        loop = check_disk(points, triangles)
        loop = _start_at(loop, loop[points[loop, 1].argmin()] if start is None else start)
        boundary_uv = boundary_positions(points, loop)
        edge = edges(triangles)
        dividing = dividing_edges(edge, loop, boundary_uv)
        if len(dividing):
            warnings.warn(_bowed_message(dividing), BoundaryWarning, stacklevel=3)
            boundary_uv = bowed(boundary_uv)
        uniform = solve(edge, np.ones(len(edge)), loop, boundary_uv)
        return cls(points, triangles, edge, edge_lengths(points, edge), loop, boundary_uv, uniform)

    def solve(self, vertex_weights: FloatArray) -> FloatArray:
        """Return uv (m, 2) for weights (m,): u and v are two sides of one factorisation."""
        weights = edge_weights(self.edge, self.lengths, vertex_weights, self.uniform)
        return solve(self.edge, weights, self.loop, self.boundary_uv)


def boundary_positions(vertices: FloatArray, loop: IntArray) -> FloatArray:
    """Eq. 6: the points (b, 2) on the square's sides for a boundary loop (b,), by arc length."""
    lengths = np.linalg.norm(vertices[np.roll(loop, -1)] - vertices[loop], axis=1)  # L_j
    t = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) / lengths.sum()  # Eq. 6
    # C(t): from the bottom's centre to the right and once around. The corner k = 0..3 is reached
    # after 1/8 + k/4 of the way.
    corners = np.array([[0.5, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0.5, 0]])
    at = np.array([0, 0.125, 0.375, 0.625, 0.875, 1])
    return np.column_stack([np.interp(t, at, corners[:, k]) for k in range(2)])


def dividing_edges(edge: IntArray, loop: IntArray, boundary_uv: FloatArray) -> IntArray:
    """The inner edges (k, 2) with both ends on one side of the square.

    edge : (e, 2); boundary_uv : (b, 2), the positions of the boundary loop (b,) on the square.

    The triangles that such an edge cuts off would have no area. If there is no such edge, Eq. 4 is
    one-to-one within the square [Floater 2003].
    """
    sides = np.zeros((int(edge.max()) + 1, 4), dtype=bool)
    sides[loop] = np.column_stack([boundary_uv <= _ON_SIDE, boundary_uv >= 1 - _ON_SIDE])
    following = np.full(len(sides), -1)
    following[loop] = np.roll(loop, -1)
    a, b = edge.T
    inner = (following[a] != b) & (following[b] != a)
    return edge[(sides[a] & sides[b]).any(axis=1) & inner]


def bowed(boundary_uv: FloatArray, bow: float = BOW) -> FloatArray:
    """Points (b, 2) on the square's sides, moved onto four parabolas that bow outwards.

    The middle of each side stays, so the start does; the corners move in, from (0, 0) to
    (bow, bow) and so on. For a bow between 0 and 1/6 the curve is strictly convex: no three of its
    points are in one line, so whatever an edge cuts off has an area. Of the square,
    (1 - 2 bow)(1 + 2 bow / 3) lies within. A parabola, unlike a superellipse, bends all along a
    side: small pieces that an edge cuts off lose no more digits than their size.
    """
    u, v = boundary_uv.T
    return np.column_stack(
        [u - bow * (2 * u - 1) * (2 * v - 1) ** 2, v - bow * (2 * v - 1) * (2 * u - 1) ** 2]
    )


def edge_weights(
    edge: IntArray, lengths: FloatArray, vertex_weights: FloatArray, uniform_uv: FloatArray
) -> FloatArray:
    """The weights w (e,) of Eq. 5 for edges (e, 2), from weights (m,) given to the vertices.

    lengths : (e,) on the surface, in mm; uniform_uv : (m, 2), the parametrisation for w = 1.

    Eq. 5 makes the u_i minimise sum w_ij |u_i - u_j|²: springs of stiffness w_ij. A stiffer spring
    is a *shorter* edge, so the desired length divides: the edge's length on the surface, magnified
    by the mean of its two vertices' weights. Equal springs do not give equal lengths: "the edge
    lengths also depend on the density of vertices in the mesh. To design the edge weights more
    intuitively, we normalize the edge weights by the ones resulting from the uniform barycentric
    parametrization": its lengths multiply. Along a chain of edges, where all springs pull equally
    hard, the lengths become exactly the desired ones, up to a common factor.
    """
    desired = vertex_weights[edge].mean(axis=1) * lengths
    return edge_lengths(uniform_uv, edge) / desired


def barycentric_coordinates(edge: IntArray, weights: FloatArray, n: int) -> csr_array:
    """Eq. 5: the matrix of lambda_ij (n, n), each row of which sums to one."""
    rows, columns = np.concatenate([edge, edge[:, ::-1]]).T
    w = csr_array((np.concatenate([weights, weights]), (rows, columns)), shape=(n, n))
    return csr_array(w.multiply(1 / w.sum(axis=1)[:, None]))


def solve(
    edge: IntArray, weights: FloatArray, loop: IntArray, boundary_uv: FloatArray
) -> FloatArray:
    """Eq. 4: the positions (m, 2) of all vertices, given those (b, 2) of the boundary loop (b,).

    edge : (e, 2); weights : (e,) positive. Within a convex boundary the solution is one-to-one.
    """
    n = int(edge.max()) + 1
    inner = np.setdiff1d(np.arange(n), loop)
    uv = np.empty((n, 2))
    uv[loop] = boundary_uv
    if len(inner):
        rows = barycentric_coordinates(edge, weights, n)[inner]
        system = eye_array(len(inner)) - rows[:, inner]
        uv[inner] = factorize(system).solve(rows[:, loop] @ boundary_uv)  # Eq. 4
    return uv


def edge_lengths(points: FloatArray, edge: IntArray) -> FloatArray:
    """Lengths (e,) of the edges (e, 2) between points (m, d)."""
    return np.asarray(np.linalg.norm(points[edge[:, 0]] - points[edge[:, 1]], axis=1))


def _start_at(loop: IntArray, start: int) -> IntArray:
    at = np.flatnonzero(loop == start)
    if len(at) == 0:
        raise StartVertexError(
            f"start vertex {start} is not on the boundary; choose one of its {len(loop)} vertices, "
            f"which are {loop[:5].tolist()}..., such as the lowest one of the chin"
        )
    return np.roll(loop, -at[0])


def check_weights(vertex_weights: ArrayLike | None, n: int) -> FloatArray:
    """The weights (n,) as an array, ones by default. Raises `WeightError`."""
    if vertex_weights is None:
        return np.ones(n)
    weights = np.asarray(vertex_weights, dtype=np.float64)
    if weights.shape != (n,):
        raise WeightError(
            f"vertex_weights has shape {weights.shape}; expected ({n},), one weight for each vertex"
        )
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        raise WeightError(
            f"{len(bad)} weights are not finite and positive, the first {weights[bad[0]]} at "
            f"vertex {bad[0]}; what is to become small needs a small weight, not 0"
        )
    return weights


def _bowed_message(dividing: IntArray) -> str:
    left = (1 - 2 * BOW) * (1 + 2 * BOW / 3)
    what = f"{len(dividing)} inner edges connect" if len(dividing) > 1 else "1 inner edge connects"
    return (
        f"{what} two boundary vertices on one side of the square, such as "
        f"{dividing[0].tolist()}; the triangles cut off there would have no area, so the sides "
        f"are bowed outwards by {BOW:.0%} of the square's width, within which {left:.0%} of the "
        "square lies"
    )


def _check_orientation(uv: FloatArray, faces: IntArray) -> None:
    a, b, c = (uv[faces[:, k]] for k in range(3))
    bad = np.flatnonzero(~(cross_2d(b - a, c - a) > 0))  # NaN is bad, too
    if len(bad):
        raise CollapsedTriangleError(
            f"{len(bad)} triangles, the first {bad[0]}, have no positive area in the plane: they "
            "are too small for floating point numbers; use more even weights, or simplify the mesh "
            "there"
        )
