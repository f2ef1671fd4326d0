"""Detail that is finer than a face's vertices, for programs that show it: normal maps, fine meshes.

A displacement image tells how far the skin lies from the triangles, along the normals.
"""

import numpy as np
import trimesh
from numpy.typing import NDArray

from facesynth.mapping.image_mapping import ImageMapping, bilinear, rasterize
from facesynth.rendering.bump import surface_gradients
from facesynth.rendering.light import unit
from facesynth.surface.mesh import FloatArray, Floats, IntArray, vertex_normals


def normal_map(
    vertices: Floats, faces: IntArray, uv: FloatArray, displacement: Floats
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Normals of a displaced surface, as glTF 2.0 keeps them.

    vertices (m, 3) mm, faces (f, 3), uv (m, 2) with row 0 at v = 1, displacement (R, R) mm.

    Returns the map (R, R, 3): red points along u, green up the image, blue outwards, and -1 to 1
    are 0 to 255; and the vertices' tangents (m, 4), unit vectors along u and a sign that is always
    1, for they are never mirrored. To first order (Blinn 1978; see `rendering.bump`).
    """
    size = len(displacement)
    mapping = ImageMapping(uv, faces, *rasterize(uv, faces, size))
    normals = vertex_normals(vertices, faces)
    axes = surface_gradients(vertices, faces, uv)  # (m, 2, 3) per mm, of u and of v
    along = unit(np.cross(axes[:, 1], normals))
    _, out = mapping.surface(vertices)  # (R, R, 3)
    of_u, of_v, right = np.split(
        mapping.to_image(np.column_stack([axes.reshape(-1, 6), along])), 3, axis=-1
    )
    up = unit(np.cross(out, right))
    right = np.cross(up, out)
    down, across = np.gradient(displacement[..., None], axis=(0, 1))
    rise = size * (across * of_u - down * of_v)
    lean = [-(rise * axis).sum(axis=-1) for axis in (right, up)]
    bent = unit(np.stack([*lean, np.ones((size, size))], axis=-1))
    tangents = np.column_stack([along, np.ones(len(along))]).astype(np.float32)
    return np.rint((bent + 1) * 127.5).astype(np.uint8), tangents


def subdivided(
    vertices: Floats, faces: IntArray, uv: FloatArray, displacement: Floats, rounds: int
) -> tuple[FloatArray, IntArray, FloatArray]:
    """A finer mesh, whose vertices are displaced: points (k, 3) mm, triangles and uv (k, 2).

    Each round halves all edges; see `normal_map` for the arguments.
    """
    normals = vertex_normals(vertices, faces)
    both = {"uv": np.asarray(uv, dtype=np.float64), "normals": normals}
    points = np.asarray(vertices, dtype=np.float64)
    for _ in range(rounds):
        points, faces, both = trimesh.remesh.subdivide(points, faces, vertex_attributes=both)
    away = bilinear(both["uv"], len(displacement)) @ np.asarray(displacement, np.float64).ravel()
    return points + away[:, None] * unit(both["normals"]), faces, both["uv"]
