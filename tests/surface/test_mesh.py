import numpy as np
import pytest
from disks import random_disk, symmetric_disk
from hypothesis import given
from hypothesis import strategies as st

from facesynth.surface import mesh

TRIANGLE = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]), np.array([[0, 1, 2]])
# A fan of four triangles around vertex 4, counter-clockwise seen from +z.
FAN = (
    np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]]),
    np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
)
TETRAHEDRON = np.eye(4)[:, :3], np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def grid(n: int, closed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A square grid, or a torus where opposite sides are the same."""
    k = n if closed else n - 1
    row, column = np.mgrid[:k, :k].reshape(2, -1)

    def at(r: np.ndarray, c: np.ndarray) -> np.ndarray:
        return (r % n) * n + c % n

    a, b = at(row, column), at(row, column + 1)
    c, d = at(row + 1, column + 1), at(row + 1, column)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices = np.random.default_rng(0).normal(size=(n * n, 3)) if closed else None
    if vertices is None:
        y, x = np.mgrid[:n, :n].reshape(2, -1)
        vertices = np.column_stack([x, y, 0 * x]).astype(float)
    return vertices, faces


def test_the_boundary_of_a_triangle_is_the_triangle():
    assert mesh.check_disk(*TRIANGLE).tolist() == [0, 1, 2]


def test_the_largest_allowed_index_is_accepted_and_the_next_one_is_not():
    vertices, faces = FAN
    assert faces.max() == len(vertices) - 1
    mesh.check_disk(vertices, faces)
    with pytest.raises(mesh.FaceIndexError, match=r"face 3 .* 0\.\.4, .*\[3, 5, 4\]"):
        mesh.check_disk(vertices, np.where(np.arange(12).reshape(4, 3) == 10, 5, faces))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_integers_and_plain_lists_are_accepted(dtype):
    vertices, faces = FAN
    assert mesh.check_disk(vertices, faces.astype(dtype)).tolist() == [0, 1, 2, 3]
    assert mesh.check_disk(vertices.tolist(), faces.tolist()).tolist() == [0, 1, 2, 3]
    assert mesh.check_disk(vertices.astype(np.float32), faces).tolist() == [0, 1, 2, 3]


def test_the_boundary_runs_in_the_direction_of_the_faces():
    vertices, faces = FAN
    assert mesh.check_disk(vertices, faces[:, ::-1]).tolist() == [0, 3, 2, 1]


@given(st.integers(0, 2**32), st.integers(4, 80), st.integers(0, 20))
def test_a_random_disk_is_accepted_in_any_numbering(seed, points, bites):
    vertices, faces = random_disk(seed, points, bites)
    loop = mesh.check_disk(vertices, faces)
    sides = {(f[k], f[(k + 1) % 3]) for f in faces.tolist() for k in range(3)}
    rim = set(zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True))
    assert rim == {(a, b) for a, b in sides if (b, a) not in sides}
    assert len(set(loop)) == len(loop)

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vertices))  # vertex i becomes order[i]
    shuffled = np.empty_like(vertices)
    shuffled[order] = vertices
    corner = (np.arange(3) + rng.integers(0, 3, (len(faces), 1))) % 3  # written from any corner
    turned = np.take_along_axis(order[faces], corner, axis=1)
    again = mesh.check_disk(shuffled, rng.permutation(turned))
    start = int(np.flatnonzero(order[loop] == again[0])[0])
    assert np.array_equal(np.roll(order[loop], -start), again)


def drop_vertex_use(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([vertices, [[9.0, 9, 9]]]), faces


def two_pieces() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = FAN
    return np.concatenate([vertices, vertices + 10]), np.concatenate([faces, faces + 5])


def annulus() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = grid(4)
    holes = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0] * 2, dtype=bool)  # the middle cell
    return vertices, faces[~holes]


def bow_tie() -> tuple[np.ndarray, np.ndarray]:
    """Two disks that share a vertex."""
    vertices, faces = FAN
    renumbered = np.where(faces == 0, 2, faces + 4 + (faces == 0))
    return np.concatenate([vertices, vertices[1:] + 1]), np.concatenate([faces, renumbered])


def pinched() -> tuple[np.ndarray, np.ndarray]:
    """A disk with a closed surface hanging on its inner vertex."""
    vertices, faces = FAN
    other = np.where(TETRAHEDRON[1] == 0, 4, TETRAHEDRON[1] + 4)
    return np.concatenate([vertices, TETRAHEDRON[0][1:] + 5]), np.concatenate([faces, other])


def punctured_torus() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = grid(5, closed=True)
    return vertices, faces[1:]


def third_sheet() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = FAN
    return np.concatenate([vertices, [[0, 0, 5.0]]]), np.concatenate([faces, [[0, 4, 5]]])


def with_vertex(value: float) -> tuple[np.ndarray, np.ndarray]:
    vertices = FAN[0].copy()
    vertices[3, 1] = value
    return vertices, FAN[1]


FLIPPED = FAN[1].copy()
FLIPPED[2] = FLIPPED[2][::-1]
FLAT = FAN[0].copy()
FLAT[4] = [0.5, 0, 0]  # on the edge from 0 to 1

INVALID = {
    "NaN": (*with_vertex(np.nan), mesh.NonFiniteVertexError, "vertex 3"),
    "infinite": (*with_vertex(-np.inf), mesh.NonFiniteVertexError, "vertex 3"),
    "negative index": (FAN[0], FAN[1] - 1, mesh.FaceIndexError, r"faces? 0.*\[-1, 0, 3\]"),
    "counted from 1": (FAN[0], FAN[1] + 1, mesh.FaceIndexError, "from 0, not from 1"),
    "flat vertices": (FAN[0][:, :2], FAN[1], mesh.MeshArrayError, r"vertices .*\(5, 2\)"),
    "quads": (FAN[0], np.array([[0, 1, 2, 3]]), mesh.MeshArrayError, r"faces .*\(1, 4\)"),
    "no faces": (FAN[0], np.zeros((0, 3), int), mesh.MeshArrayError, r"faces .*\(0, 3\)"),
    "real indices": (FAN[0], FAN[1] + 0.0, mesh.MeshArrayError, "faces .*float64"),
    "text": (FAN[0].astype(str), FAN[1], mesh.MeshArrayError, "vertices .*real"),
    "non-manifold edge": (*third_sheet(), mesh.NonManifoldEdgeError, r"\(0, 4\)"),
    "orientation": (FAN[0], FLIPPED, mesh.OrientationError, r"edges \(2, 4\), \(3, 4\)"),
    "components": (*two_pieces(), mesh.SeveralComponentsError, "2 separate .* 5 of 10"),
    "closed": (*TETRAHEDRON, mesh.NoBoundaryError, "cut it open"),
    "hole": (*annulus(), mesh.SeveralBoundariesError, "vertices 5, 6, 9, 10 belong"),
    "repeated corner": (
        FAN[0],
        np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 0]]),
        mesh.DegenerateTriangleError,
        r"face 3, .*\[3, 0, 0\]",
    ),
    "no area": (FLAT, FAN[1], mesh.DegenerateTriangleError, "face 0"),
    "unreferenced": (*drop_vertex_use(*FAN), mesh.UnreferencedVertexError, "vertex 5"),
    "bow tie": (*bow_tie(), mesh.NonManifoldVertexError, "vertex 2"),
    "pinched": (*pinched(), mesh.NonManifoldVertexError, "vertex 4"),
    "handle": (*punctured_torus(), mesh.HandleError, "1 handle"),
}


@pytest.mark.parametrize("name", INVALID)
def test_each_flaw_has_its_own_error_that_says_where(name):
    vertices, faces, error, message = INVALID[name]
    before = vertices.copy(), faces.copy()
    with pytest.raises(error, match=message) as caught:
        mesh.check_disk(vertices, faces)
    assert type(caught.value) is error
    assert isinstance(caught.value, mesh.MeshError)
    assert isinstance(caught.value, ValueError)
    assert np.array_equal(before[0], vertices, equal_nan=vertices.dtype.kind == "f")
    assert np.array_equal(before[1], faces)


def test_the_flawed_meshes_differ_from_valid_ones_only_by_their_flaw():
    for vertices, faces in (FAN, grid(4), grid(2), random_disk(0, 30, 5)):
        mesh.check_disk(vertices, faces)
    vertices, faces = grid(5, closed=True)
    with pytest.raises(mesh.NoBoundaryError):  # a torus is closed before it is punctured
        mesh.check_disk(vertices, faces)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_no_area_means_flat_not_small(scale):
    mesh.check_disk(FAN[0] * scale, FAN[1])
    with pytest.raises(mesh.DegenerateTriangleError):
        mesh.check_disk(FLAT * scale, FAN[1])


def test_a_long_list_of_places_is_cut():
    vertices, faces = grid(5)
    vertices[3:23] = np.nan
    with pytest.raises(mesh.NonFiniteVertexError, match="vertices 3, 4, 5, 6, 7 and 15 more"):
        mesh.check_disk(vertices, faces)


def test_a_boundary_may_start_anywhere_but_is_the_loop():
    loop = mesh.check_disk(*FAN)
    assert mesh.check_boundary([2, 3, 0, 1], loop).tolist() == [2, 3, 0, 1]
    for short in ([], [0], [0, 1], [0, 1, 0, 1]):
        with pytest.raises(mesh.ShortBoundaryError, match="at least 3 vertices"):
            mesh.check_boundary(np.array(short, dtype=int), loop)
    for wrong in ([0, 3, 2, 1], [0, 1, 2], [1, 2, 4, 0], [7, 8, 9]):
        with pytest.raises(mesh.MeshArrayError, match="not the mesh's boundary loop"):
            mesh.check_boundary(wrong, loop)
    for kind in ([0.0, 1.0, 2.0], [[0, 1, 2]]):
        with pytest.raises(mesh.MeshArrayError, match="integers"):
            mesh.check_boundary(kind, loop)


def test_edges_areas_and_normals_of_a_fan():
    vertices, faces = FAN
    assert mesh.edges(faces).tolist() == [
        [0, 1], [0, 3], [0, 4], [1, 2], [1, 4], [2, 3], [2, 4], [3, 4]
    ]  # fmt: skip
    # Each side has base 1 and slant height sqrt(1 + 1/4).
    assert np.allclose(mesh.triangle_areas(vertices, faces), np.sqrt(1.25) / 2)
    shares = np.sqrt(1.25) / 2 * np.array([2, 2, 2, 2, 4]) / 3
    assert np.allclose(mesh.vertex_areas(vertices, faces), shares)
    normals = mesh.vertex_normals(vertices, faces)
    assert np.allclose(normals[4], [0, 0, 1])
    assert np.allclose(normals[0], np.array([-2, -2, 2]) / np.sqrt(12))


def test_larger_triangles_weigh_more_in_a_normal():
    vertices = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 1]])
    normals = mesh.vertex_normals(vertices, [[0, 1, 2], [0, 2, 3]])
    assert np.allclose(normals[0], np.array([1, 0, 2]) / np.sqrt(5))


def test_a_vertex_without_faces_has_no_normal():
    vertices, faces = drop_vertex_use(*FAN)
    assert mesh.vertex_normals(vertices, faces)[5].tolist() == [0, 0, 0]


@given(st.integers(0, 2**32), st.integers(4, 60))
def test_areas_and_normals_agree_with_each_other(seed, points):
    vertices, faces = random_disk(seed, points, 5)
    areas = mesh.triangle_areas(vertices, faces)
    assert np.isclose(mesh.vertex_areas(vertices, faces).sum(), areas.sum())
    normals = mesh.vertex_normals(vertices, faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.all(normals[:, 2] > 0)  # it is the graph of a function
    assert np.allclose(mesh.vertex_normals(vertices, faces[:, ::-1]), -normals)
    # Euler: V - E + F = 1
    assert len(vertices) - len(mesh.edges(faces)) + len(faces) == 1


def test_a_mirrored_dome_has_mirrored_normals():
    disk = symmetric_disk()
    normals = mesh.vertex_normals(disk.vertices, disk.faces)
    assert np.allclose(normals[disk.mirror] * [-1, 1, 1], normals, atol=1e-12)
