"""Cutting: what remains is the positive side, as exact as asked, symmetric, and without slivers."""

import importlib

import numpy as np
import pytest
from disks import random_disk, symmetric_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from facesynth.mapping.image_mapping import cross_2d
from facesynth.surface import mesh
from facesynth.surface.cut import cut

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
FLIP = np.array([-1, 1, 1])


def part(vertices, faces, values, mirror=None):
    """Vertices (k, 3) of the part, its triangles, and the values there."""
    corners, weights, kept = cut(vertices, faces, values, mirror)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.min() >= 0
    at = [np.einsum("kj,kj...->k...", weights, np.asarray(v)[corners]) for v in (vertices, values)]
    return at[0], kept, at[1]


def signed_areas(points, faces):
    a, b, c = (points[faces[:, k], :2] for k in range(3))
    return cross_2d(b - a, c - a) / 2


def test_a_square_by_hand():
    vertices, faces = SQUARE
    points, kept, _ = part(vertices, faces, [0.5, -0.5, -0.5, 0.5])  # x < 1/2, every edge halved
    assert sorted(points.tolist()) == [
        [0, 0, 0],
        [0, 1, 0],
        [0.5, 0, 0],
        [0.5, 0.5, 0],
        [0.5, 1, 0],
    ]
    assert np.isclose(signed_areas(points, kept).sum(), 0.5)
    assert len(mesh.check_disk(points, kept)) == 5
    # x < 0.7: vertices 1 and 2 move on to the line, and no edge is split
    points, kept, _ = part(vertices, faces, [0.7, -0.3, -0.3, 0.7])
    assert sorted(points.round(9).tolist())[:2] == [[0, 0, 0], [0, 1, 0]]
    assert np.allclose(np.sort(points[:, 0]), [0, 0, 0.7, 0.7])
    assert len(kept) == 2
    whole, same, _ = part(vertices, faces, np.ones(4))
    np.testing.assert_array_equal(whole, vertices)
    np.testing.assert_array_equal(same, faces)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(10, 200), st.floats(0, 2 * np.pi), st.floats(0.1, 0.9))
def test_a_half_plane_of_a_convex_disk_is_exact(seed, points, angle, share):
    """Against the area that the line leaves of the outline, by the shoelace formula."""
    vertices, faces = random_disk(seed, points, 0)
    vertices[:, 2] = 0
    way = vertices[:, :2] @ [np.cos(angle), np.sin(angle)]
    values = way - np.quantile(way, share)
    with pytest.MonkeyPatch.context() as patch:  # vertices stay, however near to the line
        patch.setattr(importlib.import_module("facesynth.surface.cut"), "SNAP", 0)
        places, kept, at = part(vertices, faces, values)
    assert at.min() > -1e-9 * np.ptp(way)
    outline = mesh.check_disk(vertices, faces)
    polygon = []
    for a, b in zip(outline, np.roll(outline, -1), strict=True):
        if values[a] > 0:
            polygon.append(vertices[a, :2])
        if (values[a] > 0) != (values[b] > 0):
            s = values[a] / (values[a] - values[b])
            polygon.append((1 - s) * vertices[a, :2] + s * vertices[b, :2])
    corners = np.array(polygon)
    true = cross_2d(corners, np.roll(corners, -1, axis=0)).sum() / 2
    areas = signed_areas(places, kept)
    assert areas.min() > -1e-9 * true
    np.testing.assert_allclose(areas.sum(), true, rtol=1e-9)


@settings(max_examples=50)
@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(30, 60), st.integers(10, 16))
def test_a_round_part_of_a_dome_is_a_disk_without_slivers(x, y, radius, rings):
    disk = symmetric_disk(rings, 4 * rings)
    values = radius - np.linalg.norm(disk.vertices[:, :2] - [x, y], axis=1)
    points, kept, at = part(disk.vertices, disk.faces, values)
    loop = mesh.check_disk(points, kept)
    rim = np.linalg.norm(points[loop, :2] - [x, y], axis=1)
    assert np.abs(rim - radius).max() < 100 / rings / 8  # the curve's height over an edge's ends
    assert at.min() > -1e-9
    # heights of triangles over their longest sides, beside those of the uncut mesh
    assert flatness(points, kept).min() > 0.25 * flatness(disk.vertices, disk.faces).min()


def flatness(points, faces):
    side = np.linalg.norm(points[faces] - points[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    return 2 * mesh.triangle_areas(points, faces) / side**2


@settings(max_examples=50)
@given(st.floats(-40, 40), st.floats(20, 60), st.integers(8, 14), st.integers(0, 2**32))
def test_a_symmetric_part_of_a_symmetric_mesh_is_its_mirror_image(y, radius, rings, seed):
    disk = symmetric_disk(rings, 4 * rings)
    values = radius - np.linalg.norm(disk.vertices[:, :2] - [0, y], axis=1)
    ragged = np.random.default_rng(seed).normal(0, 2, len(values))
    values += ragged + ragged[disk.mirror]
    points, kept, _ = part(disk.vertices, disk.faces, values, disk.mirror)
    away, mirror = cKDTree(points).query(points * FLIP)
    assert away.max() < 1e-9
    assert mesh.contained(kept, mirror[kept[:, ::-1]]).all()
    assert np.abs(points[mirror == np.arange(len(points)), 0]).max() < 1e-12


def test_nothing_is_left_of_the_negative_side_and_bad_values_are_refused():
    vertices, faces = SQUARE
    corners, weights, kept = cut(vertices, faces, -np.ones(4))
    assert (len(corners), len(weights), len(kept)) == (0, 0, 0)
    for values in (np.ones(3), np.ones((4, 1)), [1, 1, np.nan, 1]):
        with pytest.raises(mesh.MeshArrayError, match=r"values of shape .*expected finite"):
            cut(vertices, faces, values)
