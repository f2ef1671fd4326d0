"""Connectivity of the face: a disk cut from the MakeHuman head, its eyes and mouth filled in.

The coarse face has vertices of the base mesh and new ones that fill the eye and mouth openings, so
that eyes and mouth are part of the surface and one closed curve bounds it. One Catmull-Clark step,
kept as a sparse matrix, gives the mesh that everything else uses. All of it is mirror-symmetric by
construction: the left half is the right half's mirror image, vertex for vertex.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from facesynth.population import makehuman
from facesynth.surface.mesh import FloatArray, IntArray, adjacent, closed_curves

Polygons = list[list[int]]

EYE_RINGS = (0.86, 0.70, 0.52, 0.34, 0.17)  # rings of the eye surface, as fractions of the lid loop
MOUTH_ROWS = 3  # rows of vertices between the lips
# Strips of quads that roll inwards behind the edge of a lid or lip: cut away, or eyeballs and the
# other lip would pass through them.
LID_RIM, LIP_RIM = 2, 1
BORDER_SMOOTHINGS = 8  # passes that straighten the ragged cut through the head


@dataclass(frozen=True)
class Topology:
    """Coarse face (n vertices) and the matrix to its subdivision (m vertices)."""

    base: IntArray  # (b,) MakeHuman's index of the first b coarse vertices; others fill openings
    mirror: IntArray  # (n,) coarse mirror permutation
    polygons: Polygons  # coarse polygons, counter-clockwise from outside
    lids: dict[str, IntArray]  # "left", "right": (k,) coarse lid loop; left[i] mirrors right[i]
    eye_rings: dict[str, IntArray]  # (5, k) coarse vertices of the eye surface
    upper_lip: IntArray  # (u,) coarse contact line, from the right corner (x < 0) to the left one
    lower_lip: IntArray  # (l,) the same for the lower lip; the corners are shared
    mouth_columns: IntArray  # (l - 2,) vertices of the upper lip above those of the lower lip
    mouth_rows: IntArray  # (3, l - 2) coarse vertices between the lips
    subdivision: sp.csr_matrix  # (m, n) Catmull-Clark step after straightening the border
    faces: IntArray  # (f, 3) triangles of the subdivided face
    fine_mirror: IntArray  # (m,) mirror permutation of the subdivided face


@functools.cache
def topology() -> Topology:
    """The face's connectivity (made once in a process)."""
    positions, *_ = makehuman.base_mesh()
    mirror = makehuman.mirror_map()
    polygons = _visible_face()
    outer, right_lid, mouth = _openings(polygons, positions)
    rims = [(right_lid, LID_RIM), ([int(mirror[v]) for v in right_lid], LID_RIM), (mouth, LIP_RIM)]
    for opening, strips in rims:
        polygons = _without_rim(polygons, set(opening), strips)
    outer, right_lid, mouth = _openings(polygons, positions)

    new = _NewVertices(makehuman.N_VERTICES)
    left_lid = [int(mirror[v]) for v in right_lid]
    right_rings, left_rings = _fill_eye(polygons, new, right_lid, left_lid)
    upper, lower = (curve.tolist() for curve in halves(mouth, *positions[mouth, :2].T))
    columns, rows = _fill_mouth(polygons, new, upper, lower, mouth, positions)

    # number the coarse vertices: those of the base mesh first, in its order, then the new ones
    used = np.unique(np.concatenate([np.array(p) for p in polygons]))
    number = {int(v): i for i, v in enumerate(used)}

    def renumber(vertices: object) -> IntArray:
        return np.vectorize(number.__getitem__, otypes=[np.int64])(np.asarray(vertices))

    compact = [[number[v] for v in p] for p in polygons]
    base = used[used < makehuman.N_VERTICES]
    opposite = renumber([new.mirror.get(int(v)) or mirror[int(v)] for v in used])
    refine, quads, fine_mirror = catmull_clark(compact, len(used), opposite)
    straighten = _straighten_border(compact, len(used), renumber(outer))
    return Topology(
        base=base,
        mirror=opposite,
        polygons=compact,
        lids={"left": renumber(left_lid), "right": renumber(right_lid)},
        eye_rings={"left": renumber(left_rings), "right": renumber(right_rings)},
        upper_lip=renumber(upper),
        lower_lip=renumber(lower),
        mouth_columns=renumber(columns),
        mouth_rows=renumber(rows),
        subdivision=(refine @ straighten).tocsr(),
        # both diagonals of a quad would be valid; from the old vertex to the face's middle is the
        # one that a mirror keeps
        faces=np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
        fine_mirror=fine_mirror,
    )


def boundary_loops(polygons: Polygons) -> Polygons:
    """Closed boundary curves, directed so that a polygon along one of them would fill it."""
    directed = {(a, b) for p in polygons for a, b in zip(p, p[1:] + p[:1], strict=True)}
    return closed_curves((b, a) for a, b in directed if (b, a) not in directed)


def rows_outwards(polygons: Polygons, curve: IntArray, count: int) -> IntArray:
    """(count, k) vertices met on leaving a curve of k vertices straight across quads.

    The first row is the curve itself. `polygons` lie on one side of the curve, which is a whole
    boundary loop of theirs or a part of one.
    """
    around: dict[int, list[list[int]]] = {}
    for p in polygons:
        for v in p:
            around.setdefault(v, []).append(p)

    def neighbours(v: int, among: list[list[int]]) -> set[int]:
        return {u for p in among for i, u in enumerate(p) if v in (p[i - 1], p[i + 1 - len(p)])}

    border = {v for loop in boundary_loops(polygons) for v in loop}
    rows = [[int(v) for v in curve]]
    rows.append([min(neighbours(v, around[v]) - border) for v in rows[0]])
    for _ in range(count - 2):
        ahead = []
        for behind, v in zip(rows[-2], rows[-1], strict=True):
            beside = [p for p in around[v] if behind in p]  # the opposite edge is in none of these
            ahead.append(min(neighbours(v, around[v]) - {u for p in beside for u in p}))
        rows.append(ahead)
    return np.array(rows[:count])


def _visible_face() -> Polygons:
    """Polygons of the head that a scanner in front of a face sees: no ears, no back of the head."""
    positions, uv, polygons, uv_polygons = makehuman.base_mesh()
    centre = positions[np.array(polygons)].mean(1) / makehuman.MM_PER_UNIT  # in decimetres
    uv_centre = uv[np.array(uv_polygons)].mean(1)
    # body part 'head' is drawn in one colour of the segmentation image
    part = makehuman.mask_at("segmentation/body_parts_segmentation.png", uv_centre)
    head = (part == makehuman.part_colour("head")).all(1)
    ear = makehuman.mask_at("mpfb2/textures/mpfb_ears.jpg", uv_centre)[:, 0] > 60 / 255
    _, y, z = centre.T
    front = (z - 0.64 > np.maximum(0, 6.5 - y) * 0.75) & (y < 8.17) & ((y > 6.2) | (z > 1.12))
    kept = np.flatnonzero(head & ~ear & front)
    while True:  # polygons that hang on by one edge go
        shared = adjacent(np.array(polygons)[kept])
        ragged = np.bincount(shared.ravel(), minlength=len(kept)) < 2
        if not ragged.any():
            break
        kept = kept[~ragged]
    graph = sp.coo_matrix((np.ones(len(shared)), shared.T), shape=(len(kept),) * 2)
    _, component = connected_components(graph, directed=False)
    largest = component == np.bincount(component).argmax()
    return [list(polygons[k]) for k in kept[largest]]


def _openings(polygons: Polygons, positions: FloatArray) -> tuple[list[int], list[int], list[int]]:
    """The outer boundary and the loops of the right eye (x < 0) and of the mouth."""
    outer, *holes = sorted(boundary_loops(polygons), key=len, reverse=True)
    holes.sort(key=lambda hole: positions[hole, 0].mean())
    return outer, holes[0], holes[1]


def _without_rim(polygons: Polygons, rim: set[int], strips: int) -> Polygons:
    """Polygons left when those that touch the rim are taken away, as many times as said."""
    for _ in range(strips):
        touching = [p for p in polygons if rim & set(p)]
        polygons = [p for p in polygons if not rim & set(p)]
        rim = {v for p in touching for v in p} - rim
    return polygons


class _NewVertices:
    """Numbers for vertices that the base mesh does not have, with their mirror images."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.mirror: dict[int, int] = {}

    def row(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    def pair(self, right: list[int], left: list[int]) -> None:
        self.mirror.update(zip(right, left, strict=True))
        self.mirror.update(zip(left, right, strict=True))


def _fill_eye(
    polygons: Polygons, new: _NewVertices, right: list[int], left: list[int]
) -> tuple[Polygons, Polygons]:
    """Close both lid loops with rings of quads around a central polygon; return the rings."""
    rings: tuple[Polygons, Polygons] = ([], [])
    outer_right, outer_left = right, left
    for _ in EYE_RINGS:
        inner_right, inner_left = new.row(len(right)), new.row(len(left))
        new.pair(inner_right, inner_left)
        polygons += _ring(outer_right, inner_right)
        polygons += [quad[::-1] for quad in _ring(outer_left, inner_left)]
        rings[0].append(inner_right)
        rings[1].append(inner_left)
        outer_right, outer_left = inner_right, inner_left
    polygons += [outer_right, outer_left[::-1]]
    return rings


def _ring(outer: list[int], inner: list[int]) -> Polygons:
    n = len(outer)
    return [[outer[i], outer[(i + 1) % n], inner[(i + 1) % n], inner[i]] for i in range(n)]


def halves(loop: ArrayLike, x: FloatArray, y: FloatArray) -> tuple[IntArray, IntArray]:
    """Upper and lower curve of a loop at places (k,), from least to largest x, which they share."""
    loop, x, y = (np.roll(of, -int(x.argmin())) for of in (loop, x, y))
    corner = int(x.argmax())
    parts = np.arange(corner + 1), np.r_[corner : len(loop), 0][::-1]
    lower, upper = sorted(parts, key=lambda part: y[part].mean())
    return loop[upper], loop[lower]


def _fill_mouth(
    polygons: Polygons,
    new: _NewVertices,
    upper: list[int],
    lower: list[int],
    loop: list[int],
    positions: FloatArray,
) -> tuple[list[int], Polygons]:
    """Close the mouth with a patch whose columns lead from the upper lip to the lower one.

    Returns the vertices of the upper lip where the columns begin, and the rows of new vertices.
    """
    x_upper, x_lower = positions[upper, 0], positions[lower, 0]
    half = len(lower) // 2  # columns of the right half, then mirrored: the lips are symmetric
    top = [int(np.abs(x_upper - x).argmin()) for x in x_lower[1:half]]
    top = top + [len(upper) // 2] + [len(upper) - 1 - i for i in reversed(top)]
    rows = []
    for _ in range(MOUTH_ROWS):
        row = new.row(len(top))
        new.pair(row, row[::-1])
        rows.append(row)
    patch = [  # the upper lip has more vertices than there are columns: polygons of 4 to 6 sides
        [*upper[top[i] : top[i + 1] + 1], rows[0][i + 1], rows[0][i]] for i in range(len(top) - 1)
    ]
    patch += [
        [above[i], above[i + 1], below[i + 1], below[i]]
        for above, below in itertools.pairwise([*rows, lower[1:-1]])
        for i in range(len(above) - 1)
    ]
    patch.append([*upper[: top[0] + 1], *(row[0] for row in rows), lower[1]])
    patch.append([*upper[top[-1] :][::-1], *(row[-1] for row in rows), lower[-2]][::-1])
    if (upper[0], upper[1]) not in set(zip(loop, loop[1:] + loop[:1], strict=True)):
        patch = [p[::-1] for p in patch]  # it was drawn clockwise
    polygons += patch
    return [upper[i] for i in top], rows


def catmull_clark(
    polygons: Polygons, n: int, mirror: IntArray
) -> tuple[sp.csr_matrix, IntArray, IntArray]:
    """One Catmull-Clark step (Catmull & Clark 1978) as a matrix.

    Returns the matrix (m, n) from old to new vertices (old vertices, edges, polygons, in this
    order), the quads (q, 4), each beginning at an old vertex with the polygon's point opposite, and
    the mirror permutation (m,) that follows from that of the old vertices.
    """
    size = np.array([len(p) for p in polygons])
    corner = np.concatenate([np.array(p) for p in polygons])
    after = np.concatenate([np.roll(p, -1) for p in polygons])
    before = np.concatenate([np.roll(p, 1) for p in polygons])
    owner = np.repeat(np.arange(len(polygons)), size)
    edges, edge_of = np.unique(np.sort(np.c_[corner, after], 1), axis=0, return_inverse=True)
    edge_of = edge_of.ravel()
    n_edges, n_polygons = len(edges), len(polygons)

    def matrix(rows: IntArray, cols: IntArray, shape: tuple[int, int]) -> sp.csr_matrix:
        return sp.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=shape)

    face_points = sp.diags(1 / size) @ matrix(owner, corner, (n_polygons, n))
    ends = matrix(np.repeat(np.arange(n_edges), 2), edges.ravel(), (n_edges, n))
    edge_polygons = matrix(edge_of, owner, (n_edges, n_polygons))
    inner_edge = np.asarray(edge_polygons.sum(1)).ravel() == 2
    edge_points = sp.diags(np.where(inner_edge, 0.25, 0.5)) @ ends
    edge_points += sp.diags(np.where(inner_edge, 0.25, 0.0)) @ edge_polygons @ face_points

    border = np.zeros(n, dtype=bool)
    border[edges[~inner_edge]] = True
    valence = np.bincount(edges.ravel(), minlength=n)
    # inside: (mean of face points + 2 x mean of edge middles + (valence - 3) x itself) / valence
    inside = np.where(border, 0, 1 / valence**2)
    vertex_points = sp.diags(inside) @ (
        matrix(corner, owner, (n, n_polygons)) @ face_points + ends.T @ ends
    )
    vertex_points += sp.diags(np.where(border, 0.5, (valence - 3) / valence))
    border_ends = ends[~inner_edge]
    vertex_points += sp.diags(np.where(border, 0.125, 0)) @ border_ends.T @ border_ends

    quads = np.c_[
        corner,
        n + edge_of,
        n + n_edges + owner,
        n + _lookup_edges(edges, np.c_[before, corner]),
    ]
    polygon_number = {tuple(sorted(p)): k for k, p in enumerate(polygons)}
    mirrored_polygons = [polygon_number[tuple(sorted(mirror[p]))] for p in polygons]
    fine_mirror = np.concatenate(
        [mirror, n + _lookup_edges(edges, mirror[edges]), n + n_edges + np.array(mirrored_polygons)]
    )
    return sp.vstack([vertex_points, edge_points, face_points]).tocsr(), quads, fine_mirror


def _lookup_edges(edges: IntArray, wanted: IntArray) -> IntArray:
    """Index in the sorted (e, 2) `edges` of each row of `wanted`, whatever its direction."""
    n = int(edges.max()) + 1
    wanted = np.sort(wanted, 1)
    return np.searchsorted(edges @ [n, 1], wanted @ [n, 1])


def _straighten_border(polygons: Polygons, n: int, border: IntArray) -> sp.csr_matrix:
    """(n, n) matrix that smooths the border curve, and relaxes the two rows beside it with it."""
    curve = sp.identity(n, format="lil")
    curve[border, border] = 0.5
    curve[border, np.roll(border, 1)] = 0.25
    curve[border, np.roll(border, -1)] = 0.25
    ends = np.array([e for p in polygons for e in zip(p, p[1:] + p[:1], strict=True)])
    neighbours = sp.csr_matrix((np.ones(len(ends)), ends.T), shape=(n, n))
    neighbours = ((neighbours + neighbours.T) > 0).astype(float)
    near = np.zeros(n)
    first = np.setdiff1d(neighbours[border].indices, border)
    second = np.setdiff1d(neighbours[first].indices, np.r_[border, first])
    near[first], near[second] = 0.5, 0.25
    mean = sp.diags(1 / np.asarray(neighbours.sum(1)).ravel()) @ neighbours
    step = (sp.diags(1 - near) + sp.diags(near) @ mean) @ curve.tocsr()
    result = sp.identity(n, format="csr")
    for _ in range(BORDER_SMOOTHINGS):
        result = step @ result
    return result
