"""Where a triangle mesh passes through itself: where an edge of it pierces a triangle of it."""

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from facesynth.surface.mesh import FloatArray, IntArray, edges

ENDS = 1e-4  # share of an edge left out at both ends, where it touches its own triangles
RECASTS = 8  # a ray along an edge may first meet triangles at the edge itself


def pierced(vertices: FloatArray, faces: IntArray, edge: IntArray | None = None) -> IntArray:
    """Edges that pass through a triangle, and which: pairs (k, 2) of indices into both.

    vertices (m, 3); faces (f, 3); edge (e, 2), the mesh's edges if not given. One triangle is named
    for each edge. An edge that shares a vertex with a triangle does not pierce it, so a fold
    between neighbours is not found here. Rays are cast along the edges, in single precision.
    """
    edge = edges(faces) if edge is None else edge
    scene = EmbreeScene()
    TriangleMesh(scene, vertices.astype(np.float32), np.asarray(faces, dtype=np.int32))
    origin = vertices[edge[:, 0]].astype(np.float32)
    along = vertices[edge[:, 1]].astype(np.float32) - origin
    start = np.full(len(edge), ENDS, dtype=np.float32)
    rest = np.arange(len(edge))
    found = [np.empty((0, 2), dtype=np.int64)]
    for _ in range(RECASTS):
        if not rest.size:
            break
        # the parameter along a ray that is not normalised is the share of the edge
        hits = scene.run(
            origin[rest] + start[rest, None] * along[rest],
            along[rest],
            dists=1 - ENDS - start[rest],
            output=True,
        )
        met = hits["primID"] >= 0
        rest, triangle = rest[met], hits["primID"][met]
        touching = (edge[rest][:, :, None] == faces[triangle][:, None, :]).any((1, 2))
        found.append(np.column_stack([rest, triangle])[~touching])
        start[rest] += hits["tfar"][met] + ENDS
        rest = rest[touching & (start[rest] < 1 - ENDS)]
    return np.concatenate(found)
