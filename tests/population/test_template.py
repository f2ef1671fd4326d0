"""The template, which is the face of a head: extent, symmetry, regions, landmarks, curves."""

import numpy as np
import pytest

from facesynth.mapping.parameterization import boundary_positions, dividing_edges
from facesynth.population import template
from facesynth.population.head import face_operator, head, on_face
from facesynth.surface import mesh
from facesynth.template import standard

FLIP = np.array([-1.0, 1.0, 1.0])


def test_it_is_exactly_mirror_symmetric_and_life_size() -> None:
    face = standard()
    np.testing.assert_array_equal(face.vertices[face.mirror] * FLIP, face.vertices)
    width, height, depth = np.ptp(face.vertices, axis=0)
    assert 120 < width < 160
    assert 160 < height < 185
    assert 80 < depth < 110
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


def test_it_ends_where_scans_end():
    """Hairline to under the chin, ear to ear: landmarks well inside, the head's rim outside."""
    face, whole = standard(), head()
    rim = face.vertices[face.boundary]
    points = face.vertices[face.landmarks]
    apart = np.linalg.norm(points[:, None] - rim, axis=2).min(axis=1)
    assert apart.min() > 20  # mm
    assert rim[:, 1].max() > points[:10, 1].max() + 30  # above the brows
    assert rim[:, 1].min() < points[31:, 1].min() - 25  # under the lips
    outer = np.linalg.norm(whole.vertices[whole.boundary][:, None] - rim, axis=2).min(axis=1)
    assert np.median(outer) > 10
    turn = np.diff(np.vstack([rim, rim[:2]]), axis=0)
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    assert np.einsum("ic,ic->i", turn[:-1], turn[1:]).min() > np.cos(np.radians(45))  # smooth
    edge = mesh.edges(face.faces)
    positions = boundary_positions(face.vertices, face.boundary)
    assert not len(dividing_edges(edge, face.boundary, positions))


def test_faces_are_the_parts_of_heads_that_it_covers() -> None:
    operator = face_operator()
    np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(on_face(head().vertices), standard().vertices, atol=1e-9)
    heads = np.random.default_rng(0).normal(size=(2, 3, *head().vertices.shape)).astype(np.float32)
    faces = on_face(heads)
    assert faces.shape == (2, 3, *standard().vertices.shape)
    assert faces.dtype == np.float32
    np.testing.assert_allclose(faces[1, 2], operator @ heads[1, 2], atol=1e-6)
    assert on_face(heads[:0]).shape == (0, 3, *standard().vertices.shape)
    for name in ("landmarks", "curves"):
        own, of_head = getattr(standard(), name), getattr(head(), name)
        for part in own if name == "curves" else [slice(None)]:
            np.testing.assert_array_equal(
                standard().vertices[own[part]], head().vertices[of_head[part]]
            )


def test_what_ships_is_what_the_population_makes() -> None:
    whole = template.make()
    face, corners, weights = template.cut_face(whole)
    for made, kept in ((whole, head()), (face, standard())):
        np.testing.assert_allclose(kept.vertices, made.vertices, atol=1e-6)
        for name in ("faces", "mirror", "boundary", "landmarks"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))
        for kind in ("regions", "curves"):
            of_kept, of_made = getattr(kept, kind), getattr(made, kind)
            assert set(of_kept) == set(of_made)
            for name in of_made:
                np.testing.assert_allclose(of_kept[name], of_made[name], atol=1e-6)
    made = mesh.interpolation(corners, weights, len(whole.vertices))
    assert np.abs(made - face_operator()).max() < 1e-9
    assert standard().detected is not None
