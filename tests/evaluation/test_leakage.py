"""How much masks tell of images."""

import numpy as np
import pytest

from facesynth.evaluation.leakage import Leakage, dark_masks, leakage

N, R = 200, 32


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def halves(rng, n=N):
    """Masks that hide the left half or nothing, at random."""
    hides = rng.random(n) < 0.5
    masks = np.ones((n, R, R), bool)
    masks[hides, :, : R // 2] = False
    return masks, hides


def test_masks_that_follow_the_image_tell_all_of_it(rng):
    masks, hides = halves(rng)
    images = np.where(hides, 50.0, 200.0)[:, None, None, None] * np.ones((1, R, R, 3))
    found = leakage(masks[:150], images[:150], masks[150:], images[150:])
    assert found.share > 0.99
    assert found.by_pixel.shape == (R, R)
    assert found.by_pixel.min() > 0.99


def test_masks_that_are_drawn_at_random_tell_nothing(rng):
    masks, _ = halves(rng)
    images = rng.normal(128, 40, (N, 1, 1, 3)) * np.ones((1, R, R, 1))
    found = leakage(masks[:150], images[:150], masks[150:], images[150:])
    assert abs(found.share) < 0.05


def test_shares_are_of_the_variance_about_the_mean():
    """By hand: of errors 4 and 4 about the mean, 1 and 3 are left."""
    found = Leakage(np.array([[[1.0]], [[3.0]]]), np.array([[[4.0]], [[4.0]]]))
    assert found.share == 0.5
    assert found.by_pixel == [[0.5]]


def test_what_masks_tell_beyond_others_has_an_interval_over_people():
    about = np.full((4, 1, 1), 10.0)
    own, others = Leakage(np.full((4, 1, 1), 7.0), about), Leakage(np.full((4, 1, 1), 9.0), about)
    found = own.beyond(others, np.arange(4))
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.2, 0.2))  # all people are alike


def test_dark_masks_mark_what_is_darker_than_the_mean():
    images = np.array([[[[10, 10, 10], [90, 90, 90]]]], np.uint8)
    assert dark_masks(images).tolist() == [[[True, False]]]
