"""What a scan leaves open, and its face tells: the outside, the unit, and which way it looks."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population import sample
from facesynth.scans import Scan, ScanUnitsError
from facesynth.scans.landmarks import NoFaceError
from facesynth.scans.posture import UNITS, recognise
from facesynth.template import standard

SIZE = 128


@pytest.fixture(scope="module")
def face():
    people = sample(1, 3, resolution=SIZE, n_jobs=1, progress=False)
    uv = UniversalMapping(standard(), SIZE).uv[standard().faces]
    photograph = np.zeros(len(uv), dtype=np.int64)
    vertices = people.geometry[0].astype(np.float64) + [40, -300, 120]
    return Scan(vertices, standard().faces, uv, photograph, (people.textures[0],), name="ada")


@pytest.fixture(scope="module")
def found(face):
    return recognise(face)


def off(one, other):
    return float(np.median(np.linalg.norm(one - other, axis=1)))


def reversed_(scan):
    return dataclasses.replace(scan, faces=scan.faces[:, ::-1], uv=scan.uv[:, ::-1])


def test_a_face_in_mm_is_left_as_it_is(face, found):
    assert found.surface.scan is face
    assert not found.inside_out
    assert found.mm == 1
    assert 0.85 < found.size < 1.15


def test_triangles_that_face_inwards_are_turned(face, found):
    again = recognise(reversed_(face))
    assert again.inside_out
    assert off(again.landmarks, found.landmarks) < 0.5
    given = recognise(dataclasses.replace(reversed_(face), landmarks=found.landmarks))
    assert given.inside_out
    for one in (again, given):
        np.testing.assert_allclose(one.surface.normals, found.surface.normals)


def test_triangles_that_are_there_from_both_sides_count_once(face, found):
    other = reversed_(face)
    both = dataclasses.replace(
        face,
        faces=np.concatenate([face.faces, other.faces]),
        uv=np.concatenate([face.uv, other.uv]),
        photograph=np.concatenate([face.photograph, face.photograph]),
    )
    again = recognise(both)
    assert len(again.surface.faces) == len(face.faces)
    assert off(again.landmarks, found.landmarks) < 0.5


@pytest.mark.parametrize(("mm", "seen"), [(1000, 1000), (25.4, 25.4), (10, 10), (77, None)])
def test_the_face_tells_the_unit(face, found, mm, seen):
    """Or, with a unit of no name, it becomes as large as the mean face."""
    small = dataclasses.replace(face, vertices=face.vertices / mm, sized=False)
    again = recognise(small)
    if seen is None:
        assert again.size == pytest.approx(1)
        assert again.mm not in UNITS.values()
        assert again.mm == pytest.approx(mm / found.size, rel=0.02)
    else:
        assert again.mm == seen
        assert off(again.landmarks, found.landmarks) < 0.3


@pytest.mark.parametrize(("scale", "hint"), [(0.1, "cm"), (1 / 25.4, "inch"), (3, "no unit")])
def test_a_face_of_no_human_size_is_refused(face, scale, hint):
    with pytest.raises(ScanUnitsError, match=rf"ada is .* times as large.*{hint}"):
        recognise(dataclasses.replace(face, vertices=scale * face.vertices))


def test_without_any_colour_the_shape_tells(face, found):
    grey = recognise(Scan.geometry(face.vertices, face.faces))
    assert off(grey.landmarks, found.landmarks) < 5


def test_turned_and_inside_out(face, found):
    turn = Rotation.from_euler("YXZ", [170, -60, 100], degrees=True).as_matrix()
    again = recognise(dataclasses.replace(reversed_(face), vertices=face.vertices @ turn.T))
    assert again.inside_out
    assert off(again.landmarks @ turn, found.landmarks) < 0.3


def test_where_no_face_is_found_a_picture_shows_what_was_searched():
    square = np.array([[0, 0, 0], [200, 0, 0], [200, 200, 0], [0, 200, 0]], float)
    with pytest.raises(NoFaceError, match="landmarks") as error:
        recognise(Scan.geometry(square, np.array([[0, 1, 2], [0, 2, 3]])))
    assert error.value.picture.ndim == 3
    assert error.value.picture.std() > 0
