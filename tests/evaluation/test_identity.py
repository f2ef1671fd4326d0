"""Descriptors: who is alike, whatever the face does; and what the network looks at."""

import numpy as np
import pytest

from facesynth.dataset import dataset
from facesynth.evaluation import identity
from facesynth.evaluation.identity import IdentityError, View
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.rendering import Light
from facesynth.surface.mesh import MeshError


@pytest.fixture(scope="module")
def scans():
    """Three people, neutral and with their mouths open."""
    read = dataset.released(3)
    return read.take(np.isin(read.expressions, [0, 2]))


@pytest.fixture(scope="module")
def uv(scans):
    return UniversalMapping(scans.template, 256).uv


@pytest.fixture(scope="module")
def descriptors(scans, uv):
    return identity.describe(
        scans.geometry, scans.textures, uv, scans.template, n_jobs=1, progress=False
    )


def test_a_person_is_nearer_to_herself_than_to_others(scans, descriptors):
    assert descriptors.shape == (6, 128)
    between = identity.distances(descriptors)
    same = scans.subjects[:, None] == scans.subjects
    assert between[same].max() < between[~same].min()


def test_distances_are_euclidean():
    a = np.zeros((1, 128))
    b = np.zeros((2, 128))
    b[1, :2] = [3, 4]
    np.testing.assert_allclose(identity.distances(a, b), [[0, 5]])
    np.testing.assert_allclose(identity.distances(b), [[0, 5], [5, 0]])


def test_eyes_lie_where_the_network_expects_them(scans, uv):
    """Of a face that is all dark but for its eyes."""
    model = scans.template
    lit = np.clip(model.regions["left_eye"] + model.regions["right_eye"], 0, 1)
    to = UniversalMapping(model, 256)
    texture = np.repeat(255 * to.to_image(lit[:, None]), 3, axis=2).round().astype(np.uint8)
    chip = identity.chip(scans.geometry[0], texture, uv, scans.template)
    assert chip.shape == (150, 150, 3)
    row, column = np.nonzero(chip[:90].mean(axis=2) > 150)
    left, right = column < 75, column >= 75
    # dlib's mean face: eyes 0.23 from its top, at 0.23 and 0.75 of its width, in a margin of 0.25
    assert row.mean() == pytest.approx(100 * (0.25 + 0.22), abs=6)
    assert column[left].mean() == pytest.approx(100 * (0.25 + 0.227), abs=6)
    assert column[right].mean() == pytest.approx(100 * (0.25 + 0.753), abs=6)


def test_a_face_that_is_moved_or_larger_is_cut_out_alike(scans, uv):
    still = identity.chip(scans.geometry[0], scans.textures[0], uv, scans.template).astype(float)
    moved = identity.chip(
        1.05 * scans.geometry[0] + [4, -3, 2], scans.textures[0], uv, scans.template
    )
    assert np.abs(moved - still).mean() < 8  # grey levels; of another person 30 and more
    other = identity.chip(scans.geometry[4], scans.textures[4], uv, scans.template)
    assert np.abs(other - still).mean() > 16


def test_a_face_is_known_when_it_is_turned_and_in_other_light(scans, uv, descriptors):
    views = (View(yaw=20.0), View(yaw=-20.0), View(light=Light(key=(0.8, 0.5, 0.6))))
    chips = [identity.chips(scans.geometry, scans.textures, uv, view=view) for view in views]
    plain = identity.chips(scans.geometry, scans.textures, uv)
    assert all(np.abs(other.astype(float) - plain).mean() > 5 for other in chips)
    for other in chips:
        between = identity.distances(identity.embed(other), descriptors)
        same = scans.subjects[:, None] == scans.subjects
        assert between[same].mean() < between[~same].min()


def test_workers_change_nothing(scans, uv, descriptors, monkeypatch):
    monkeypatch.setattr(identity, "BATCH", 2)
    monkeypatch.setattr(identity, "FEW", 1)
    again = identity.describe(
        scans.geometry, scans.textures, uv, scans.template, n_jobs=2, progress=False
    )
    np.testing.assert_array_equal(again, descriptors)


def test_nobody_has_no_descriptors(scans, uv):
    none = identity.describe(scans.geometry[:0], scans.textures[:0], uv, progress=False)
    assert none.shape == (0, 128)


def test_bad_faces_are_named(scans, uv):
    with pytest.raises(IdentityError, match="6 geometries and 5 textures"):
        identity.describe(scans.geometry, scans.textures[:5], uv)
    with pytest.raises(IdentityError, match=r"not \(2, 96, 96, 3\) uint8"):
        identity.embed(np.zeros((2, 96, 96, 3), np.uint8))
    with pytest.raises(IdentityError, match="float64"):
        identity.embed(np.zeros((2, 150, 150, 3)))
    broken = scans.geometry[0].copy()
    broken[7] = np.nan
    with pytest.raises(MeshError, match="NaN"):
        identity.chip(broken, scans.textures[0], uv, scans.template)


def test_recognition_is_the_share_of_pairs_in_the_right_order():
    same = np.array([True, True, False, False])
    assert identity.recognition(np.array([0.1, 0.2, 0.3, 0.4]), same) == 1
    assert identity.recognition(np.array([0.1, 0.35, 0.3, 0.4]), same) == 0.75
    assert np.isnan(identity.recognition(np.array([0.1, 0.2]), np.array([True, True])))


def test_a_portrait_of_any_size(scans, uv):
    face = scans.geometry[0], scans.textures[0], uv, scans.template
    large = identity.portrait(*face, size=480)
    assert large.shape == (480, 480, 3)
    small = large.reshape(240, 2, 240, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - identity.portrait(*face)).mean() < 2
