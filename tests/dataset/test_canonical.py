import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import Delaunay

from facesynth import virtual_scanner
from facesynth.dataset import canonical
from facesynth.mapping.image_mapping import ImageMapping, cross_2d, rasterize
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population import paint, sample
from facesynth.rendering import colour
from facesynth.scans import Scan
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import standard

SIZE = 128


@pytest.fixture(scope="module")
def mapping():
    return UniversalMapping(standard(), SIZE)


@pytest.fixture(scope="module")
def clean(mapping):
    """A perfect scan: a face on the template's triangles with its texture as the photograph."""
    people = sample(1, 4, resolution=SIZE, n_jobs=1, progress=False)
    uv = mapping.uv[standard().faces]
    vertices = people.geometry[0].astype(np.float64)
    which = np.zeros(len(uv), dtype=np.int64)
    return Scan(vertices, standard().faces, uv, which, (people.textures[0],))


@pytest.fixture(scope="module")
def person():
    """A whole head, and its texture."""
    people = sample(1, 4, resolution=SIZE, whole=True, n_jobs=1, progress=False)
    return people.geometry[0], people.textures[0]


@pytest.fixture(scope="module")
def virtual(person):
    settings = virtual_scanner.Scanner(strands=1.0)
    return virtual_scanner.scan(*person, seed=4, settings=settings)


def inner(mask, pixels=3):
    return mask[pixels:-pixels, pixels:-pixels]


def test_perfect_scan_gives_its_texture_back(clean, mapping):
    found = canonical.canonical_texture(clean, clean.vertices, mapping)
    texture = colour.from_uint8(clean.photographs[0])
    assert found.valid.mean() > 0.7  # this photograph shows the sides as narrow as grazing views
    error = np.abs(colour.srgb(found.image) - colour.srgb(texture))[found.valid]
    assert np.median(error) < 0.01
    assert found.image.dtype == np.float32
    assert found.image.min() >= 0
    assert found.image.max() <= 1


def test_a_hole_is_not_valid(clean, mapping):
    model = standard()
    cheek = model.vertices[model.faces].mean(axis=1)
    gone = np.linalg.norm(cheek - cheek[np.abs(cheek - [40, -20, 25]).sum(1).argmin()], axis=1) < 15
    keep = ~gone
    holed = dataclasses.replace(
        clean, faces=clean.faces[keep], uv=clean.uv[keep], photograph=clean.photograph[keep]
    )
    corners = np.zeros(len(model.vertices))
    corners[model.faces[gone].ravel()] = 1
    corners[model.faces[keep].ravel()] = 0  # vertices inside of the hole
    inside = mapping.to_image(corners[:, None])[..., 0] > 0.99
    before = canonical.canonical_texture(clean, clean.vertices, mapping)
    after = canonical.canonical_texture(holed, clean.vertices, mapping)
    assert inside.sum() > 50
    assert before.valid[inside].mean() > 0.95
    assert not after.valid[inside].any()
    assert not after.displacement[~after.valid].any()
    assert not (after.valid & ~before.valid).any()
    # the fill looks like skin
    skin = before.image[inside].mean(axis=0)
    np.testing.assert_allclose(after.image[inside].mean(axis=0), skin, rtol=0.25)


def test_a_template_far_from_the_scan_sees_nothing(clean, mapping):
    found = canonical.canonical_texture(clean, clean.vertices + [0, 0, 400], mapping)
    assert not found.valid.any()
    assert np.isfinite(found.image).all()


def test_a_virtual_scan_s_losses_are_caught(virtual, mapping):
    found = canonical.canonical_texture(virtual, virtual.truth.vertices, mapping)
    holes = virtual.truth.holes
    assert holes.mean() > 0.02
    strands = virtual.truth.strands
    lost = canonical._large(holes & ~strands)  # the smallest gaps are closed
    assert (~found.valid & lost).sum() > 0.9 * lost.sum()
    # where they lie on hair they look like it, and on the brows they are left alone
    assert (~found.valid & strands).sum() > 0.35 * strands.sum() > 20
    assert (~found.valid & ~holes).sum() < 0.12 * (~holes).sum()


def test_a_virtual_scan_s_colours_are_the_face_s(virtual, mapping):
    found = canonical.canonical_texture(virtual, virtual.truth.vertices, mapping)
    true = colour.from_uint8(virtual.truth.texture)[found.valid]
    seen = found.image[found.valid]
    gain = (true * seen).sum(axis=0) / (seen**2).sum(axis=0)
    error = colour.srgb(seen * gain) - colour.srgb(true)
    assert -10 * np.log10(np.mean(error**2)) > 25  # dB


def test_photographs_of_other_exposure_leave_no_step(virtual, mapping):
    plain = canonical.canonical_texture(virtual, virtual.truth.vertices, mapping)
    darker = colour.to_uint8(colour.from_uint8(virtual.photographs[1]) * np.float32(0.6))
    stepped = dataclasses.replace(virtual, photographs=(virtual.photographs[0], darker))
    levelled = canonical.canonical_texture(stepped, virtual.truth.vertices, mapping)
    valid = plain.valid & levelled.valid
    ratio = np.log(levelled.image.mean(-1) + 0.01) - np.log(plain.image.mean(-1) + 0.01)
    assert np.std(ratio[valid]) < 0.25 * np.log(1 / 0.6)


def test_deterministic(virtual, mapping):
    one, two = (
        canonical.canonical_texture(virtual, virtual.truth.vertices, mapping) for _ in range(2)
    )
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.valid, two.valid)


def plane(points):
    """A scan of a sheet over (n, 2) places at heights (n,), which faces z."""
    vertices = np.column_stack([points, height(*points.T)])
    faces = Delaunay(points).simplices
    a, b, c = (points[faces[:, k]] for k in range(3))
    turned = cross_2d(b - a, c - a) < 0
    faces[turned] = faces[turned, ::-1]
    uv = points[faces] / 100 + 0.5
    grey = np.full((64, 64, 3), 128, np.uint8)
    return Scan(vertices, faces, uv, np.zeros(len(faces), int), (grey,))


def height(x, y):
    return 0.4 + 0.008 * x - 0.005 * y


@pytest.fixture(scope="module")
def sheet():
    """A flat template of a square, and a tilted scan of it."""
    uv, faces = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[0, 1, 2], [0, 2, 3]])
    flat = np.column_stack([80 * uv - 40, np.zeros(4)])
    mapping = ImageMapping(uv, faces, *rasterize(uv, faces, SIZE))
    none = np.arange(0)
    mapping.template = SimpleNamespace(vertices=flat, regions={}, known=none, landmarks=none)
    dense = np.random.default_rng(1).uniform(-50, 50, (900, 2))
    return flat, mapping, plane(dense)


def test_displacement_is_the_height_above_the_template(sheet):
    flat, mapping, scan = sheet
    found = canonical.canonical_texture(scan, flat, mapping)
    points, normals = mapping.surface(flat)
    np.testing.assert_allclose(normals, np.broadcast_to([0, 0, 1], normals.shape), atol=1e-12)
    true = height(points[..., 0], points[..., 1])
    assert true.min() < 0 < true.max()
    assert inner(found.valid, 6).mean() > 0.9
    np.testing.assert_allclose(found.displacement[found.valid], true[found.valid], atol=1e-4)
    assert not found.displacement[~found.valid].any()
    below = canonical.canonical_texture(scan, flat + [0, 0, 1.0], mapping)
    both = found.valid & below.valid
    assert both.any()
    np.testing.assert_allclose(below.displacement[both], true[both] - 1, atol=1e-4)


def test_a_surface_that_faces_the_other_way_or_is_far_is_not_measured(sheet):
    flat, mapping, scan = sheet
    turned = dataclasses.replace(scan, faces=scan.faces[:, ::-1], uv=scan.uv[:, ::-1])
    for case, at in ((turned, flat), (scan, flat - [0, 0, 5]), (scan, flat + [0, 0, 5])):
        found = canonical.canonical_texture(case, at, mapping)
        assert not found.valid.any()
        assert not found.displacement.any()
    # of two sheets, the nearer one that faces the same way
    above = dataclasses.replace(
        scan,
        vertices=np.vstack([scan.vertices, scan.vertices + [0, 0, -1.3]]),
        faces=np.vstack([scan.faces, scan.faces[:, ::-1] + len(scan.vertices)]),
        uv=np.vstack([scan.uv, scan.uv[:, ::-1]]),
        photograph=np.tile(scan.photograph, 2),
    )
    found = canonical.canonical_texture(above, flat, mapping)
    points, _ = mapping.surface(flat)
    true = height(points[..., 0], points[..., 1])
    assert inner(found.valid, 6).mean() > 0.9
    np.testing.assert_allclose(found.displacement[found.valid], true[found.valid], atol=1e-4)


def test_a_scan_without_noise_shows_the_relief_of_the_skin(mapping, person):
    texture, relief = paint(4, 0, SIZE, whole=True)
    scan = virtual_scanner.scan(
        person[0], texture, seed=4, relief=relief, settings=virtual_scanner.EXACT
    )
    found = canonical.canonical_texture(scan, scan.truth.vertices, mapping)
    true, valid = scan.truth.relief, found.valid
    assert np.corrcoef(found.displacement[valid], true[valid])[0, 1] > 0.5
    off = np.median(np.abs(found.displacement - true)[valid])
    assert off < 0.02  # mm
    assert off < np.median(np.abs(true)[valid]) / 2


def test_vertices_of_another_template_are_refused(clean, mapping):
    with pytest.raises(MeshArrayError, match="template"):
        canonical.canonical_texture(clean, np.vstack([clean.vertices, [[0, 0, 0]]]), mapping)


@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (13, 13)])
def test_fill_keeps_what_is_valid_and_continues_a_constant(shape):
    rng = np.random.default_rng(3)
    valid = rng.random(shape) < 0.3
    valid[0, 0] = True
    image = rng.random((*shape, 3))
    np.testing.assert_allclose(canonical.fill(image, valid)[valid], image[valid], atol=1e-6)
    grey = np.full((*shape, 3), 0.4)
    np.testing.assert_allclose(canonical.fill(grey, valid), 0.4, atol=1e-5)


def test_fill_stays_between_its_surroundings():
    image = np.zeros((16, 16, 3))
    image[:, 8:] = 1
    valid = np.ones((16, 16), bool)
    valid[4:12, 4:12] = False
    filled = canonical.fill(image, valid)[4:12, 4:12, 0]
    assert filled.min() >= -1e-6
    assert filled.max() <= 1 + 1e-6
    assert filled[:, 0].mean() < filled[:, -1].mean()


def test_real_scan(real_data_folder, mapping):
    scan = Scan.load(real_data_folder / "james/james.obj")
    # unaligned: the template, moved onto the landmarks' middle
    middle = standard().vertices[standard().landmarks].mean(axis=0)
    vertices = standard().vertices - middle + scan.landmarks.mean(axis=0)
    found = canonical.canonical_texture(scan, vertices, mapping)
    assert found.valid.any()
    assert not found.valid.all()
