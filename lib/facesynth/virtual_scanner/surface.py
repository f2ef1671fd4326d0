"""The true face in front of the scanner: ray intersections and visibility."""

from functools import cached_property
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from facesynth.rendering import Camera
from facesynth.rendering.light import unit
from facesynth.rendering.material import Hits
from facesynth.surface.mesh import FloatArray, Floats, IntArray, vertex_normals

_CLEARANCE = 0.4  # mm: rays start off the surface; nearer, and a coarse mesh hides itself
_MARGIN = 0.005  # of the picture's side: what lies nearer to its edge counts as outside


class Surface:
    """A mesh (m vertices, f triangles) ready for rays, in the scan's frame, mm."""

    def __init__(self, vertices: FloatArray, faces: IntArray) -> None:
        self.vertices, self.faces = np.asarray(vertices, dtype=np.float64), faces
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, self.vertices.astype(np.float32), faces.astype(np.int32))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a mesh: a scene of rays cannot."""
        return Surface, (self.vertices, self.faces)

    @cached_property
    def normals(self) -> FloatArray:
        """Unit normals (m, 3) of the vertices."""
        return vertex_normals(self.vertices, self.faces)

    def cast(self, origins: Floats, directions: Floats) -> tuple[NDArray[np.bool_], Hits]:
        """Which of r rays (r, 3) meet the surface (r,), and where (k of them)."""
        found = self._run(origins, directions)
        met = found["primID"] >= 0
        u, v = found["u"][met].astype(np.float64), found["v"][met].astype(np.float64)
        return met, Hits(self.faces[found["primID"][met]], np.stack([1 - u - v, u, v], axis=1))

    def first(self, origins: Floats, directions: Floats) -> tuple[IntArray, Floats]:
        """The triangle (r,) that each ray (r, 3) meets first, or -1, and how far on (r,), in mm."""
        found = self._run(origins, directions)
        return found["primID"].astype(np.int64), found["tfar"].astype(np.float64)

    def _run(self, origins: Floats, directions: Floats) -> dict[str, NDArray[Any]]:
        rays = origins.astype(np.float32), directions.astype(np.float32)
        return self._scene.run(*rays, output=True)

    def cosines(self, points: Floats, normals: Floats, camera: Camera) -> Floats:
        """How squarely (k,) a camera sees places (k, 3): 1 head-on, 0 where it does not."""
        towards = unit(camera_position(camera) - points)
        cosine = np.einsum("ij,ij->i", unit(normals), towards)
        pictured = np.abs(camera.project(points, 1) - 0.5).max(axis=1) < 0.5 - _MARGIN
        facing = np.flatnonzero((cosine > 0) & pictured)
        origins = (points + _CLEARANCE * unit(normals))[facing]
        hit = self._scene.run(
            origins.astype(np.float32), towards[facing].astype(np.float32), query="OCCLUDED"
        )
        seen = np.zeros(len(points))
        seen[facing] = np.where(hit < 0, cosine[facing], 0)
        return seen


def camera_position(camera: Camera) -> Floats:
    """Where a camera (3,) stands, in the frame of the vertices that it views, mm."""
    return from_view(camera, np.array([[0.0, 0.0, camera.distance]]))[0] + camera.target


def from_view(camera: Camera, vectors: Floats) -> Floats:
    """Vectors (k, 3) of a camera's frame in the frame of the vertices that it views."""
    axes = camera.view(np.eye(3) + camera.target).astype(np.float64)  # rows: where x, y, z go
    return vectors @ axes.T
