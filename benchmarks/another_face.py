"""A template that is not ours: other vertices and triangles, holes, no symmetry.

For the tests, and for `alignment.py`: its vertices are places on the standard template, so that
their true places on a scanned person's face are known.
"""

import csv
import functools
from pathlib import Path

import numpy as np
import trimesh
from scipy.sparse import csr_array
from scipy.spatial import Delaunay, cKDTree

from facesynth.mapping import UniversalMapping
from facesynth.surface.mesh import FloatArray, IntArray, triangle_areas
from facesynth.template import LANDMARKS, Template, standard
from facesynth.template.completion import complete

APART = 0.018  # of the parametrised square, from vertex to vertex
TRIED = 20_000  # random points


def another_face(apart: float = APART) -> tuple[FloatArray, IntArray, IntArray]:
    """Vertices (m, 3) mm, triangles (f, 3) with holes at eyes and mouth, and landmarks (43,)."""
    places, faces, landmarks = _remeshed(apart)
    return places @ standard().vertices, faces, landmarks


def template(apart: float = APART) -> tuple[Template, csr_array]:
    """The same as a template of m vertices, and the operator to them from the standard one's."""
    vertices, faces, landmarks = another_face(apart)
    made = Template(**complete(vertices, faces, landmarks, {}, "another face"))
    return made, _remeshed(apart)[0]


@functools.cache
def _remeshed(apart: float) -> tuple[csr_array, IntArray, IntArray]:
    """The operator from the standard template's vertices to the face's, triangles and landmarks.

    The standard template's surface, sampled anew: random points of the parametrised square, joined
    by Delaunay's triangulation, and none within the eyes and between the lips.
    """
    face = standard()
    mapping = UniversalMapping(face, 128)
    rng = np.random.default_rng(7)
    rim, marks, lips = (
        mapping.uv[of] for of in (face.boundary, face.landmarks, face.curves["upper_lip"][2:-2])
    )
    fixed, marked = len(rim) + len(marks) + len(lips), len(rim) + len(marks)
    uv, n = np.concatenate([rim, marks, lips, rng.random((TRIED, 2))]), fixed
    for point in uv[fixed:].copy():
        if ((uv[:n] - point) ** 2).sum(axis=1).min() > apart**2:
            uv[n] = point
            n += 1
    uv = uv[:n]
    triangles = Delaunay(uv).simplices.astype(np.int64)
    a, b, c = (uv[triangles[:, k]] for k in range(3))
    turned = np.cross(b - a, c - a) < 0
    triangles[turned] = triangles[turned, ::-1]
    flat = trimesh.Trimesh(
        np.column_stack([mapping.uv, 0 * mapping.uv[:, 0]]), face.faces, process=False
    )
    inside = np.column_stack([uv, 0 * uv[:, 0]])
    on, _, where = trimesh.proximity.closest_point(flat, inside)
    weights = trimesh.triangles.points_to_barycentric(flat.triangles[where], on)
    entries = weights.ravel(), face.faces[where].ravel(), np.arange(0, weights.size + 1, 3)
    places = csr_array(entries, shape=(len(uv), len(face.vertices)))
    eyes = np.maximum(face.regions["left_eye"], face.regions["right_eye"])
    middle = uv[triangles].mean(axis=1)
    hole = eyes[cKDTree(mapping.uv).query(middle)[1]] > 0.5
    hole |= ((triangles >= marked) & (triangles < fixed)).any(axis=1)  # along the closed mouth
    sides = uv[triangles] - uv[np.roll(triangles, -1, axis=1)]
    thin = np.linalg.norm(sides, axis=2).max(axis=1) > 4 * apart
    # points in the square's corners, beyond the mapping, came to lie in one line
    thin |= triangle_areas(places @ face.vertices, triangles) < 1e-6
    used, faces = _largest_piece(places @ face.vertices, triangles[~hole & ~thin])
    number = np.full(len(uv), -1)
    number[used] = np.arange(len(used))
    return places[used], faces, number[len(rim) : marked]


def _largest_piece(vertices: FloatArray, triangles: IntArray) -> tuple[IntArray, IntArray]:
    """The vertices that are used without pieces that hang on by a corner, and their triangles."""
    while True:
        mesh = trimesh.Trimesh(vertices, triangles, process=False)
        every = np.arange(len(triangles))
        pieces = trimesh.graph.connected_components(mesh.face_adjacency, nodes=every)
        piece = max(pieces, key=len)
        triangles = triangles[np.sort(piece)]
        half = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2)
        undirected, count = np.unique(np.sort(half, axis=1), axis=0, return_counts=True)
        rim = np.bincount(undirected[count == 1].ravel(), minlength=len(vertices))
        if not (rim > 2).any():
            break
        triangles = triangles[~(rim[triangles] > 2).any(axis=1)]
    used, compact = np.unique(triangles, return_inverse=True)
    return used, compact.reshape(-1, 3)


def write(folder: Path, names: tuple[str, ...] = LANDMARKS) -> Path:
    """Write the face as an OBJ file with its table of landmarks; return the OBJ file's path."""
    vertices, faces, landmarks = another_face()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    (folder / "another.obj").write_text("\n".join(lines) + "\n")
    with (folder / "another.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["landmark", "vertex"])
        table.writerows(
            [name, int(v)]
            for name, v in zip(LANDMARKS, landmarks, strict=True)
            if v >= 0 and name in names
        )
    return folder / "another.obj"
