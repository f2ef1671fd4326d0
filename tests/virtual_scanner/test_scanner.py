"""The virtual scanner: what it measures lies on the face, and its truth says where it does not."""

import dataclasses

import joblib
import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.head import head, on_face
from facesynth.rendering import colour
from facesynth.rendering.light import unit
from facesynth.scans import Scan, ScanError
from facesynth.surface.mesh import MeshArrayError, MeshError, triangle_areas
from facesynth.template import standard
from facesynth.virtual_scanner import Scanner, scan
from facesynth.virtual_scanner.surface import Surface, camera_position
from facesynth.virtual_scanner.truth import canonical_points, shown_by

R = 96
ROUGH = Scanner(photograph=256, spacing=3.0)  # quick
# Everything that can be wrong is switched off; occlusion and grazing angles remain.
PERFECT = dataclasses.replace(
    ROUGH,
    **dict.fromkeys(
        ("noise", "misfit", "eye_noise", "hair_loss", "dropouts", "shading", "exposure"), 0.0
    ),
    white=0.0, depth_step=1e-6, lens_blur=0.0, photons=1e12, read_noise=0.0, strands=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def mapping():
    return UniversalMapping(head(), R)


@pytest.fixture(scope="module")
def face():
    return head().vertices


@pytest.fixture(scope="module")
def skin():
    """A plain texture: skin everywhere, black hair over the forehead and in the brows' places."""
    texture = np.full((R, R, 3), (200, 150, 130), dtype=np.uint8)
    texture[: R // 5] = 15
    return texture


HAIRY = dataclasses.replace(ROUGH, strands=1.0)


@pytest.fixture(scope="module")
def rough(face, skin, mapping):
    return scan(face, skin, seed=3, mapping=mapping, settings=HAIRY)


@pytest.fixture(scope="module")
def perfect(face, mapping):
    """A scan without faults of a face that is coloured by its canonical coordinates."""
    u, v = np.meshgrid(np.arange(R), np.arange(R))
    texture = np.stack([40 + 2 * u, 40 + 2 * v, np.full_like(u, 128)], axis=2).astype(np.uint8)
    settings = dataclasses.replace(PERFECT, photograph=512)
    return scan(face, texture, seed=4, mapping=mapping, settings=settings)


def closest(vertices, faces, points, candidates=24):
    """Nearest points (k, 3) on a mesh of even triangles, distances (k,), and triangles (k,)."""
    corners = vertices[faces]
    near = cKDTree(corners.mean(axis=1)).query(points, candidates)[1]
    found = trimesh.triangles.closest_point(
        corners[near.ravel()], np.repeat(points, candidates, axis=0)
    ).reshape(*near.shape, 3)
    distance = np.linalg.norm(found - points[:, None], axis=2)
    best = np.arange(len(points)), distance.argmin(axis=1)
    return found[best], distance[best], near[best]


def closest_on_face(made, points):
    return closest(made.truth_of_head.vertices, head().faces, points)


def test_same_seed_same_scan(face, skin, mapping, rough):
    settings = dataclasses.replace(ROUGH, strands=1.0)
    again = scan(face, skin, seed=3, mapping=mapping, settings=settings)
    other = scan(face, skin, seed=4, mapping=mapping, settings=settings)
    for name in ("vertices", "faces", "uv", "photograph", "photographs"):
        np.testing.assert_array_equal(getattr(rough, name), getattr(again, name))
    np.testing.assert_array_equal(rough.truth_of_head.holes, again.truth_of_head.holes)
    assert rough.vertices.shape != other.vertices.shape
    assert np.abs(rough.truth_of_head.vertices - other.truth_of_head.vertices).max() > 1
    assert not np.array_equal(rough.photographs[0], other.photographs[0])


def test_the_head_moves_rigidly(face, rough):
    pose = rough.truth_of_head.pose
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rough.truth_of_head.vertices, face @ pose[:3, :3].T + pose[:3, 3])
    np.testing.assert_array_equal(
        rough.truth_of_head.landmarks, rough.truth_of_head.vertices[head().landmarks]
    )
    assert rough.landmarks is None


def test_a_scan_travels_between_processes_with_its_truth(face, skin, mapping, rough):
    elsewhere = joblib.delayed(scan)(face, skin, seed=3, mapping=mapping, settings=HAIRY)
    (copy,) = joblib.Parallel(2)([elsewhere])
    np.testing.assert_array_equal(copy.vertices, rough.vertices)
    np.testing.assert_array_equal(copy.truth_of_head.holes, rough.truth_of_head.holes)
    np.testing.assert_array_equal(copy.truth_of_head.texture, rough.truth_of_head.texture)


def test_the_truth_of_the_face_is_a_part_of_the_head_s(perfect, rough, mapping):
    face = UniversalMapping(standard(), R)
    for made in (perfect, rough):
        truth, whole = made.truth, made.truth_of_head
        assert (truth.template, whole.template) == (standard(), head())
        np.testing.assert_allclose(truth.vertices, on_face(whole.vertices), atol=1e-9)
        np.testing.assert_allclose(truth.landmarks, whole.landmarks, atol=1e-9)
        np.testing.assert_array_equal(truth.pose, whole.pose)
        assert 0 < truth.holes.mean() < whole.holes.mean()  # scalp and neck are not its
    # colours that tell where on the head's image a pixel of the face's lies
    uv = face.barycentric @ on_face(np.column_stack([mapping.uv, 0 * mapping.uv[:, 0]]))[:, :2]
    places = np.column_stack([uv[:, 0], 1 - uv[:, 1]]) * R - 0.5
    expected = 40 + 2 * places.clip(0, R - 1)
    off = np.abs(perfect.truth.texture[..., :2].reshape(-1, 2) - expected)
    assert off.max() < 1


def test_without_faults_samples_lie_on_the_face(perfect):
    """Up to 32-bit rays from a metre away."""
    distance = closest_on_face(perfect, perfect.vertices)[1]
    assert distance.max() < 0.01


def test_noise_is_as_deep_as_asked(face, skin, mapping):
    """Along the line of sight, so less across the surface; grazing places err more."""
    deviations = []
    for noise in (0.1, 0.4):
        settings = dataclasses.replace(PERFECT, noise=noise)
        made = scan(face, skin, seed=1, mapping=mapping, settings=settings)
        distance = closest_on_face(made, made.vertices)[1]
        deviations.append(np.sqrt(np.mean(distance**2)))
    assert 0.06 < deviations[0] < 0.14
    np.testing.assert_allclose(deviations[1], 4 * deviations[0], rtol=0.15)


def test_depths_come_in_steps(face, skin, mapping):
    """A disparity of whole steps: along a camera's rays inverse depths are multiples of one."""
    settings = dataclasses.replace(PERFECT, depth_step=0.5, field=300.0)
    made = scan(face, skin, seed=1, mapping=mapping, settings=settings)
    step = 0.5 / settings.distance**2
    depths = [np.linalg.norm(made.vertices - camera_position(c), axis=1) for c in made.cameras]
    disparity = np.stack([1 / depth / step for depth in depths])
    off = np.abs(disparity - np.rint(disparity)).min(axis=0)  # of the camera that measured it
    assert off.max() < 1e-3


def test_relief_is_measured(face, skin, mapping):
    plain = scan(face, skin, seed=2, mapping=mapping, settings=PERFECT)
    raised = scan(
        face, skin, seed=2, mapping=mapping, settings=PERFECT, relief=np.full((R, R), 0.8)
    )
    nearest, distance, _ = closest_on_face(plain, raised.vertices)
    assert abs(np.median(distance) - 0.8) < 0.02
    outwards = np.linalg.norm(raised.vertices, axis=1) - np.linalg.norm(nearest, axis=1)
    assert (outwards > 0).mean() > 0.95
    assert (
        raised.truth_of_head.holes.mean() < plain.truth_of_head.holes.mean() + 0.02
    )  # truth has it, too


def test_heights_are_counted_from_the_true_skin(face, skin, mapping):
    relief = np.fromfunction(lambda r, c: 0.4 * np.sin(r / 9) + 0.3 * np.cos(c / 7), (R, R))
    made = scan(face, skin, seed=2, mapping=mapping, settings=PERFECT, relief=relief)
    points, normals = (
        x.reshape(-1, 3) for x in mapping.surface(made.truth_of_head.vertices, relief)
    )
    for away in (0.0, 0.3, -0.2):
        heights = made.truth_of_head.heights(points + away * normals, mapping)
        assert np.median(np.abs(heights - away)) < 0.005  # mm
        assert np.percentile(np.abs(heights - away), 90) < 0.05
    measured = made.truth_of_head.heights(made.vertices, mapping)
    assert np.median(np.abs(measured)) < 0.02
    bare = dataclasses.replace(made.truth_of_head, relief=None).heights(made.vertices, mapping)
    assert np.median(np.abs(bare)) > 0.15


def test_photographs_show_the_place_that_a_triangle_covers(perfect, mapping):
    """Colours found by uv are those that the canonical image has at the same place."""
    centres = perfect.vertices[perfect.faces].mean(axis=1)
    colours = np.empty((len(centres), 3))
    for k, image in enumerate(perfect.photographs):
        own = perfect.photograph == k
        u, v = perfect.uv[own].mean(axis=1).T
        column, row = (u * image.shape[1]).astype(int), ((1 - v) * image.shape[0]).astype(int)
        colours[own] = image[row, column]
    points, _, triangle = closest_on_face(perfect, centres[::3])
    corners = head().faces[triangle]
    weights = trimesh.triangles.points_to_barycentric(
        perfect.truth_of_head.vertices[corners], points
    )
    uv = np.einsum("kj,kjc->kc", weights, mapping.uv[corners])
    expected = 40 + 2 * (np.column_stack([uv[:, 0], 1 - uv[:, 1]]) * R - 0.5)
    error = np.abs(colours[::3, :2] - expected)
    assert np.median(error) < 2  # a canonical pixel
    assert (error < 6).mean() > 0.97


def test_triangles_are_given_to_the_camera_that_sees_them(rough):
    a, b, c = (rough.vertices[rough.faces[:, k]] for k in range(3))
    normals, centres = unit(np.cross(b - a, c - a)), (a + b + c) / 3
    cosines = np.stack(
        [
            np.einsum("ij,ij->i", normals, unit(camera_position(camera) - centres))
            for camera in rough.cameras
        ],
        axis=1,
    )
    own = cosines[np.arange(len(centres)), rough.photograph]
    assert (own > 0).mean() > 0.98
    assert (own > cosines.max(axis=1) - 0.3).mean() > 0.95
    assert ((rough.uv > 0) & (rough.uv < 1)).all()
    for k, camera in enumerate(rough.cameras):
        mine = rough.photograph == k
        column, row = camera.project(rough.vertices[rough.faces[mine]].reshape(-1, 3), 1).T
        np.testing.assert_allclose(
            rough.uv[mine].reshape(-1, 2), np.stack([column, 1 - row], axis=1), atol=1e-6
        )


def test_the_mesh_is_its_own(rough):
    """No vertex without a triangle, no edge longer than asked, none of the template's vertices."""
    np.testing.assert_array_equal(np.unique(rough.faces), np.arange(len(rough.vertices)))
    corners = rough.vertices[rough.faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    assert edges.max() <= ROUGH.longest * ROUGH.spacing
    assert triangle_areas(rough.vertices, rough.faces).min() > 0
    assert len(rough.vertices) != len(rough.truth_of_head.vertices)


def test_spacing_sets_the_number_of_samples(face, skin, mapping, perfect):
    settings = dataclasses.replace(PERFECT, spacing=1.5)
    fine = scan(face, skin, seed=4, mapping=mapping, settings=settings)
    assert 3.6 < len(fine.vertices) / len(perfect.vertices) < 4.4


def test_holes_are_where_nothing_is_near(perfect, rough, mapping):
    for made in (perfect, rough):
        face = Surface(made.truth_of_head.vertices, head().faces)
        points, _ = canonical_points(face, mapping, made.truth_of_head.relief)
        near = closest(made.vertices, made.faces, points[::5])[1]
        holes = made.truth_of_head.holes.ravel()[::5]
        assert near[~holes].max() <= 1 + 1e-3
        assert holes[near > 1.5].all()
    assert perfect.truth_of_head.holes.mean() < 0.2 < 1 - rough.truth_of_head.holes.mean()


def test_shown_by_finds_the_triangle_along_the_normal():
    made = Scan(
        np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]]),
        np.array([[0, 1, 2]]),
        np.zeros((1, 3, 2)),
        np.array([0]),
        (np.zeros((2, 2, 3), np.uint8),),
    )
    points = np.array([[1, 1, 0.9], [1, 1, -0.9], [1, 1, 1.1], [1, 1, -1.1], [8, 8, 0]])
    normals = np.tile([0.0, 0, 1], (5, 1))
    assert shown_by(made, points, normals).tolist() == [0, 0, -1, -1, -1]
    assert shown_by(made, points, normals, near=0.5).tolist() == [-1] * 5


def test_hair_is_measured_worse_than_skin(face, skin, mapping):
    """The same scan of a face with dark hair loses more of it the worse hair is measured."""
    lost = []
    for loss in (0.0, 3.0):
        settings = dataclasses.replace(PERFECT, hair_loss=loss)
        holes = scan(face, skin, seed=5, mapping=mapping, settings=settings).truth_of_head.holes
        lost.append((holes[: R // 6].mean(), holes[R // 4 : R // 2].mean()))
    assert lost[1][0] > lost[0][0] + 0.3
    assert lost[1][1] < lost[0][1] + 0.05


def test_larger_losses(face, skin, mapping):
    settings = dataclasses.replace(PERFECT, dropouts=6.0, dropout=(14.0, 18.0))
    made = scan(face, skin, seed=5, mapping=mapping, settings=settings)
    whole = scan(face, skin, seed=5, mapping=mapping, settings=PERFECT)
    assert made.truth_of_head.holes.mean() > whole.truth_of_head.holes.mean() + 0.03
    assert len(made.vertices) < len(whole.vertices)


def test_eyeballs_are_distorted_and_nothing_else(face, skin, mapping):
    settings = dataclasses.replace(PERFECT, eye_noise=1.0)
    made = scan(face, skin, seed=6, mapping=mapping, settings=settings)
    _, distance, triangle = closest_on_face(made, made.vertices)
    regions = head().regions
    eye = regions["left_eye"] + regions["right_eye"]
    on_eye = eye[head().faces[triangle]].max(axis=1) > 0
    assert distance[~on_eye].max() < 0.05
    assert distance[on_eye].max() > 0.5
    eyes = (mapping.barycentric @ eye).reshape(R, R) > 0.99
    assert 0.1 < made.truth_of_head.holes[eyes].mean() < 1


def test_strands_hide_skin_in_the_photographs_alone(face, skin, mapping):
    bald = scan(face, skin, seed=8, mapping=mapping, settings=PERFECT)
    settings = dataclasses.replace(PERFECT, strands=1.0)
    hairy = scan(face, skin, seed=8, mapping=mapping, settings=settings)
    np.testing.assert_array_equal(bald.vertices, hairy.vertices)
    assert not bald.truth_of_head.strands.any()
    assert hairy.truth_of_head.strands.any()
    assert hairy.truth_of_head.holes[hairy.truth_of_head.strands].all()
    np.testing.assert_array_equal(
        hairy.truth_of_head.holes & ~hairy.truth_of_head.strands,
        bald.truth_of_head.holes & ~hairy.truth_of_head.strands,
    )
    for before, after in zip(bald.photographs, hairy.photographs, strict=True):
        changed = (before != after).any(axis=2)
        assert 0 < changed.mean() < 0.2
        assert after[changed].mean() < before[changed].mean()  # strands are darker than skin


def test_exposure_and_white_balance(face, skin, mapping):
    """One gain for each colour of a photograph, in linear light."""
    settings = dataclasses.replace(PERFECT, exposure=0.1, white=0.05, background=(0.01, 0.011))
    plain = scan(face, skin, seed=9, mapping=mapping, settings=PERFECT)
    made = scan(face, skin, seed=9, mapping=mapping, settings=settings)
    gains = []
    for before, after in zip(plain.photographs, made.photographs, strict=True):
        skin_seen = before[..., 0] > 150
        ratio = colour.from_uint8(after[skin_seen]) / colour.from_uint8(before[skin_seen])
        assert ratio.std(axis=0).max() < 0.02
        gains.append(ratio.mean(axis=0))
    assert np.abs(np.log(gains)).max() > 0.02
    assert np.abs(gains[0] - gains[1]).max() > 0.02


def test_sensor_noise_grows_with_light(face, mapping):
    settings = dataclasses.replace(PERFECT, photons=500.0)
    grey = np.full((R, R, 3), 180, np.uint8)
    made = scan(face, grey, seed=9, mapping=mapping, settings=settings)
    clean = scan(face, grey, seed=9, mapping=mapping, settings=PERFECT)
    lit = (clean.photographs[0] == 180).all(axis=2)
    error = colour.from_uint8(made.photographs[0][lit]) - colour.from_uint8(grey[0, 0])
    np.testing.assert_allclose(
        error.std(), np.sqrt(colour.from_uint8(grey)[0, 0, 0] / 500), rtol=0.1
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vertices": standard().vertices}, MeshArrayError, "whole=True"),
        ({"vertices": np.zeros((9999, 3))}, MeshArrayError, "a head has"),
        ({"vertices": head().vertices * np.nan}, MeshError, "NaN"),
        ({"texture": np.zeros((R, R, 3))}, MeshArrayError, "float64; expected .* uint8"),
        ({"texture": np.zeros((R, 9, 3), np.uint8)}, MeshArrayError, r"\(R, R, 3\)"),
        ({"texture": np.zeros((64, 64, 3), np.uint8)}, MeshArrayError, "64 .* the mapping 96"),
        ({"relief": np.zeros((9, 9))}, MeshArrayError, r"relief has shape \(9, 9\)"),
    ],
)
def test_faces_that_do_not_fit(face, skin, mapping, change, error, message):
    given = {"vertices": face, "texture": skin, "mapping": mapping} | change
    with pytest.raises(error, match=message):
        scan(given.pop("vertices"), given.pop("texture"), seed=0, settings=ROUGH, **given)


def test_nothing_to_see(face, skin, mapping):
    with pytest.raises(ScanError, match="nothing was measured"):
        scan(face / 1000, skin, seed=0, mapping=mapping, settings=ROUGH)


def small(**change):
    arrays = {
        "vertices": np.eye(3),
        "faces": np.array([[0, 1, 2]]),
        "uv": np.zeros((1, 3, 2)),
        "photograph": np.array([0]),
        "photographs": (np.zeros((2, 2, 3), np.uint8),),
    }
    return Scan(**(arrays | change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"uv": np.zeros((3, 2))}, MeshArrayError, r"uv has shape \(3, 2\)"),
        ({"photograph": np.array([0, 0])}, MeshArrayError, "photograph"),
        ({"photograph": np.array([1])}, ScanError, "photographs 1 to 1 of 1"),
        ({"photographs": ()}, ScanError, "photographs 0 to 0 of 0; -1 is for none"),
        ({"photograph": np.array([-2])}, ScanError, "photographs -2 to"),
        ({"colours": np.zeros((2, 3), np.uint8)}, ScanError, r"colours .* \(2, 3\)"),
        ({"photographs": (np.zeros((2, 2)),)}, ScanError, "photograph 0"),
        ({"landmarks": np.zeros((68, 3))}, ScanError, r"\(68, 3\)"),
        ({"faces": np.array([[0, 1, 3]])}, MeshError, "face 0"),
    ],
)
def test_arrays_that_do_not_fit(change, error, message):
    small()
    with pytest.raises(error, match=message):
        small(**change)
