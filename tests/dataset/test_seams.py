import numpy as np
import pytest

from facesynth.dataset.seams import level_seams

SIZE = 96


@pytest.fixture
def detailed():
    rng = np.random.default_rng(0)
    row = np.linspace(0.2, 0.6, SIZE)
    return (row[:, None, None] * [1, 0.8, 0.7] + rng.normal(0, 0.01, (SIZE, SIZE, 1))).clip(0, 1)


def halves():
    return np.tile(np.arange(SIZE) >= SIZE // 2, (SIZE, 1)).astype(int)


def jump(image):
    return np.abs(
        image[:, SIZE // 2 - 4 : SIZE // 2].mean(1) - image[:, SIZE // 2 :][:, :4].mean(1)
    )


def test_one_chart_stays_as_it_is(detailed):
    chart = np.zeros((SIZE, SIZE), int)
    np.testing.assert_allclose(level_seams(detailed, chart), detailed, atol=1e-6)


def test_a_step_in_exposure_and_white_goes(detailed):
    gain = np.array([0.7, 0.8, 0.9])
    stepped = np.where(halves()[..., None] == 1, detailed * gain, detailed)
    levelled = level_seams(stepped, halves())
    assert jump(stepped).max() > 0.1
    assert jump(levelled).max() < jump(detailed).max() + 0.005
    # half of the step is taken from each side, and the detail is what it was
    ratio = levelled / detailed
    np.testing.assert_allclose(ratio, np.broadcast_to(np.sqrt(gain), ratio.shape), rtol=0.05)


def test_a_step_that_grows_along_the_seam_goes(detailed):
    gain = np.linspace(0.7, 1.2, SIZE)[:, None, None]
    stepped = np.where(halves()[..., None] == 1, detailed * gain, detailed)
    assert jump(level_seams(stepped, halves())).mean() < 0.2 * jump(stepped).mean()


def test_what_agrees_is_not_touched(detailed):
    flat = np.broadcast_to(detailed[:, :1], detailed.shape)  # the same on both sides of the seam
    np.testing.assert_allclose(level_seams(flat, halves()), flat, atol=1e-5)


def test_islands_are_levelled_too(detailed):
    chart = np.zeros((SIZE, SIZE), int)
    chart[40:46, 30:36] = 5
    stepped = np.where(chart[..., None] == 5, detailed * 0.6, detailed)
    levelled = level_seams(stepped, chart)
    np.testing.assert_allclose((levelled / detailed)[chart == 5].mean(), 1.0, atol=0.05)


def test_pixels_without_chart_stay_and_charts_that_do_not_touch_stay_apart(detailed):
    chart = halves()
    chart[:, SIZE // 2 - 2 : SIZE // 2 + 2] = -1
    np.testing.assert_allclose(level_seams(detailed, chart), detailed, atol=1e-5)
