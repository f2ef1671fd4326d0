"""Filled holes: least area, no new vertex, one boundary left."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facesynth.surface.holes import _least_area, boundary_loops, fill_holes
from facesynth.surface.mesh import check_disk, triangle_areas


def ring(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An annulus of n steps between radii 1 and 3, its inner rim not quite flat."""
    angle = 2 * np.pi * np.arange(n) / n
    circle = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    inner = circle.copy()
    inner[:, 2] = np.random.default_rng(seed).normal(0, 0.05, n)
    a = np.arange(n)
    b = (a + 1) % n
    faces = np.concatenate([np.stack([a, a + n, b], 1), np.stack([b, a + n, b + n], 1)])
    return np.concatenate([inner, 3 * circle]), faces


def test_a_square_hole_is_filled_by_two_triangles():
    vertices, faces = ring(4)
    vertices[:4, 2] = 0
    assert [len(loop) for loop in boundary_loops(faces)] == [4, 4]
    filled, (rim,) = fill_holes(vertices, faces)
    assert len(filled) == len(faces) + 2
    assert sorted(rim.tolist()) == [0, 1, 2, 3]
    assert np.isclose(triangle_areas(vertices, filled[len(faces) :]).sum(), 2)
    assert len(check_disk(vertices, filled)) == 4  # which refuses triangles the other way round


@settings(max_examples=40)
@given(st.integers(3, 24), st.integers(0, 2**32))
def test_any_hole_is_filled_and_keeps_the_rest(n, seed):
    vertices, faces = ring(n, seed)
    filled, (rim,) = fill_holes(vertices, faces)
    np.testing.assert_array_equal(filled[: len(faces)], faces)
    assert len(filled) == len(faces) + n - 2
    assert set(rim.tolist()) == set(range(n))
    assert set(check_disk(vertices, filled).tolist()) == set(range(n, 2 * n))
    fan = np.stack(
        [np.zeros(n - 2, int), np.arange(1, n - 1)[::-1] + 1, np.arange(1, n - 1)[::-1]], 1
    )
    assert triangle_areas(vertices, filled[len(faces) :]).sum() <= (
        triangle_areas(vertices, fan).sum() + 1e-12
    )


def test_an_edge_that_the_mesh_has_is_not_made_again():
    # The hole's cheaper diagonal is an edge of the surface already: a flap stands on it.
    vertices, faces = ring(4)
    vertices[:4] = [[1, 0, 0], [0, 3, 1], [-1, 0, 0], [0, -3, 1]]
    free, _ = fill_holes(vertices, faces)
    assert {0, 2} <= set(free[-1].tolist())  # 1 mm² less than across 1 and 3
    barred = _least_area(vertices, np.array([0, 1, 2, 3]), {(0, 2)})
    assert all({1, 3} <= set(triangle) for triangle in barred)


def test_a_surface_without_holes_is_left_alone():
    vertices, faces = ring(5)
    whole, _ = fill_holes(vertices, faces)
    again, rims = fill_holes(vertices, whole)
    assert rims == []
    assert again is whole
