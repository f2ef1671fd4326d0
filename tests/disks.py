"""Meshes of disk topology to test with: random, with ears, cropped, and one that is symmetric."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay

from facesynth.surface import mesh
from facesynth.surface.mesh import FloatArray, IntArray


@dataclass(eq=False)  # hashed as an object, as templates are
class SymmetricDisk:
    """What UniversalMapping reads of a template."""

    vertices: FloatArray
    faces: IntArray
    mirror: IntArray | None
    boundary: IntArray
    regions: dict[str, FloatArray]
    weights: FloatArray | None = None


def symmetric_disk(rings: int = 12, spokes: int = 48) -> SymmetricDisk:
    """A dome of rings around a centre, 100 mm in radius, with the regions of a face."""
    ring, spoke = np.mgrid[1 : rings + 1, :spokes]
    angle, radius = 2 * np.pi * spoke / spokes - np.pi / 2, 100 * ring / rings
    dome = np.stack([radius * np.cos(angle), 1.2 * radius * np.sin(angle), -(radius**2) / 150], -1)
    vertices = np.concatenate([np.zeros((1, 3)), dome.reshape(-1, 3)])

    def at(r: int, s: int) -> int:
        return 1 + (r - 1) * spokes + s % spokes if r else 0

    faces = []
    for s in range(spokes):
        faces.append([0, at(1, s), at(1, s + 1)])
        for r in range(1, rings):
            a, b, c, d = at(r, s), at(r + 1, s), at(r + 1, s + 1), at(r, s + 1)
            right = s < spokes // 2
            faces += [[a, b, c], [a, c, d]] if right else [[a, b, d], [b, c, d]]
    mirror = np.array([0] + [at(r, -s) for r in range(1, rings + 1) for s in range(spokes)])
    vertices = (vertices + vertices[mirror] * [-1, 1, 1]) / 2

    x, y = vertices[:, :2].T
    regions = {
        name: (np.hypot(x - cx, y - cy) < size).astype(float)
        for name, cx, cy, size in (
            ("left_eye", 35, 25, 12),
            ("right_eye", -35, 25, 12),
            ("nose", 0, -5, 18),
            ("lips", 0, -45, 18),
            ("mouth", 0, -45, 6),
        )
    }
    regions["eyes"] = np.maximum(regions["left_eye"], regions["right_eye"])
    boundary = np.array([at(rings, s) for s in range(spokes)])
    return SymmetricDisk(vertices, np.array(faces), mirror, boundary, regions)


def random_disk(seed: int, points: int, bites: int) -> tuple[FloatArray, IntArray]:
    """A Delaunay triangulation with `bites` triangles taken off its rim, with hills and valleys.

    No inner edge connects two boundary vertices: such edges are split.
    """
    plane, faces, rng = _bitten(seed, points, bites)
    points_3d = np.column_stack([plane, rng.normal(0, rng.uniform(0, 30), points)]).tolist()
    while (edge := _dividing(faces)) is not None:
        middle = len(points_3d)
        points_3d.append(np.mean([points_3d[v] for v in edge], axis=0).tolist())
        halves = []
        for f in faces:
            if set(edge) <= set(f):
                halves += [[middle if v == end else v for v in f] for end in edge]
            else:
                halves.append(f)
        faces = halves
    return np.array(points_3d), np.array(faces)


def eared_disk(seed: int, points: int, bites: int, ears: int) -> tuple[FloatArray, IntArray]:
    """As `random_disk`, with its dividing edges kept and more made: triangles glued to the rim.

    Each of the `ears` stands on an edge of the rim, which may be another ear's, so that some pieces
    hang by one edge. Then some triangles get a vertex in their middle, which in an ear has no
    neighbours but on the boundary.
    """
    plane, faces, rng = _bitten(seed, points, bites)
    places = plane.tolist()
    for _ in range(ears):
        a, b = sorted(_rim(faces))[rng.integers(len(_rim(faces)))]
        along = np.subtract(places[b], places[a])
        tip = np.add(places[a], rng.uniform(-0.5, 1.5) * along)
        faces.append([b, a, len(places)])
        places.append((tip + rng.uniform(0.05, 2) * np.array([along[1], -along[0]])).tolist())
    for k in rng.permutation(len(faces))[: rng.integers(0, 1 + len(faces) // 4)]:
        a, b, c = faces[k]
        middle = len(places)
        places.append(np.mean([places[v] for v in (a, b, c)], axis=0).tolist())
        faces[k] = [a, b, middle]
        faces += [[b, c, middle], [c, a, middle]]
    flat = np.array(places)
    return np.column_stack([flat, rng.normal(0, rng.uniform(0, 30), len(flat))]), np.array(faces)


def grid(n: int) -> tuple[FloatArray, IntArray]:
    """n by n squares in the plane z = 0, all cut in two along the same diagonal."""
    column, row = np.meshgrid(np.arange(n + 1.0), np.arange(n + 1.0))
    vertices = np.column_stack([column.ravel(), row.ravel(), np.zeros((n + 1) ** 2)])
    a = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    b, c, d = a + 1, a + n + 2, a + n + 1
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def cropped(
    vertices: FloatArray, faces: IntArray, seed: int, cuts: int
) -> tuple[FloatArray, IntArray, IntArray] | None:
    """The largest piece within random half-spaces, if it is a disk, and its vertices' old numbers.

    vertices : (m, 3); faces : (f, 3). A triangle stays if its centroid is within.
    """
    rng = np.random.default_rng(seed)
    centroids = vertices[faces].mean(axis=1)
    around = centroids - vertices[rng.integers(len(vertices))]
    inside = np.ones(len(faces), dtype=bool)
    for _ in range(cuts):
        normal = rng.normal(size=3)
        inside &= around @ (normal / np.linalg.norm(normal)) < rng.uniform(0, 60)
    kept = faces[inside]
    if not len(kept):
        return None
    edge = mesh.edges(kept)
    half = np.sort(np.stack([kept, np.roll(kept, -1, axis=1)], axis=2), axis=2)  # (f, 3, 2)
    key = edge @ [len(vertices), 1]
    which = np.searchsorted(key, half @ [len(vertices), 1]).ravel()
    of_face = csr_array(
        (np.ones(which.size), which, np.arange(0, which.size + 1, 3)), shape=(len(kept), len(edge))
    )
    piece = connected_components(of_face @ of_face.T, directed=False)[1]
    old, new = np.unique(kept[piece == np.bincount(piece).argmax()], return_inverse=True)
    try:
        mesh.check_disk(vertices[old], new.reshape(-1, 3))
    except mesh.MeshError:
        return None
    return vertices[old], new.reshape(-1, 3), old


def _bitten(
    seed: int, points: int, bites: int
) -> tuple[FloatArray, list[list[int]], np.random.Generator]:
    rng = np.random.default_rng(seed)
    plane = rng.random((points, 2)) * rng.uniform(0.3, 3, 2) * 100
    faces = [list(map(int, f)) for f in Delaunay(plane).simplices]
    for f in faces:
        a, b, c = plane[f]
        if (b - a)[0] * (c - a)[1] < (b - a)[1] * (c - a)[0]:
            f.reverse()
    for _ in range(bites):
        rim = _rim(faces)
        on_rim = {v for edge in rim for v in edge}
        # One edge on the rim and the opposite corner within: what remains is still a disk.
        loose = [
            f
            for f in faces
            if sum(e in rim for e in _sides(f)) == 1 and sum(v in on_rim for v in f) == 2
        ]
        if not loose:
            break
        faces.remove(loose[rng.integers(len(loose))])
    return plane, faces, rng


def _sides(face: list[int]) -> list[tuple[int, int]]:
    a, b, c = face
    return [(a, b), (b, c), (c, a)]


def _rim(faces: list[list[int]]) -> set[tuple[int, int]]:
    directed = {side for f in faces for side in _sides(f)}
    return {(a, b) for a, b in directed if (b, a) not in directed}


def _dividing(faces: list[list[int]]) -> tuple[int, int] | None:
    rim = _rim(faces)
    on_rim = {v for edge in rim for v in edge}
    for f in faces:
        for a, b in _sides(f):
            if a in on_rim and b in on_rim and (a, b) not in rim:
                return a, b
    return None
