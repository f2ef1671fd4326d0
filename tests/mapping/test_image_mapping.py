from dataclasses import dataclass

import numpy as np
import pytest
from disks import random_disk, symmetric_disk
from hypothesis import given
from hypothesis import strategies as st

from facesynth.mapping.image_mapping import (
    ImageMapping,
    between,
    bilinear,
    distortion,
    pixel_centres,
    rasterize,
    ray_cast_mapping,
    shrunk,
    texels_per_mm2,
)
from facesynth.surface.mesh import FloatArray, IntArray, MeshArrayError, triangle_areas

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[0, 1, 2], [0, 2, 3]])


def test_pixels_are_counted_from_the_top_left():
    assert pixel_centres(2).tolist() == [[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]]


def test_each_pixel_sees_the_triangle_around_its_centre():
    triangle, within = rasterize(*SQUARE, 3)
    assert triangle[2, 1] == triangle[2, 2] == triangle[1, 2] == 0  # lower right
    assert triangle[0, 0] == triangle[0, 1] == triangle[1, 0] == 1  # upper left
    assert np.allclose(within[2, 2], [1 / 6, 4 / 6, 1 / 6])  # u = 5/6, v = 1/6
    half, _ = rasterize(SQUARE[0] / 2, SQUARE[1], 4)
    assert (half >= 0).tolist() == [[False] * 4] * 2 + [[True, True, False, False]] * 2


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_a_look_up_is_exact_for_linear_images_up_to_the_border(seed, size):
    uv = np.random.default_rng(seed).random((50, 2))
    uv[:4] = SQUARE[0]
    linear = pixel_centres(size) @ [[2.0], [-3]] + 1
    assert np.allclose(bilinear(uv, size) @ linear, uv @ [[2.0], [-3]] + 1)


def test_a_look_up_at_a_pixels_centre_is_that_pixel():
    image = np.random.default_rng(0).random((25, 3))
    assert np.allclose(bilinear(pixel_centres(5), 5) @ image, image)


def test_distortion_of_stretched_triangles():
    flat, faces = SQUARE
    surface = np.column_stack([flat[:, 0], 0 * flat[:, 0], flat[:, 1]]) * 80  # mm, stood upright
    area, angle = distortion(surface, faces, flat)
    assert np.allclose(area, 1)
    assert np.allclose(angle, 1)
    area, angle = distortion(surface, faces, flat * [0.3, 0.1])
    assert np.allclose(area, 1)
    assert np.allclose(angle, 3)
    skewed = flat.copy()
    skewed[3] = [0, 3]  # the upper left triangle grows threefold
    area, _ = distortion(surface, faces, skewed)
    assert np.allclose(area, [0.5, 1.5])


@given(st.integers(0, 2**32), st.integers(10, 60))
def test_distortion_does_not_depend_on_pose_or_scale(seed, points):
    vertices, faces = random_disk(seed, points, 3)
    rng = np.random.default_rng(seed)
    uv = vertices[:, :2] + rng.normal(0, 0.1, (len(vertices), 2))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    before, after = (
        distortion(vertices, faces, uv),
        distortion(5 * vertices @ turn, faces, 0.1 * uv),
    )
    assert np.allclose(before[0], after[0], rtol=1e-6)
    assert np.allclose(before[1], after[1], rtol=1e-6)
    assert before[1].min() >= 1


def test_all_texels_lie_somewhere_on_the_surface():
    disk = symmetric_disk(rings=20, spokes=64)
    mapping = ray_cast_mapping(disk, 128)
    everywhere = np.ones(len(disk.vertices))
    expected = mapping.mask.sum() / triangle_areas(disk.vertices, disk.faces).sum()
    assert np.isclose(texels_per_mm2(mapping, disk.vertices, everywhere), expected)


@dataclass
class Surface:
    vertices: FloatArray
    faces: IntArray


def half_cylinder(radius: float, height: float, n: int = 60) -> Surface:
    """The front of an upright cylinder, 180 degrees of it."""
    angle = np.repeat(np.linspace(-np.pi / 2, np.pi / 2, n), n)
    y = np.tile(np.linspace(-height / 2, height / 2, n), n)
    at = np.arange(n * n).reshape(n, n)
    a, b, c, d = (v.ravel() for v in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    vertices = np.column_stack([radius * np.sin(angle), y, radius * np.cos(angle)])
    return Surface(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def test_the_earlier_mapping_unrolls_a_cylinder_in_proportion():
    surface = half_cylinder(radius=80, height=120)
    mapping = ray_cast_mapping(surface, 256)
    width = 80 * np.pi
    assert np.isclose(mapping.mask.mean(), 120 / width, atol=0.01)
    _, angle = distortion(surface.vertices, surface.faces, mapping.uv)
    assert np.allclose(angle, 1, atol=1e-3)  # no stretch: a cylinder can be unrolled
    y = mapping.to_image(surface.vertices)[..., 1]
    rows = np.nonzero(mapping.mask.any(axis=1))[0]
    assert np.allclose(y[rows[0]], 60, atol=width / 256)  # the top comes first
    x = mapping.to_image(surface.vertices)[..., 0]
    assert np.all(np.diff(x[128]) > 0)  # x to the image's right


def test_the_earlier_mapping_keeps_what_the_rays_meet_first():
    front, back = half_cylinder(100, 100), half_cylinder(50, 100)
    n = len(front.vertices)
    front.vertices = np.concatenate([front.vertices, back.vertices])
    front.faces = np.concatenate([front.faces, back.faces + n])
    mapping = ray_cast_mapping(front, 64)
    hidden = np.arange(2 * n) >= n
    assert texels_per_mm2(mapping, front.vertices, hidden) == 0
    assert texels_per_mm2(mapping, front.vertices, ~hidden) > 0


def test_a_resolution_is_a_number_of_pixels():
    for resolution in (1, 0, 2.5):
        with pytest.raises(MeshArrayError, match="whole number of pixels"):
            ray_cast_mapping(symmetric_disk(), resolution)  # type: ignore[arg-type]


def test_an_image_of_one_mapping_seen_by_another():
    """A mapping of the same square turned by 90°: its image is the turned image."""
    flat, faces = SQUARE
    straight = ImageMapping(flat, faces, *rasterize(flat, faces, 4))
    turned_uv = np.column_stack([1 - flat[:, 1], flat[:, 0]])  # counter-clockwise
    turned = ImageMapping(turned_uv, faces, *rasterize(turned_uv, faces, 4))
    image = np.random.default_rng(0).random((4, 4, 3))
    found = (between(straight, turned) @ image.reshape(16, 3)).reshape(4, 4, 3)
    assert np.allclose(found, np.rot90(image))


def test_shrinking_averages_what_the_mask_holds():
    image = np.array([[1.0, 3, 5, 5], [1, 3, 5, 5]]).repeat(2, axis=0)[..., None]  # (4, 4, 1)
    assert shrunk(image, 2)[..., 0].tolist() == [[2, 5], [2, 5]]
    mask = np.array([[1, 0, 1, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    assert shrunk(image, 2, mask)[..., 0].tolist() == [[1, 5], [0, 5]]
    with pytest.raises(MeshArrayError, match="cannot be shrunk to 3"):
        shrunk(image, 3)
