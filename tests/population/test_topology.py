"""The face's connectivity, and the Catmull-Clark step on cases worked out by hand."""

import numpy as np
import pytest

from facesynth.population.topology import (
    boundary_loops,
    catmull_clark,
    rows_outwards,
    topology,
)
from facesynth.surface import mesh

SQUARE = [[0, 1, 2, 3]]
GRID = [
    [i + 4 * j, i + 1 + 4 * j, i + 5 + 4 * j, i + 4 + 4 * j] for j in range(3) for i in range(3)
]


def test_catmull_clark_of_a_square() -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    matrix, quads, mirror = catmull_clark(SQUARE, 4, np.array([1, 0, 3, 2]))
    points = matrix @ corners
    assert points.shape == (9, 3)  # 4 corners, 4 edges, 1 middle
    # a corner is three quarters itself and an eighth of each neighbour along the border
    np.testing.assert_allclose(points[0], [0.125, 0.125, 0])
    np.testing.assert_allclose(points[8], [0.5, 0.5, 0])
    assert {tuple(np.round(p, 6)) for p in points[4:8]} == {
        (0.5, 0, 0),
        (1, 0.5, 0),
        (0.5, 1, 0),
        (0, 0.5, 0),
    }
    np.testing.assert_allclose(points[mirror] * [-1, 1, 1] + [1, 0, 0], points)
    assert [list(q[[0, 2]]) for q in quads] == [[0, 8], [1, 8], [2, 8], [3, 8]]


def test_catmull_clark_of_an_inner_vertex() -> None:
    # valence 4: 9/16 of itself, 3/32 of its four neighbours, 1/64 of the diagonal ones
    matrix, _, _ = catmull_clark(GRID, 16, np.arange(16))
    row = matrix[5].toarray().ravel()
    np.testing.assert_allclose(row[5], 9 / 16)
    np.testing.assert_allclose(row[[1, 4, 6, 9]], 3 / 32)
    np.testing.assert_allclose(row[[0, 2, 8, 10]], 1 / 64)


def test_catmull_clark_reproduces_a_plane_and_sums_to_one() -> None:
    matrix = topology().subdivision
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, atol=1e-12)


def test_boundary_loops_fill_the_hole() -> None:
    ring = [GRID[k] for k in (0, 1, 2, 3, 5, 6, 7, 8)]  # the middle quad is missing
    loops = boundary_loops(ring)
    assert sorted(map(len, loops)) == [4, 12]
    hole = next(loop for loop in loops if len(loop) == 4)
    assert set(hole) == set(GRID[4])
    turned = [hole[(hole.index(5) + k) % 4] for k in range(4)]
    assert turned == GRID[4]


def test_rows_outwards_walks_straight() -> None:
    rows = rows_outwards(GRID, np.array([1, 2]), 4)
    np.testing.assert_array_equal(rows, [[1, 2], [5, 6], [9, 10], [13, 14]])


def test_the_face_is_a_disk_and_its_own_mirror_image() -> None:
    top = topology()
    m = len(top.fine_mirror)
    plane = np.random.default_rng(0).normal(size=(m, 3))  # positions do not matter here
    assert len(mesh.check_disk(plane, top.faces)) > 100
    assert mesh_characteristic(top.faces, m) == 1
    np.testing.assert_array_equal(top.fine_mirror[top.fine_mirror], np.arange(m))
    triangles = {frozenset(t) for t in top.faces.tolist()}
    assert {frozenset(t) for t in top.fine_mirror[top.faces].tolist()} == triangles


def mesh_characteristic(faces: np.ndarray, vertices: int) -> int:
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1), axis=0)
    return vertices - len(edges) + len(faces)


@pytest.mark.parametrize("side", ["left", "right"])
def test_lids_of_both_sides_are_paired(side: str) -> None:
    top = topology()
    other = {"left": "right", "right": "left"}[side]
    np.testing.assert_array_equal(top.mirror[top.lids[side]], top.lids[other])
    np.testing.assert_array_equal(top.mirror[top.eye_rings[side]], top.eye_rings[other])
