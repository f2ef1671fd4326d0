"""Faces to images and back, and the eight variants of Section 8."""

import numpy as np
import pytest

from facesynth.face_gan.geometry_images import (
    GeometryImages,
    GeometryRangeError,
    eightfold,
)
from facesynth.face_gan.geometry_images import mirrored as mirrored_images
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population import sample
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import standard


@pytest.fixture(scope="module")
def faces():
    return sample(6, 3, progress=False).geometry


@pytest.fixture(scope="module")
def to(faces):
    return GeometryImages.fit(UniversalMapping(standard(), 64), faces)


def mirrored(face):
    """The face in a mirror, in the template's numbering."""
    return face[..., standard().mirror, :] * np.float32([-1, 1, 1])


def test_the_unit_is_three_deviations_of_faces_and_their_mirror_images(to, faces):
    images = to.to_images(faces)
    assert images.shape == (6, 64, 64, 3)
    assert images.dtype == np.float32
    both = np.concatenate([faces, mirrored(faces)])
    np.testing.assert_allclose(both.mean(axis=0), to.mean, atol=1e-3)
    np.testing.assert_allclose(3 * np.maximum(both.std(axis=0), 0.2), to.unit, rtol=1e-2)
    np.testing.assert_array_equal(to.unit, to.unit[standard().mirror])
    assert 0.2 < images.std() < 0.45


def test_the_mean_is_its_own_mirror_image(to, faces):
    np.testing.assert_allclose(mirrored(to.mean), to.mean, atol=1e-4)
    np.testing.assert_allclose(
        to.mean, (faces.mean(axis=0) + mirrored(faces).mean(axis=0)) / 2, atol=1e-3
    )


def test_a_face_comes_back_as_far_as_its_pixels_tell(to, faces):
    back = to.to_geometry(to.to_images(faces))
    assert back.dtype == np.float32
    off = np.linalg.norm(back - faces, axis=2)
    assert np.median(off) < 0.1  # mm
    halfway = to.to_geometry(to.to_images(faces) / 2)
    np.testing.assert_allclose(halfway, (to.mean + back) / 2, atol=1e-3)


def test_no_difference_is_grey(to):
    np.testing.assert_array_equal(to.to_images(to.mean[None]), 0)
    np.testing.assert_allclose(to.to_geometry(np.zeros((1, 64, 64, 3)))[0], to.mean)


def test_mirroring_all_channels_mirrors_the_face(to, faces):
    last, expected = eightfold(to.to_images(faces))[-1], to.to_images(mirrored(faces))
    there = to.mapping.mask  # a pixel beyond a cut corner has two nearest ones
    np.testing.assert_allclose(last[:, there], expected[:, there], atol=1e-5)


def test_all_variants_differ_and_the_first_is_the_face_itself(to, faces):
    images = to.to_images(faces)
    variants = eightfold(images)
    assert variants.shape == (8, *images.shape)
    np.testing.assert_array_equal(variants[0], images)
    for k in range(8):
        for other in range(k):
            assert not np.array_equal(variants[k], variants[other])


def test_channels_mirrored_by_hand():
    images = np.array([[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]], float)  # (1, 2, 2, 3)
    np.testing.assert_array_equal(
        mirrored_images(images, (0, 2)),
        [[[[-4, 2, 6], [-1, 5, 3]], [[-10, 8, 12], [-7, 11, 9]]]],
    )
    np.testing.assert_array_equal(mirrored_images(images, ()), images)
    assert images[0, 0, 0, 0] == 1  # untouched


def test_a_face_out_of_range_is_named(to, faces):
    far = faces.copy()
    far[4, 100, 2] += 1000
    with pytest.raises(
        GeometryRangeError, match=r"face 4 is .* mm from the mean along Z at vertex 100,.*in mm\?"
    ):
        to.to_images(far)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(value, to, faces):
    bad = faces.copy()
    bad[2, 7, 1] = value
    with pytest.raises(MeshArrayError, match="1 faces hold NaN or infinite numbers, the first 2"):
        to.to_images(bad)
    with pytest.raises(MeshArrayError, match="with NaN or infinite"):
        to.to_geometry(np.full((1, 64, 64, 3), value))


def test_what_does_not_fit_is_named(to, faces):
    for bad in (faces[:, :-1], faces[0], faces[:0]):
        with pytest.raises(MeshArrayError, match=rf"faces must be \(n, {faces.shape[1]}, 3\)"):
            to.to_images(bad)
    with pytest.raises(MeshArrayError, match="expected"):
        to.to_geometry(np.zeros((1, 32, 32, 3)))
    with pytest.raises(MeshArrayError, match=r"\(n, R, R, 3\)"):
        to.to_geometry(np.zeros((64, 64, 3)))
