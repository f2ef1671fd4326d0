import numpy as np
import pytest

from facesynth.rendering import colour
from facesynth.scans import Scan
from facesynth.scans.scanned_surface import Places, ScannedSurface, bilinear


def square(photographs, shift=0.0, tilt=0.0):
    """Two triangles, 10 mm square in the plane z = 0, each with a photograph of its own."""
    vertices = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = vertices[faces][..., :2] / 10
    uv[..., 0] = uv[..., 0] * np.cos(tilt) + shift
    photograph = np.arange(2) % len(photographs)
    return ScannedSurface(Scan(vertices, faces, uv, photograph, tuple(photographs)))


def plain(grey, size=20):
    return np.full((size, size, 3), grey, np.uint8)


@pytest.fixture
def checkered():
    rows, columns = np.mgrid[:20, :20]
    image = np.where((rows + columns) % 2, 255, 0)[..., None].repeat(3, axis=2)
    return square([image.astype(np.uint8)])


def test_rays_find_the_triangle_and_the_place():
    surface = square([plain(100)])
    origins = np.array([[6.0, 2, 5], [2, 6, 5], [20, 5, 5]])
    places = surface.cast(origins, np.tile([0.0, 0, -1], (3, 1)))
    np.testing.assert_array_equal(places.triangle, [0, 1, -1])
    np.testing.assert_allclose(surface.points(places)[:2], [[6, 2, 0], [2, 6, 0]], atol=1e-5)
    assert np.isnan(surface.points(places)[2]).all()


def test_nearest_places():
    surface = square([plain(100)])
    points = np.array([[6.0, 2, 5], [2, 6, -3], [-4, 5, 0], [12, 12, 1]])
    on = surface.points(surface.nearest(points))
    np.testing.assert_allclose(on, [[6, 2, 0], [2, 6, 0], [0, 5, 0], [10, 10, 0]], atol=1e-9)


def test_each_triangle_shows_its_own_photograph():
    surface = square([plain(200), plain(50)])
    places = Places(np.array([0, 1, -1]), np.full((3, 3), 1 / 3))
    expected = colour.from_uint8(np.array([200, 50, 0], np.uint8))
    np.testing.assert_allclose(surface.colours(places, 1.0)[:, 0], expected, atol=1e-6)


def test_fine_footprint_sees_pixels_and_coarse_their_mean(checkered):
    # 2 pixels a mm; the pixel in column 5 and row 12 has its middle at x = 2.75 and y = 3.75
    places = checkered.cast(np.array([[2.75, 3.75, 1.0]]), np.array([[0.0, 0, -1]]))
    np.testing.assert_allclose(checkered.colours(places, 0.1)[0], 1.0, atol=1e-5)
    np.testing.assert_allclose(checkered.colours(places, 4.0)[0], 0.5, atol=1e-5)


def test_density_and_squareness():
    np.testing.assert_allclose(square([plain(9)]).texels, 2.0, rtol=1e-6)
    np.testing.assert_allclose(square([plain(9)]).squareness, 1.0, atol=1e-3)
    # seen from 60 degrees, the photograph shows half of one extent
    np.testing.assert_allclose(square([plain(9)], tilt=np.pi / 3).squareness, 0.5, rtol=1e-3)


def test_charts_are_connected_parts_of_one_photograph():
    one = square([plain(9)])
    assert one.charts[0] == one.charts[1]
    two = square([plain(9), plain(9)])
    assert two.charts[0] != two.charts[1]
    atlas = Scan(
        one.vertices,
        one.faces,
        one.scan.uv * [0.5, 1] + np.array([0, 0.5])[:, None, None] * [1, 0],
        one.scan.photograph,
        one.scan.photographs,
    )
    charts = ScannedSurface(atlas).charts
    assert charts[0] != charts[1]


def test_normals():
    surface = square([plain(9)])
    np.testing.assert_allclose(surface.normals, [[0, 0, 1]] * 2)
    places = Places(np.array([0, 1]), np.full((2, 3), 1 / 3))
    np.testing.assert_allclose(surface.normals_at(places), [[0, 0, 1]] * 2)


def test_bilinear_is_exact_for_planes():
    rows, columns = np.mgrid[:5, :7].astype(np.float32)
    image = np.stack([columns, rows, 2 * columns - rows], axis=-1)
    at = np.array([[0, 0], [1.5, 2.25], [6, 4], [5.9, 0.1]])
    expected = np.column_stack([at, 2 * at[:, 0] - at[:, 1]])
    np.testing.assert_allclose(bilinear(image, at), expected, atol=1e-5)
    np.testing.assert_allclose(bilinear(image, np.array([[-3.0, 9.0]])), [[0, 4, -4]], atol=1e-5)
    np.testing.assert_allclose(bilinear(image[:1, :1], at), np.zeros((4, 3)), atol=1e-6)
