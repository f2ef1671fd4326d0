import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.people import real_data
from facesynth.population import sample
from facesynth.scans import Scan, landmarks
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.template import MIRROR, N_LANDMARKS, standard

SIZE = 128


@pytest.fixture(scope="module")
def face():
    """A smiling face on the template's triangles, in some position."""
    people = sample(1, 3, resolution=SIZE, expressions=True, n_jobs=1, progress=False)
    uv = UniversalMapping(standard(), SIZE).uv[standard().faces]
    vertices = people.expressions[0, 1].astype(np.float64) + [40, -300, 120]
    photograph = np.zeros(len(uv), dtype=np.int64)
    return Scan(vertices, standard().faces, uv, photograph, (people.textures[0],), name="smile")


@pytest.fixture(scope="module")
def found(face):
    return landmarks.detect(face)


def turned(scan, *angles):
    turn = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    return dataclasses.replace(scan, vertices=scan.vertices @ turn.T + [-200, 90, 10]), turn


def without(scan, keep):
    return dataclasses.replace(
        scan, faces=scan.faces[keep], uv=scan.uv[keep], photograph=scan.photograph[keep]
    )


def test_detected_points_are_the_template_s(face, found):
    error = np.linalg.norm(found - standard().at_detected @ face.vertices, axis=1)
    assert np.median(error) < 2.0
    assert error.max() < 16.0


def test_detected_points_lie_on_the_surface(face, found):
    surface = ScannedSurface(face)
    on = surface.points(surface.nearest(found))
    np.testing.assert_allclose(on, found, atol=1.5)  # a mean of points on a curved surface


@pytest.mark.parametrize("angles", [(20, 0, 0), (-15, 15, 10), (0, -20, 0)])
def test_pose_does_not_matter(face, found, angles):
    moved, turn = turned(face, *angles)
    again = (landmarks.detect(moved) - [-200, 90, 10]) @ turn
    assert np.median(np.linalg.norm(again - found, axis=1)) < 0.3


@pytest.mark.parametrize("angles", [(180, 0, 0), (0, 0, 180), (0, 90, 0), (70, -50, 130)])
def test_a_face_is_found_wherever_it_looks(face, found, angles):
    moved, turn = turned(face, *angles)
    again = (landmarks.detect(moved) - [-200, 90, 10]) @ turn
    assert np.median(np.linalg.norm(again - found, axis=1)) < 0.3


@pytest.mark.parametrize("size", [0.001, 0.45, 2.0, 1000.0])
def test_a_face_of_any_size_is_found(face, found, size):
    grown = dataclasses.replace(face, vertices=size * face.vertices)
    again = landmarks.detect(grown) / size
    assert np.median(np.linalg.norm(again - found, axis=1)) < 1.5


def test_no_face_on_a_plane():
    square = np.array([[0, 0, 0], [200, 0, 0], [200, 200, 0], [0, 200, 0]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = square[faces][..., :2] / 200
    photograph = np.full((32, 32, 3), 90, np.uint8)
    with pytest.raises(landmarks.NoFaceError):
        landmarks.detect(Scan(square, faces, uv, np.zeros(2, int), (photograph,)))


def test_a_hole_hides_what_lies_in_it(face, found):
    tip = found[13]  # of the nose
    middle = face.vertices[face.faces].mean(axis=1)
    holed = without(face, np.linalg.norm(middle - tip, axis=1) > 8.0)
    marks = landmarks.detect(holed)
    elsewhere = np.linalg.norm(found - tip, axis=1) > 20
    assert np.isfinite(marks[elsewhere]).all()
    seen = np.isfinite(marks).all(axis=1)
    # nothing floats in the hole
    surface = ScannedSurface(holed)
    away = np.linalg.norm(surface.points(surface.nearest(marks[seen])) - marks[seen], axis=1)
    assert away.max() < 2.0


def test_operator_takes_means_of_corners():
    operator = standard().at_detected
    model = standard()
    assert operator.shape == (N_LANDMARKS, len(model.vertices))
    np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-5)
    assert operator.min() >= 0
    points = operator @ model.vertices
    # a calibration moves the points, but not to other features
    assert np.linalg.norm(points - model.vertices[model.landmarks], axis=1).max() < 16


def test_operator_is_symmetric():
    points = standard().at_detected @ standard().vertices
    np.testing.assert_allclose(points[MIRROR] * [-1, 1, 1], points, atol=0.2)


def test_mirror_pairs_the_template_s_landmarks():
    model = standard()
    np.testing.assert_array_equal(model.mirror[model.landmarks], model.landmarks[MIRROR])


def test_views_look_back_along_their_rays():
    view = landmarks.View(np.eye(3), np.array([1.0, 2, 3]), size=11, pixel=2.0)
    origins, direction = view.rays(np.array([[5.0, 5.0], [6.0, 5.0], [5.0, 7.0]]))
    np.testing.assert_allclose(direction, [0, 0, -1])
    np.testing.assert_allclose(origins[:, :2], [[1, 2], [3, 2], [1, -2]])
    np.testing.assert_allclose(origins[:, 2], 3 + landmarks.STAND_OFF * view.size * view.pixel)


def test_one_vote_far_off_does_not_count():
    points = np.zeros((5, N_LANDMARKS, 3))
    points[0] += [30, 0, 0]
    points[1, 7] = np.nan
    marks = [landmarks._Marks(p, np.full(N_LANDMARKS, 0.9)) for p in points]
    np.testing.assert_allclose(landmarks._combine(marks, 5.0), 0, atol=1e-12)


def test_what_no_view_sees_is_unknown():
    points = np.zeros((3, N_LANDMARKS, 3))
    points[:, 4] = np.nan
    combined = landmarks._combine([landmarks._Marks(p, np.ones(N_LANDMARKS)) for p in points], 5.0)
    assert np.isnan(combined[4]).all()
    assert np.isfinite(np.delete(combined, 4, axis=0)).all()


def test_real_scan(real_data_folder):
    scan = Scan.load(real_data_folder / "james/james.obj")
    found = landmarks.detect(scan)
    error = np.linalg.norm(found - scan.landmarks, axis=1)
    assert np.median(error) < 3.5
    assert error.max() < 16
    moved, turn = turned(scan, -15, 15, 10)
    again = (landmarks.detect(moved) - [-200, 90, 10]) @ turn
    assert np.nanmedian(np.linalg.norm(again - found, axis=1)) < 0.35


def test_landmarks_of_a_photograph(real_data_folder):
    """The middles of the eyes' corners are near the pupils that people have marked."""
    person = real_data.london()[0]
    found = landmarks.in_photograph(person.read())
    assert found.shape == (N_LANDMARKS, 2)
    right, left = found[19:25].mean(axis=0), found[25:31].mean(axis=0)
    apart = np.linalg.norm(person.landmarks[0] - person.landmarks[1])
    for eye, pupil in zip((right, left), person.landmarks[:2], strict=True):
        assert np.linalg.norm(eye - pupil) < 0.1 * apart


def test_a_photograph_of_nobody():
    with pytest.raises(landmarks.NoFaceError, match="no face is found in a photograph of 90 x 60"):
        landmarks.in_photograph(np.full((60, 90, 3), 120, np.uint8))
