"""Edges that pierce triangles: cases worked out by hand, and properties of random ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facesynth.surface.mesh import edges
from facesynth.surface.self_intersection import pierced

FLOOR = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])


def with_floor(other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([FLOOR, other]), np.array([[0, 1, 2], [3, 4, 5]])


def test_a_triangle_through_another() -> None:
    vertices, faces = with_floor(np.array([[1.0, 1, -1], [1, 1, 1], [9, 9, 1]]))
    edge = edges(faces)
    found = {(tuple(sorted(edge[e].tolist())), int(t)) for e, t in pierced(vertices, faces)}
    # its upright edge through the floor, and the floor's long edge through it
    assert found == {((3, 4), 0), ((1, 2), 1)}


def test_a_triangle_beside_or_above_another() -> None:
    for other in ([[5.0, 5, -1], [5, 5, 1], [9, 9, 1]], [[1.0, 1, 0.1], [1, 2, 1], [2, 1, 1]]):
        assert len(pierced(*with_floor(np.array(other)))) == 0


def test_neighbours_do_not_pierce_each_other() -> None:
    # two triangles that share an edge, folded to any angle, and a fan around one vertex
    for angle in np.linspace(0.05, np.pi, 12):
        vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, np.cos(angle), np.sin(angle)]])
        assert len(pierced(vertices, np.array([[0, 1, 2], [1, 0, 3]]))) == 0
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    rim = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(8)])
    fan = np.array([[0, 1 + k, 1 + (k + 1) % 8] for k in range(8)])
    assert len(pierced(np.concatenate([np.zeros((1, 3)), rim]), fan)) == 0


def test_a_fan_that_cuts_itself() -> None:
    # around one vertex; the opposite edge of the second triangle goes through the first
    vertices = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, -1], [1, 1, 1]])
    assert len(pierced(vertices, np.array([[0, 1, 2], [0, 3, 4]]))) == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000))
def test_random_triangles_agree_with_the_signs_of_volumes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, faces = with_floor(rng.uniform(-2, 5, (3, 3)))

    def volume(*corners: int) -> float:
        a, b, c, d = vertices[list(corners)]
        return float(np.linalg.det(np.array([b - a, c - a, d - a])))

    def passes(p: int, q: int, a: int, b: int, c: int) -> bool:
        sides = [volume(p, q, a, b), volume(p, q, b, c), volume(p, q, c, a)]
        return volume(a, b, c, p) * volume(a, b, c, q) < 0 and len(set(np.sign(sides))) == 1

    first, second = faces
    expected = any(passes(first[k], first[k - 1], *second) for k in range(3)) or any(
        passes(second[k], second[k - 1], *first) for k in range(3)
    )
    assert (len(pierced(vertices, faces)) > 0) == expected


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 1000), st.integers(0, 100))
def test_size_and_place_do_not_matter(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, faces = with_floor(rng.uniform(-2, 5, (3, 3)))
    moved = scale * vertices + scale * rng.uniform(-1, 1, 3)
    assert len(pierced(vertices, faces)) == len(pierced(moved, faces))
