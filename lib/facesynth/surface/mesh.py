"""Triangle meshes: what a surface must be before it can be flattened, and what is measured on it.

A mesh is two arrays: `vertices` (m, 3), float, in mm, and `faces` (f, 3), integers, each row the
three corners of a triangle, counter-clockwise as seen from outside. The mapping of Section 5.3
needs a *disk*: one connected piece, every edge between at most two triangles that agree on which
side is outside, one boundary loop and no handle. `check_disk` says whether a mesh is one, and if
it is not, what is wrong, where, and what to do about it.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]  # of any precision

# A triangle whose height is below this fraction of its longest edge has no usable normal.
_FLATTEST = 1e-12


class MeshError(ValueError):
    """A mesh that cannot be used; the subclasses say why."""


class MeshArrayError(MeshError):
    """An array has the wrong shape, size or type."""


class NonFiniteVertexError(MeshError):
    """A vertex has a coordinate that is NaN or infinite."""


class FaceIndexError(MeshError):
    """A face refers to a vertex that does not exist."""


class DegenerateTriangleError(MeshError):
    """A triangle has no area."""


class UnreferencedVertexError(MeshError):
    """A vertex belongs to no triangle."""


class NonManifoldEdgeError(MeshError):
    """An edge belongs to more than two triangles."""


class NonManifoldVertexError(MeshError):
    """The triangles around a vertex form more than one fan."""


class OrientationError(MeshError):
    """Two neighbouring triangles disagree on which side is outside."""


class SeveralComponentsError(MeshError):
    """The mesh falls into more than one piece."""


class NoBoundaryError(MeshError):
    """The surface is closed."""


class SeveralBoundariesError(MeshError):
    """The surface has holes."""


class ShortBoundaryError(MeshError):
    """The boundary has fewer than three vertices, or one vertex twice."""


class HandleError(MeshError):
    """The surface has a handle, as a cup has."""


def check_arrays(vertices: ArrayLike, faces: ArrayLike) -> tuple[FloatArray, IntArray]:
    """`vertices` as a float (m, 3) array and `faces` as an integer (f, 3) array, both sound.

    Raises `MeshArrayError`, `NonFiniteVertexError`, `FaceIndexError`.
    """
    points, triangles = np.asarray(vertices), np.asarray(faces)
    for name, array, kinds, kind in (
        ("vertices", points, "fiu", "real numbers"),
        ("faces", triangles, "iu", "integers"),
    ):
        if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0:
            raise MeshArrayError(
                f"{name} has shape {array.shape}; expected (n, 3) with at least one row"
            )
        if array.dtype.kind not in kinds:
            raise MeshArrayError(f"{name} has type {array.dtype}; expected {kind}")
    points, triangles = points.astype(np.float64), triangles.astype(np.int64)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise NonFiniteVertexError(
            f"NaN or infinite coordinates at {_some('vertex', bad)}; "
            "remove these vertices and their faces, or fill them from their neighbours"
        )
    bad = np.flatnonzero(((triangles < 0) | (triangles >= len(points))).any(axis=1))
    if len(bad):
        raise FaceIndexError(
            f"{_some('face', bad)} refer to vertices outside 0..{len(points) - 1}, "
            f"the first to {triangles[bad[0]].tolist()}; indices count from 0, not from 1 as in OBJ"
        )
    return points, triangles


def check_disk(vertices: ArrayLike, faces: ArrayLike) -> IntArray:
    """The boundary loop of a mesh of disk topology; a named error for every other mesh.

    vertices : (m, 3) in mm; faces : (f, 3), counter-clockwise seen from outside.
    Returns (b,) vertex indices in the direction of the faces: counter-clockwise seen from outside,
    beginning at the smallest index. Raises a subclass of `MeshError`.
    """
    points, triangles = check_arrays(vertices, faces)
    n = len(points)
    _check_triangles(points, triangles)
    _check_vertices_used(triangles, n)

    half = _half_edges(triangles)  # (3f, 2)
    edge, which, count = _unique_edges(half)
    _check_edges(half, edge, which, count)
    _check_pieces(edge, n)
    _check_fans(triangles, which, count, n)
    loop = _trace_boundary(half[count[which] == 1])

    characteristic = n - len(edge) + len(triangles)  # Euler: 1 for a disk, 2 less for each handle
    if characteristic != 1:
        raise HandleError(
            f"the surface has {(1 - characteristic) // 2} handle(s) "
            f"(Euler characteristic {characteristic}, a disk has 1); cut them open"
        )
    return loop


def check_boundary(boundary: ArrayLike, loop: IntArray) -> IntArray:
    """`boundary` (b,) as integers, if it runs once along `loop` from any start in its direction.

    Raises `ShortBoundaryError` and `MeshArrayError`.
    """
    given = np.asarray(boundary)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise MeshArrayError(
            f"boundary has shape {given.shape} and type {given.dtype}; expected (b,) integers"
        )
    if len(given) < 3 or len(np.unique(given)) < len(given):
        raise ShortBoundaryError(
            f"boundary {given[:6].tolist()} has {len(np.unique(given))} different vertices of "
            f"{len(given)}; a boundary runs through at least 3 vertices, once through each"
        )
    begin = np.flatnonzero(loop == given[0])
    if len(begin) == 0 or not np.array_equal(np.roll(loop, -begin[0]), given):
        raise MeshArrayError(
            f"boundary is not the mesh's boundary loop, which runs {loop[:6].tolist()}... "
            f"({len(loop)} vertices); take it from check_disk"
        )
    return given.astype(np.int64)


def edges(faces: ArrayLike) -> IntArray:
    """The undirected edges (e, 2) of triangles (f, 3), each once, smaller index first, sorted."""
    return _unique_edges(_half_edges(np.asarray(faces, dtype=np.int64)))[0]


def adjacent(faces: IntArray) -> IntArray:
    """Pairs (p, 2) of faces (f, k), triangles or other polygons, that share an edge."""
    sides = np.sort(_half_edges(faces), axis=1)
    order = np.lexsort(sides.T)
    owner = order // faces.shape[1]
    shared = (sides[order][1:] == sides[order][:-1]).all(axis=1)
    return np.column_stack([owner[:-1][shared], owner[1:][shared]])


def border_edges(faces: ArrayLike) -> NDArray[np.bool_]:
    """Which edges (f, 3), from each corner of triangles (f, 3) to the next, have one triangle."""
    triangles = np.asarray(faces, dtype=np.int64)
    _, which, count = _unique_edges(_half_edges(triangles))
    return np.asarray(count[which].reshape(triangles.shape) == 1)


def contained(triangles: IntArray, others: IntArray) -> NDArray[np.bool_]:
    """Whether each triangle (f, 3) is among others (g, 3), from whichever corner it is written."""

    def key(faces: IntArray) -> IntArray:
        first = faces.argmin(axis=1)[:, None]
        a, b, c = np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1).T
        n = int(triangles.max()) + 1
        return np.asarray((a * n + b) * n + c)

    return np.isin(key(triangles), key(others))


def closed_curves(directed: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The curves that directed edges form, sorted, each in their direction from its least vertex.

    Where several curves pass through a vertex, its last edge counts, and a curve may remain open.
    """
    following = dict(directed)
    curves = []
    while following:
        start, vertex = following.popitem()
        curve = [start]
        while vertex != start and vertex in following:
            curve.append(vertex)
            vertex = following.pop(vertex)
        first = curve.index(min(curve))
        curves.append(curve[first:] + curve[:first])
    return sorted(curves)


def interpolation(vertices: IntArray, weights: Floats, m: int) -> csr_array:
    """The operator (k, m) that sums values at `vertices` (k, c) with `weights` (k, c).

    Both may have more axes before the last: these are rows, too.
    """
    row_ends = np.arange(0, vertices.size + 1, vertices.shape[-1])
    # a copy of the weights: operators may sort their entries in place
    entries = weights.flatten(), vertices.ravel(), row_ends
    return csr_array(entries, shape=(len(row_ends) - 1, m))


def triangle_areas(vertices: ArrayLike, faces: ArrayLike) -> FloatArray:
    """Areas (f,) in mm² of triangles (f, 3) on vertices (m, 3) in mm."""
    normals = _area_normals(np.asarray(vertices, dtype=np.float64), np.asarray(faces))
    return np.asarray(np.linalg.norm(normals, axis=1))


def vertex_areas(vertices: ArrayLike, faces: ArrayLike) -> FloatArray:
    """The surface's area (m,) in mm², a third of each triangle given to each of its corners."""
    share = np.repeat(triangle_areas(vertices, faces) / 3, 3)  # (3f,)
    size = len(np.asarray(vertices))
    return np.bincount(np.asarray(faces).ravel(), share, minlength=size).astype(np.float64)


def vertex_normals(vertices: ArrayLike, faces: ArrayLike) -> FloatArray:
    """Unit normals (m, 3): the mean of the adjacent triangles' normals, weighted by area.

    A vertex whose triangles cancel out, or that has none, gets the zero vector.
    """
    points, triangles = np.asarray(vertices, dtype=np.float64), np.asarray(faces)
    corner = np.repeat(_area_normals(points, triangles), 3, axis=0)  # (3f, 3)
    total = np.column_stack(
        [np.bincount(triangles.ravel(), corner[:, k], minlength=len(points)) for k in range(3)]
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(np.divide(total, length, out=np.zeros_like(total), where=length > 0))


def graph_laplacian(faces: ArrayLike) -> csr_array:
    """L (m, m), so that x' L x is the sum of squared differences along the edges of (f, 3)."""
    edge = edges(faces)
    rows = np.repeat(np.arange(len(edge)), 2)
    difference = csr_array((np.tile([1.0, -1.0], len(edge)), (rows, edge.ravel())))
    return difference.T @ difference


def factorize(matrix: csr_array) -> SuperLU:
    """LU factors of a diagonally dominant or positive definite matrix: no pivoting is needed."""
    return splu(
        csc_array(matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def _area_normals(points: FloatArray, triangles: NDArray[np.integer]) -> FloatArray:
    """Normals (f, 3) whose length is the triangle's area."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a) / 2


def _half_edges(triangles: IntArray) -> IntArray:
    """Directed edges (3f, 2): row 3 t + k goes from corner k of triangle t to the next corner.

    Other polygons (f, k) have k f edges in the same order.
    """
    return np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2)


def _unique_edges(half: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Undirected edges (e, 2), the edge of every half-edge (3f,), and how often each occurs."""
    n = int(half.max()) + 1
    key = half.min(axis=1) * n + half.max(axis=1)  # one integer an edge sorts faster than a row
    unique, which, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.column_stack([unique // n, unique % n]), which, count


def _check_triangles(points: FloatArray, triangles: IntArray) -> None:
    sides = points[triangles] - points[np.roll(triangles, -1, axis=1)]  # (f, 3, 3)
    longest = np.linalg.norm(sides, axis=2).max(axis=1)
    bad = np.flatnonzero(2 * triangle_areas(points, triangles) <= _FLATTEST * longest**2)
    if len(bad):
        raise DegenerateTriangleError(
            f"no area in {_some('face', bad)}, the first with the corners "
            f"{triangles[bad[0]].tolist()}; merge their coinciding vertices or drop them"
        )


def _check_vertices_used(triangles: IntArray, n: int) -> None:
    bad = np.flatnonzero(np.bincount(triangles.ravel(), minlength=n) == 0)
    if len(bad):
        raise UnreferencedVertexError(
            f"no face uses {_some('vertex', bad)}; remove them and renumber the faces"
        )


def _check_edges(half: IntArray, edge: IntArray, which: IntArray, count: IntArray) -> None:
    bad = np.flatnonzero(count > 2)
    if len(bad):
        raise NonManifoldEdgeError(
            f"more than two faces meet at {_some('edge', edge[bad])}; "
            "remove the extra faces, or duplicate the edge's vertices to separate the sheets"
        )
    # Neighbours that agree run along their common edge in opposite directions.
    forward = np.bincount(which, np.where(half[:, 0] < half[:, 1], 1.0, -1.0))
    bad = np.flatnonzero((count == 2) & (forward != 0))
    if len(bad):
        raise OrientationError(
            f"the two faces at {_some('edge', edge[bad])} are oriented differently; "
            "reverse the corners of the faces that are clockwise seen from outside"
        )


def _check_pieces(edge: IntArray, n: int) -> None:
    pieces, label = _components(edge[:, 0], edge[:, 1], n)
    if pieces > 1:
        sizes = np.bincount(label)
        raise SeveralComponentsError(
            f"{pieces} separate pieces, the largest with {sizes.max()} of {n} vertices; "
            f"vertex {np.flatnonzero(label != sizes.argmax())[0]} lies outside it. "
            "Keep the largest piece or join them"
        )


def _check_fans(triangles: IntArray, which: IntArray, count: IntArray, n: int) -> None:
    """Around each vertex the corners, linked across shared edges, must form a single fan."""
    order = np.argsort(which, kind="stable")
    pairs = order[count[which[order]] == 2].reshape(-1, 2)  # the two half-edges of inner edges
    start, end = pairs, pairs - pairs % 3 + (pairs + 1) % 3  # corner ids, 3 t + k
    fans, label = _components(
        np.concatenate([start[:, 0], end[:, 0]]),
        np.concatenate([end[:, 1], start[:, 1]]),
        triangles.size,
    )
    if fans > n:
        first_corner = np.unique(label, return_index=True)[1]
        bad = np.flatnonzero(np.bincount(triangles.ravel()[first_corner], minlength=n) > 1)
        raise NonManifoldVertexError(
            f"the faces around {_some('vertex', bad)} form several fans that touch in a point; "
            "duplicate such a vertex, one copy for each fan"
        )


def _trace_boundary(half: IntArray) -> IntArray:
    """The single loop (b,) that the boundary half-edges (b, 2) form."""
    if len(half) == 0:
        raise NoBoundaryError("the surface is closed; cut it open: a disk has one boundary loop")
    loop, *others = closed_curves(half.tolist())
    if others:
        outside = sorted(itertools.chain(*others))
        raise SeveralBoundariesError(
            f"{len(half)} boundary vertices, of which the loop through vertex {loop[0]} has "
            f"{len(loop)}; {_some('vertex', outside)} belong to other loops: fill these holes"
        )
    return check_boundary(loop, np.array(loop))


def _components(rows: IntArray, columns: IntArray, n: int) -> tuple[int, IntArray]:
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(n, n))
    return connected_components(graph.tocsr(), directed=False)


def _some(what: str, where: ArrayLike, shown: int = 5) -> str:
    """For messages: "vertices 3, 8, 11 and 4 more"."""
    items = np.asarray(where).tolist()
    plural = {"vertex": "vertices"}.get(what, what + "s")
    text = ", ".join(str(tuple(i)) if isinstance(i, list) else str(i) for i in items[:shown])
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return f"{what if len(items) == 1 else plural} {text}{more}"
