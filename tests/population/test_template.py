"""The template: symmetry, regions, landmarks, curves."""

import numpy as np
import pytest

from facesynth.population import template
from facesynth.surface import mesh
from facesynth.template import standard

FLIP = np.array([-1.0, 1.0, 1.0])


def test_it_is_exactly_mirror_symmetric_and_life_size() -> None:
    face = standard()
    np.testing.assert_array_equal(face.vertices[face.mirror] * FLIP, face.vertices)
    width, height, depth = np.ptp(face.vertices, axis=0)
    assert 120 < width < 160
    assert 180 < height < 230
    assert 80 < depth < 130
    assert face.vertices[:, 2].argmax() == face.landmarks[30 - 17]  # the tip of the nose


def test_boundary_is_the_disks_and_starts_at_the_chin() -> None:
    face = standard()
    loop = mesh.check_disk(face.vertices, face.faces)
    k = int(np.flatnonzero(loop == face.boundary[0])[0])
    np.testing.assert_array_equal(np.roll(loop, -k), face.boundary)
    chin = face.vertices[face.boundary[0]]
    assert chin[0] == 0
    assert chin[1] < face.vertices[face.boundary, 1].min() + 1.0


def test_triangles_face_outwards() -> None:
    face = standard()
    normals = mesh.vertex_normals(face.vertices, face.faces)
    assert normals[face.landmarks[30 - 17], 2] > 0.8  # the tip of the nose points at the viewer
    assert (normals[:, 2] > -0.3).mean() > 0.98


@pytest.mark.parametrize("name", ["mouth", "lips", "nose", "eyes"])
def test_regions_are_symmetric_memberships(name: str) -> None:
    face = standard()
    region = face.regions[name]
    assert region.shape == (len(face.vertices),)
    assert region.min() == 0
    assert region.max() == 1
    np.testing.assert_allclose(region[face.mirror], region, atol=1e-12)


def test_eyeballs_mirror_each_other() -> None:
    face = standard()
    left, right = face.regions["left_eye"], face.regions["right_eye"]
    np.testing.assert_allclose(left[face.mirror], right, atol=1e-12)
    assert face.vertices[left > 0.5, 0].min() > 0 > face.vertices[right > 0.5, 0].max()


def test_landmarks_are_symmetric_and_where_their_names_say() -> None:
    face = standard()
    assert face.landmarks.shape == (43,)
    assert len(set(face.landmarks.tolist())) == 43
    # dlib's numbers of mirror images
    pairs = [
        (17, 26),
        (21, 22),
        (31, 35),
        (36, 45),
        (39, 42),
        (37, 44),
        (41, 46),
        (48, 54),
        (50, 52),
    ]
    pairs += [(59, 55), (58, 56), (40, 47)]
    mirrored = dict(zip(face.landmarks.tolist(), face.mirror[face.landmarks].tolist(), strict=True))
    for a, b in pairs:
        assert mirrored[face.landmarks[a - 17]] == face.landmarks[b - 17]
    point = dict(zip(range(17, 60), face.vertices[face.landmarks], strict=True))
    for k in (27, 28, 29, 30, 33, 51, 57):
        assert point[k][0] == 0
    assert point[19][1] > point[37][1] > point[41][1] > point[30][1] > point[33][1]
    assert point[33][1] > point[51][1] > point[48][1] > point[57][1]
    assert point[36][0] < point[39][0] < 0 < point[42][0] < point[45][0]


def test_curves_run_the_way_they_say() -> None:
    face = standard()
    for side, sign in (("left", 1), ("right", -1)):
        for lid in ("upper", "lower"):
            x = sign * face.vertices[face.curves[f"{side}_{lid}_lid"], 0]
            assert x[0] == x.min()
            assert x[-1] == x.max()
    upper, lower = face.curves["upper_lip"], face.curves["lower_lip"]
    assert upper[0] == lower[0]
    assert upper[-1] == lower[-1]
    assert face.vertices[upper[0], 0] < 0 < face.vertices[upper[-1], 0]
    assert face.vertices[upper, 1].mean() > face.vertices[lower, 1].mean()


def test_the_shipped_template_is_what_the_population_makes():
    made, kept = template.make(), standard()
    np.testing.assert_allclose(kept.vertices, made.vertices, atol=1e-6)
    for name in ("faces", "mirror", "boundary", "landmarks"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))
    for kind in ("regions", "curves"):
        of_kept, of_made = getattr(kept, kind), getattr(made, kind)
        assert set(of_kept) == set(of_made)
        for name in of_made:
            np.testing.assert_allclose(of_kept[name], of_made[name], atol=1e-6)
    assert kept.detected is not None
