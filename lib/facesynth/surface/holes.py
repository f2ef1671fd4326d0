"""Filling holes: a triangulation of least area over each boundary loop but the longest.

Templates often have holes at the eyes and the mouth. The mapping of Section 5.3 needs a disk, and
whoever brings a template wants its vertices and their order kept: so a hole is filled by triangles
between the vertices on its rim, and no vertex is added (Barequet and Sharir 1995).
"""

import itertools

import numpy as np

from facesynth.surface.mesh import FloatArray, IntArray, border_edges, closed_curves, edges


def boundary_loops(faces: IntArray) -> list[IntArray]:
    """The closed boundary curves of triangles (f, 3), each in the direction of its triangles.

    A vertex that several loops pass through belongs to one of them, so that such a mesh is not
    repaired here: `check_disk` names it.
    """
    half = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2)[border_edges(faces)]
    return [np.array(loop) for loop in closed_curves(half.tolist())]


def fill_holes(vertices: FloatArray, faces: IntArray) -> tuple[IntArray, list[IntArray]]:
    """Triangles (f', 3) without holes, and the rims (k,) of those that were filled.

    vertices : (m, 3) in mm; faces : (f, 3). The longest boundary loop is the surface's own and
    stays. New triangles come after the others.
    """
    loops = boundary_loops(faces)
    if len(loops) < 2:
        return faces, []
    lengths = [
        np.linalg.norm(vertices[np.roll(loop, -1)] - vertices[loop], axis=1).sum() for loop in loops
    ]
    holes = [loop for k, loop in enumerate(loops) if k != int(np.argmax(lengths))]
    known = set(map(tuple, edges(faces).tolist()))
    filled = [faces]
    for hole in holes:
        patch = _least_area(vertices, hole, known)
        known |= {(min(e), max(e)) for t in patch for e in itertools.combinations(t, 2)}
        filled.append(np.array(patch, dtype=np.int64).reshape(-1, 3))
    return np.concatenate(filled), holes


def _least_area(
    vertices: FloatArray, loop: IntArray, known: set[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """The triangulation of least area over a loop (k,), without edges that the mesh has already."""
    k = len(loop)
    points = vertices[loop]
    cost = np.zeros((k, k))  # of the part of the loop from i to j
    split = np.zeros((k, k), dtype=np.int64)
    rim = {(i, i + 1) for i in range(k - 1)} | {(0, k - 1)}
    for length in range(2, k):
        for i in range(k - length):
            j = i + length
            pair = (int(min(loop[i], loop[j])), int(max(loop[i], loop[j])))
            if pair in known and (i, j) not in rim:
                cost[i, j] = np.inf
                continue
            middle = np.arange(i + 1, j)
            a, b = points[middle] - points[i], points[j] - points[i]
            area = np.linalg.norm(np.cross(a, b), axis=1) / 2
            total = cost[i, middle] + cost[middle, j] + area
            best = int(total.argmin())
            cost[i, j], split[i, j] = total[best], middle[best]
    triangles, open_parts = [], [(0, k - 1)]
    while open_parts:
        i, j = open_parts.pop()
        if j - i < 2:
            continue
        m = int(split[i, j])
        # the loop runs with the surface's triangles, so that the patch runs against it
        triangles.append((int(loop[j]), int(loop[m]), int(loop[i])))
        open_parts += [(i, m), (m, j)]
    return triangles
