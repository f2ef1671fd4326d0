"""Ambient occlusion: how much of the sky each point of a face sees.

Scanned photometries contain it: the corners of the nose and mouth and the eye sockets are darker
than their pigments make them, differently in each face.
"""

import numpy as np
import scipy.sparse as sp
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import ArrayLike, NDArray

from facesynth.surface.mesh import edges, vertex_normals
from facesynth.surface.sphere import sphere

TURNS = 6  # vertices that share one set of directions between them
_CLEARANCE = 0.3  # mm off the surface: less, and a coarse mesh shadows itself


def ambient_occlusion(
    vertices: ArrayLike, faces: ArrayLike, rays: int = 64, over: sp.csr_array | None = None
) -> NDArray[np.float32]:
    """The share (m,) of the sky, weighted by cosine, that each vertex sees: 1 in the open.

    The directions lie evenly over the sphere; a vertex uses the half of them before it.

    vertices : (m, 3) mm. faces : (f, 3) triangles, counter-clockwise seen from outside.
    rays : directions over the whole sphere.
    over : means (m, m) over neighbourhoods, which the result is then of. Vertices take turns in the
        directions, each one in `TURNS`: with 128 rays the error is 0.012 rms, which takes 64 from
        every vertex, and three times as long.
    """
    points = np.asarray(vertices, dtype=np.float32)
    normals = vertex_normals(vertices, faces).astype(np.float32)
    scene = EmbreeScene()
    TriangleMesh(scene, points, np.asarray(faces, dtype=np.int32))
    above, directions = points + _CLEARANCE * normals, sphere(rays)
    turns = 1 if over is None else TURNS
    seen, total = np.zeros((2, len(points)))
    for turn in range(turns):
        mine = slice(turn, None, turns)
        cosine = directions[mine] @ normals[mine].T  # (rays, m) of this turn
        ray, vertex = np.nonzero(cosine > 0.05)  # parallel rays after each other: twice as fast
        clear = scene.run(above[mine][vertex], directions[mine][ray], query="OCCLUDED") < 0
        weight = cosine[ray, vertex]
        seen[mine] = np.bincount(vertex, weight * clear, minlength=cosine.shape[1])
        total[mine] = np.bincount(vertex, weight, minlength=cosine.shape[1])
    if over is not None:
        seen, total = over @ seen, over @ total
    return np.divide(seen, total, out=np.ones(len(points)), where=total > 0).astype(np.float32)


def neighbour_mean(faces: ArrayLike, n: int) -> sp.csr_array:
    """Sparse (n, n) operator that takes the mean over a vertex's neighbours."""
    a, b = edges(faces).T
    ones = np.ones(2 * len(a), dtype=np.float32)
    adjacency = sp.csr_array((ones, (np.r_[a, b], np.r_[b, a])), shape=(n, n))
    return sp.csr_array(adjacency / adjacency.sum(axis=1)[:, None])
