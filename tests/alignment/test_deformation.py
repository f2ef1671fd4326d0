"""Similarities between points, and the smooth deformations that an alignment begins with."""

import dataclasses

import another_face
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from facesynth import population
from facesynth.alignment import deformation
from facesynth.alignment.deformation import (
    SCALES,
    Deformations,
    of_faces,
    prior,
    smooth,
)
from facesynth.population import shipped
from facesynth.surface.mesh import edges
from facesynth.surface.similarity import TooFewPointsError, similarity
from facesynth.template import Template, standard

POINTS = np.array([[0, 0, 0], [100, 0, 0], [0, 80, 0], [0, 0, 60], [30, 40, 20]], dtype=float)
TURN = Rotation.from_rotvec([20, -40, 70], degrees=True).as_matrix()
SHIFT = np.array([5.0, -300.0, 40.0])  # mm


@pytest.fixture(scope="module")
def unseen():
    """The deformation of a face with an expression, of a seed that no modes were learned from."""
    face = standard()
    people = population.sample(1, 4321, expressions=True, progress=False)
    vertices = people.expressions[0, 2].astype(np.float64)
    target = face.vertices[face.landmarks]
    moved = similarity(vertices[face.landmarks], target).apply(vertices)
    return moved - face.vertices


def rms(off):
    return np.sqrt((off**2).sum(axis=-1).mean())


def from_landmarks(prior: Deformations, deformation):
    """The likeliest deformation (m, 3) whose landmarks are those of a given one, to 1 mm."""
    at = standard().landmarks
    phi = prior.modes[at].reshape(3 * len(at), -1).astype(np.float64)
    off = (deformation - prior.mean)[at].ravel()
    coefficients = phi.T @ np.linalg.solve(phi @ phi.T + np.eye(len(off)), off)
    return prior.mean + prior.modes @ coefficients


def test_a_known_similarity_is_recovered():
    found = similarity(POINTS, 1.3 * POINTS @ TURN.T + SHIFT)
    assert found.scale == pytest.approx(1.3)
    np.testing.assert_allclose(found.rotation, TURN, atol=1e-12)
    np.testing.assert_allclose(found.translation, SHIFT, atol=1e-10)


def test_mirrored_points_are_turned_and_never_reflected():
    found = similarity(POINTS, POINTS * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
    assert found.scale > 0


def test_points_in_a_plane_are_enough():
    plane = POINTS[:3]
    found = similarity(plane, 0.5 * plane @ TURN.T + SHIFT)
    np.testing.assert_allclose(found.rotation, TURN, atol=1e-12)


def test_pairs_that_are_not_known_are_left_out():
    source, target = POINTS.copy(), POINTS @ TURN.T + SHIFT
    source[0] = np.nan
    target[3, 1] = np.nan
    np.testing.assert_allclose(similarity(source, target).apply(POINTS[0]), SHIFT, atol=1e-10)


def test_two_known_pairs_are_too_few():
    target = POINTS.copy()
    target[2:] = np.nan
    with pytest.raises(TooFewPointsError, match="2 pairs"):
        similarity(POINTS, target)


@pytest.mark.parametrize("swapped", [False, True])
def test_points_on_a_line_are_refused(swapped):
    line = np.arange(5)[:, None] * [1.0, 2.0, 3.0]
    pair = (POINTS, line) if swapped else (line, POINTS)
    with pytest.raises(TooFewPointsError, match="line"):
        similarity(*pair)


def test_equal_points_are_refused():
    with pytest.raises(TooFewPointsError, match="line"):
        similarity(POINTS, np.ones_like(POINTS))


angles = st.tuples(*[st.floats(-3, 3)] * 3)
shifts = st.tuples(*[st.floats(-500, 500)] * 3)


@given(scale=st.floats(0.1, 10), angle=angles, shift=shifts)
def test_the_inverse_leads_back(scale, angle, shift):
    target = scale * Rotation.from_rotvec(angle).apply(POINTS) + shift
    found = similarity(POINTS, target)
    np.testing.assert_allclose(found.apply(POINTS), target, atol=1e-8)
    np.testing.assert_allclose(found.inverse().apply(target), POINTS, atol=1e-8)


def test_smooth_modes_are_each_symmetric_or_antisymmetric():
    modes = smooth(standard()).modes.astype(np.float64)
    mirrored = modes[standard().mirror] * np.array([-1, 1, 1])[:, None]
    size = np.abs(modes).max()
    even = np.abs(mirrored - modes).max(axis=(0, 1)) < 1e-3 * size
    odd = np.abs(mirrored + modes).max(axis=(0, 1)) < 1e-3 * size
    assert (even | odd).all()
    assert even.sum() == odd.sum()


def test_smooth_deformations_are_mostly_symmetric_and_alike_nearby():
    face = standard()
    a = np.random.default_rng(0).standard_normal((smooth(standard()).modes.shape[2], 50))
    draws = np.tensordot(smooth(standard()).modes, a, axes=1)  # (m, 3, 50)
    mirrored = draws[face.mirror] * np.array([-1, 1, 1])[:, None]
    assert np.abs(draws + mirrored).mean() > 1.5 * np.abs(draws - mirrored).mean()
    neighbours = draws[face.faces[:, 0]] - draws[face.faces[:, 1]]
    assert np.abs(neighbours).mean() < 0.1 * np.abs(draws).mean()


def test_few_modes_of_faces_reproduce_an_unseen_face_better_than_many_smooth_ones(unseen):
    faces, alone = of_faces(), smooth(standard())
    learned = faces.modes.shape[2] - alone.modes.shape[2]
    assert learned < alone.modes.shape[2]
    off = []
    for mean, modes in ((faces.mean, faces.modes[..., :learned]), (alone.mean, alone.modes)):
        flat = modes.reshape(-1, modes.shape[2]).astype(np.float64)
        rest = (unseen - mean).ravel()
        a = np.linalg.lstsq(flat, rest, rcond=1e-9)[0]
        off.append(rms((rest - flat @ a).reshape(-1, 3)))
    assert off[0] < off[1]
    assert off[0] < 0.6


def test_landmarks_tell_more_of_an_unseen_face_to_who_knows_faces(unseen):
    by_faces = rms(from_landmarks(of_faces(), unseen) - unseen)
    of_nothing = rms(from_landmarks(smooth(standard()), unseen) - unseen)
    assert by_faces < 0.7 * of_nothing < 0.7 * rms(unseen)


def test_the_modes_of_faces_end_with_the_smooth_ones():
    k = smooth(standard()).modes.shape[2]
    np.testing.assert_array_equal(of_faces().modes[..., -k:], smooth(standard()).modes)


def test_faces_are_as_likely_as_their_mirror_images():
    mean = of_faces().mean
    mirrored = mean[standard().mirror] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, mean, atol=1e-3)


def test_the_same_smooth_deformations_every_time():
    again = smooth.__wrapped__(standard())  # past the cache
    assert again.modes.tobytes() == smooth(standard()).modes.tobytes()


def test_the_shipped_modes_are_those_of_the_population():
    learned, kept = shipped.face_modes(), of_faces()
    k = learned.modes.shape[2]
    np.testing.assert_allclose(kept.mean, learned.mean, atol=1e-4)
    # Of a pair of modes with nearly the same variance another machine may mix the two, and turn
    # the sign of any: what they span together is the same.
    for few in (5, 20, k):
        a, b = (m[..., :few].reshape(-1, few).astype(float) for m in (learned.modes, kept.modes))
        a, b = a @ (a.T @ a), b @ (b.T @ b)
        scale = np.linalg.svd(b, compute_uv=False)[-1]
        assert np.linalg.svd(a, compute_uv=False)[-1] == pytest.approx(scale, rel=1e-3)
    variance = [np.square(m[..., :k]).sum(axis=(0, 1)) for m in (learned.modes, kept.modes)]
    np.testing.assert_allclose(variance[0], variance[1], rtol=1e-3)


def test_another_template_has_smooth_modes_of_its_own(tmp_path):
    another = Template.load(another_face.write(tmp_path))
    found = prior(another)
    m = len(another.vertices)
    assert found.mean.shape == (m, 3)
    assert found.modes.shape[:2] == (m, 3)
    assert prior(standard()) is of_faces()
    a = np.random.default_rng(0).standard_normal((found.modes.shape[2], 50))
    draws = np.tensordot(found.modes, a, axes=1)  # (m, 3, 50)
    expected = np.sqrt(sum(s**2 for s, _ in SCALES))
    assert 0.7 * expected < draws.std() < 1.1 * expected  # mm
    a, b = edges(another.faces).T
    assert np.linalg.norm(draws[a] - draws[b], axis=1).mean() < expected  # neighbours move alike


def test_smooth_deformations_are_mostly_symmetric_without_mirrored_vertices():
    """Kernels know the plane of symmetry, which also a template turned by 10 degrees has."""
    another, _ = another_face.template(0.028)
    assert another.mirror is None
    turned = Rotation.from_euler("y", 10, degrees=True).apply(another.vertices.copy())
    moved = dataclasses.replace(another, vertices=turned + [3.0, 0.0, 0.0])
    for template in (another, moved):
        flip = template.vertices @ np.diag([-1, 1, 1])
        images = deformation._reflected(template)
        if template is another:
            np.testing.assert_allclose(images, flip, atol=1e-9)
        back = deformation._reflected(dataclasses.replace(template, vertices=images))
        np.testing.assert_allclose(back, template.vertices, atol=1e-9)
        away, near = cKDTree(template.vertices).query(images)
        a = np.random.default_rng(0).standard_normal((smooth(template).modes.shape[2], 50))
        draws = np.tensordot(smooth(template).modes, a, axes=1)  # (m, 3, 50)
        mirrored = draws[near] * np.array([-1, 1, 1])[:, None]
        close = away < 3  # mm between a vertex and the mirror image of another
        assert np.abs(draws + mirrored)[close].mean() > 1.3 * np.abs(draws - mirrored)[close].mean()
