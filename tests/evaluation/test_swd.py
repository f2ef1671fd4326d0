import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.special import gammaln
from scipy.stats import norm, wasserstein_distance

from facesynth.evaluation import swd as evaluation
from facesynth.evaluation.swd import distance, distinguishable, expand, laplacian_pyramid, reduce
from facesynth.evaluation.swd import sliced_wasserstein as swd

# What the code published with Karras et al. (2017) gives on images that `blocks` makes: arguments
# for either set, then mean and standard deviation over ten seeds, by level and of their average.
PUBLISHED = {
    "same distribution": (
        ((0, 256, 64, 8, 0.3), (1, 256, 64, 8, 0.3)),
        {64: (10.313, 0.409), 32: (11.216, 0.322), 16: (20.480, 0.716), "average": (14.003, 0.256)},
    ),
    "finer cells": (
        ((0, 256, 64, 8, 0.3), (2, 256, 64, 4, 0.3)),
        {64: (28.894, 0.809), 32: (47.021, 1.243), 16: (29.422, 0.709), "average": (35.112, 0.512)},
    ),
    "more noise": (
        ((0, 256, 64, 8, 0.3), (3, 256, 64, 8, 0.9)),
        {64: (34.697, 0.729), 32: (19.032, 0.481), 16: (19.439, 0.527), "average": (24.389, 0.286)},
    ),
    "128 pixels": (
        ((0, 96, 128, 16, 0.2), (4, 96, 128, 8, 0.2)),
        {
            128: (48.293, 0.839),
            64: (52.438, 1.418),
            32: (51.918, 0.955),
            16: (42.725, 1.637),
            "average": (48.844, 0.639),
        },
    ),
}


def blocks(seed, n, size, cell, noise):
    """Coloured cells under noise, (n, size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(n, size // cell, size // cell, 3))
    x = np.kron(coarse, np.ones((1, cell, cell, 1)))
    x += noise * rng.normal(size=(n, size, size, 3))
    return np.uint8(np.clip(np.rint(127.5 + 40 * x), 0, 255))


def rng(seed=0):
    return np.random.default_rng(seed)


def neighbourhoods(images, rng):
    return evaluation._drawn(images, evaluation._corners(images, rng), "given")


def over_seeds(real, fake):
    """Distances by level and their average, each a mean over two seeds."""
    runs = [swd(real, fake, seed) for seed in range(2)]
    found = {side: np.mean([run[side] for run in runs]) for side in runs[0]}
    return {**found, "average": np.mean(list(found.values()))}


def assert_agree(found, published):
    assert found.keys() == published.keys()
    for level, (mean, deviation) in published.items():
        assert abs(found[level] - mean) < 3 * deviation, level


@pytest.mark.parametrize("case", PUBLISHED)
def test_distances_are_those_of_the_published_code(case):
    (real, fake), published = PUBLISHED[case]
    assert_agree(over_seeds(blocks(*real), blocks(*fake)), published)


@pytest.mark.parametrize(
    "case",
    ["neutral_vs_smiling", "neutral_vs_blurred", "neutral_half_vs_half", "neutral_vs_itself"],
)
def test_distances_of_faces_are_those_of_the_published_code(real_data_folder, case):
    folder = real_data_folder / "reference"
    sets = np.load(folder / "swd_images_64.npz")
    told = json.loads((folder / "swd_reference.json").read_text())
    columns = [int(name) if name.isdigit() else name for name in told["columns"]]
    values = told["values"][case]
    neutral = sets["neutral"]
    real, fake = {
        "neutral_half_vs_half": (neutral[::2], neutral[1::2]),
        "neutral_vs_itself": (neutral, neutral),
    }.get(case) or (neutral, sets[case.split("_")[-1]])
    published = dict(zip(columns, zip(values["mean"], values["std"], strict=True), strict=True))
    assert_agree(over_seeds(real, fake), published)


NUMBERS = arrays(np.float64, 12, elements=st.floats(-100, 100))


@given(NUMBERS, NUMBERS)
def test_on_a_line_the_distance_is_the_exact_one(a, b):
    found = distance(a[:, None], b[:, None], rng(), directions=3)
    assert found == pytest.approx(wasserstein_distance(a, b), abs=1e-9)


def test_shifted_points_on_a_line_are_as_far_apart_as_the_shift():
    a = np.array([[3.0], [-1.0], [7.0], [0.0]])
    assert distance(a, a[[2, 0, 3, 1]] + 2.5, rng()) == pytest.approx(2.5)


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0.5, 1), (0, 2), (1, 0.5), (-3, 1.5)])
def test_gaussians_on_a_line_are_as_far_apart_as_theory_says(shift, scale):
    # The quantiles of N(0, 1) and N(m, s^2) lie |m + (s - 1) z| apart: a folded normal's mean.
    bend = abs(scale - 1)
    exact = abs(shift)
    if bend:
        exact = bend * (2 / np.pi) ** 0.5 * np.exp(-((shift / bend) ** 2) / 2)
        exact += shift * (1 - 2 * norm.cdf(-shift / bend))
    a, b = rng(1).normal(size=(2, 20_000, 1))
    found = distance(a, shift + scale * b, rng(), directions=1)
    assert found == pytest.approx(exact, abs=0.04)


def test_shifted_gaussians_in_space_are_as_far_apart_as_theory_says():
    # 147 dimensions, as 7 x 7 pixels have: |v| E|u_1| for a random unit vector u, and E|u_1| is
    # Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)).
    d, shift = 147, 2.0
    a, b = rng(1).normal(size=(2, 4000, d))
    b[:, 5] += shift
    expected = shift * np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.pi**0.5
    assert distance(a, b, rng()) == pytest.approx(expected, abs=0.02)


def test_clouds_are_as_far_apart_either_way():
    a, b = np.float32(rng(1).normal(size=(2, 200, 147)))
    assert distance(a, b, rng()) == distance(b, a, rng())


def test_clouds_of_the_same_points_are_at_no_distance_in_whatever_order():
    a = np.float32(rng(1).normal(size=(200, 147)))
    assert distance(a, a.copy(), rng()) == 0
    assert distance(a, rng(2).permutation(a), rng()) < 1e-6  # the sums of products round


def test_sets_of_images_are_as_far_apart_either_way_but_for_the_places():
    a, b = blocks(0, 24, 32, 8, 0.3), blocks(1, 24, 32, 4, 0.3)
    there, back = ([swd(*sets, seed) for seed in range(4)] for sets in ((a, b), (b, a)))
    for side in (32, 16):
        one, other = ([run[side] for run in runs] for runs in (there, back))
        assert one != other
        spread = np.hypot(np.std(one, ddof=1), np.std(other, ddof=1)) / 4**0.5
        assert abs(np.mean(one) - np.mean(other)) < 4 * spread


def test_points_on_a_line_are_matched_in_order():
    # sorted: 0, 4, 10 and 1, 3, 6 lie 1, 1 and 4 apart
    a, b = np.array([[10], [0], [4]]), np.array([[3], [6], [1]])
    assert distance(a, b, rng()) == pytest.approx(2)


def test_half_of_a_shift_in_space_is_seen():
    # the components of a random unit vector in space are uniform in [-1, 1]: 1 / 2 on average
    a = rng(1).normal(size=(50, 3))
    found = distance(a, a + np.array([0, 3.0, 4.0]), rng(), directions=4000)
    assert found == pytest.approx(2.5, abs=5 * 5 / 12**0.5 / 4000**0.5)


def test_more_directions_than_are_worked_on_at_a_time_all_count(monkeypatch):
    a, b = rng(1).normal(size=(2, 30, 5))
    whole = distance(a, b, rng(), directions=21)
    monkeypatch.setattr(evaluation, "_PROJECTED", 4 * 30)
    assert distance(a, b, rng(), directions=21) == pytest.approx(whole)


def test_a_set_is_at_no_distance_from_itself_where_the_same_places_are_drawn():
    images = blocks(0, 8, 32, 4, 0.3)
    a, b = (neighbourhoods(images, rng(5)) for _ in range(2))
    assert [distance(a[side], b[side], rng()) for side in (32, 16)] == [0, 0]


def test_a_set_is_at_a_floor_from_itself_that_falls_with_its_size():
    images = blocks(0, 128, 32, 4, 0.3)
    few, many = swd(images[:8], images[:8]), swd(images, images)
    assert all(0 < many[side] < few[side] / 2 for side in (32, 16))


def test_levels_halve_down_to_16_pixels():
    images = blocks(0, 2, 128, 8, 0.3)
    assert list(swd(images, images)) == [128, 64, 32, 16]
    assert list(swd(images[:, :16, :16], images[:, 16:32, :16])) == [16]


def test_the_seed_decides():
    a, b = blocks(0, 4, 32, 4, 0.3), blocks(1, 4, 32, 4, 0.3)
    assert swd(a, b, seed=3) == swd(a, b, seed=3) != swd(a, b, seed=4)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels(channels):
    a, b = rng(1).random((2, 4, 32, 32, channels))
    assert neighbourhoods(a, rng())[32].shape == (4 * 128, 49 * channels)
    assert all(np.isfinite(value) for value in swd(a, b).values())


def test_units_brightness_and_contrast_of_channels_do_not_matter():
    a, b = blocks(0, 8, 32, 4, 0.3), blocks(1, 8, 32, 4, 0.6)
    changed = b * [0.01, 1.0, 3.0] + [5, -20, 0]
    assert swd(a / np.float32(255), changed) == pytest.approx(swd(a, b), rel=1e-4)


def test_a_difference_in_one_channel_is_seen():
    a = blocks(0, 32, 16, 4, 0.3)
    b = a.copy()
    b[..., 1] = a[:, ::-1, :, 0]  # like channel 0 upside down, no longer like itself
    assert swd(a, b)[16] > 2 * swd(a, a)[16]


def test_each_channel_has_mean_0_and_deviation_1_over_the_set():
    scale, offset = np.array([1.0, 1e3]), np.array([1e4, -3.0])
    images = rng(1).random((5, 32, 32, 2)) * scale + offset
    for patches in neighbourhoods(images, rng()).values():
        values = patches.reshape(-1, 2, 49).astype(float)
        np.testing.assert_allclose(values.mean((0, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(values.std((0, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize("at_a_time", [1, 3, 7])
def test_every_image_gives_128_neighbourhoods(monkeypatch, at_a_time):
    monkeypatch.setattr(evaluation, "_BATCH", at_a_time * 16 * 16)
    images = np.broadcast_to(np.arange(7.0)[:, None, None, None], (7, 16, 16, 1))
    (patches,) = neighbourhoods(images, rng()).values()
    grey, count = np.unique(patches.mean(1), return_counts=True)
    assert count.tolist() == [128] * 7
    np.testing.assert_allclose(grey, (np.arange(7) - 3) / 2, rtol=1e-6)  # mean 3, deviation 2


def test_neighbourhoods_are_7_by_7_pixels_from_everywhere_in_the_image():
    y, x = np.mgrid[:16, :16]
    images = np.broadcast_to((16 * y + x)[None, ..., None] * 1.0, (40, 16, 16, 1))
    (patches,) = neighbourhoods(images, rng()).values()
    spread = 16 * y[:7, :7] + x[:7, :7]
    step = np.ptp(patches[0]) / spread.max()  # what one grey became when it was normalised
    first = np.rint((patches[:, 0] - patches.min()) / step).astype(int)
    np.testing.assert_allclose((patches - patches[:, :1]) / step, [spread.ravel()] * 5120, atol=0.1)
    assert set(first) == {16 * row + column for row in range(10) for column in range(10)}


def test_the_places_differ_between_images_and_between_the_sets():
    y, x = np.mgrid[:16, :16]
    images = np.broadcast_to((16 * y + x)[None, ..., None] * 1.0, (2, 16, 16, 1))
    one = neighbourhoods(images, rng())[16][:, 0].reshape(2, 128)
    assert (one[0] != one[1]).any()
    assert swd(images, images)[16] > 0


def test_the_size_of_the_batches_changes_nothing(monkeypatch):
    a, b = blocks(0, 7, 32, 4, 0.3), blocks(1, 7, 32, 4, 0.3)
    at_once = swd(a, b)
    monkeypatch.setattr(evaluation, "_BATCH", 2 * 32 * 32 * 3)
    assert swd(a, b) == at_once


@pytest.mark.parametrize("kept", [1, 2 * 2 * 7 * 128 * 147])
def test_reading_the_images_again_for_each_level_changes_nothing(monkeypatch, kept):
    a, b = blocks(0, 7, 128, 8, 0.3), blocks(1, 7, 128, 8, 0.3)
    at_once = swd(a, b)
    monkeypatch.setattr(evaluation, "_KEPT", kept)
    assert swd(a, b) == at_once


def test_only_as_many_levels_as_fit_are_kept(monkeypatch):
    drawn, kept = evaluation._drawn, []

    def counted(images, corners, name):
        kept.append(list(corners))
        return drawn(images, corners, name)

    monkeypatch.setattr(evaluation, "_drawn", counted)
    monkeypatch.setattr(evaluation, "_KEPT", 2 * 2 * 3 * 128 * 147)  # two levels of both sets
    images = blocks(0, 3, 128, 8, 0.3)
    swd(images, images)
    assert kept == 2 * [[128, 64]] + 2 * [[32, 16]]


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_mapped_files_are_read_and_left_as_they_are(tmp_path, mode):
    a, b = blocks(0, 6, 32, 4, 0.3), blocks(1, 6, 32, 4, 0.3)
    np.save(tmp_path / "a.npy", a)
    mapped = np.load(tmp_path / "a.npy", mmap_mode=mode)
    if mode != "r":
        mapped[0] = a[0] = b[0]  # by 'c', in memory only
    assert swd(mapped[1:], b[1:]) == swd(a[1:], b[1:])
    assert swd(mapped, b) == swd(a, b)
    np.testing.assert_array_equal(mapped, a)


def test_noise_in_one_image_of_a_batch_is_seen():
    a = blocks(0, 16, 32, 8, 0.1)
    floor = swd(a, a)[32]
    for number in (1, 15):
        b = a.copy()
        b[number] = rng(1).integers(0, 256, (32, 32, 3))
        assert swd(a, b)[32] > 1.5 * floor


def test_blur_is_seen_at_the_fine_level_only():
    images = blocks(0, 64, 64, 8, 0.3)
    floor = swd(images, images)
    before = floor[64]
    for sigma in (0.5, 0.6, 0.8):
        blurred = swd(images, gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0)))
        assert blurred[64] > 1.2 * before
        assert blurred[16] == pytest.approx(floor[16], rel=0.1)
        before = blurred[64]


def test_a_pyramid_reconstructs_its_images():
    images = rng(1).random((3, 128, 128, 2))
    levels = laplacian_pyramid(images)
    assert [level.shape for level in levels] == [(3, s, s, 2) for s in (128, 64, 32, 16)]
    again = levels[-1]
    for level in levels[-2::-1]:
        again = level + expand(again)
    np.testing.assert_allclose(again, images, atol=1e-6)


def test_only_the_last_level_of_a_pyramid_holds_the_mean():
    *fine, last = laplacian_pyramid(np.full((1, 64, 64, 1), 0.3))
    assert all((level == 0).all() for level in fine)
    assert (last == np.float32(0.3)).all()


def columns(values):
    """An image whose rows are all the same."""
    return np.broadcast_to(np.array(values, float)[:, None], (1, len(values), len(values), 1))


def row(image):
    np.testing.assert_allclose(image, image[:, :1].repeat(image.shape[1], 1))
    return image[0, 0, :, 0]


# An impulse of 16 becomes the filter 1 4 6 4 1, of which every second place is left. Beyond the
# border x1 x2 follow x0: at column 1, the filter's 4 counts twice in the corner.
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (4, [0, 1, 6, 1]),
        (3, [0, 4, 4, 0]),
        (0, [6, 1, 0, 0]),
        (1, [8, 4, 0, 0]),
        (2, [2, 6, 1, 0]),
        (7, [0, 0, 0, 4]),
    ],
)
def test_reducing_by_hand(at, expected):
    image = columns(16 * (np.arange(8) == at))
    np.testing.assert_allclose(row(reduce(image)), expected)
    np.testing.assert_allclose(row(reduce(image.swapaxes(1, 2)).swapaxes(1, 2)), expected)


# Old places get (1, 6, 1) / 8 of their neighbours, new ones (1, 1) / 2. At the left border, x1
# mirrors x1; at the right one, the last place is a zero, and beyond it lies the last pixel again.
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (1, [2, 4, 6, 4, 1, 0, 0, 0]),
        (0, [6, 4, 1, 0, 0, 0, 0, 0]),
        (3, [0, 0, 0, 0, 1, 4, 7, 8]),
    ],
)
def test_expanding_by_hand(at, expected):
    image = columns(8 * (np.arange(4) == at))
    np.testing.assert_allclose(row(expand(image)), expected)
    np.testing.assert_allclose(row(expand(image.swapaxes(1, 2)).swapaxes(1, 2)), expected)


GOOD = blocks(0, 3, 32, 4, 0.3)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (GOOD[..., 0], evaluation.ImageShapeError, r"\(n, R, R, c\), not \(3, 32, 32\)"),
        (GOOD[:, :16], evaluation.ImageShapeError, r"not \(3, 16, 32, 3\)"),
        (GOOD[:, :0, :0], evaluation.ImageShapeError, r"not \(3, 0, 0, 3\)"),
        (GOOD[..., :0], evaluation.ImageShapeError, r"not \(3, 32, 32, 0\)"),
        (GOOD[:1], evaluation.TooFewImagesError, "the fake set has 1 images: two or more"),
        (GOOD[:0], evaluation.TooFewImagesError, "the fake set has 0 images"),
        (GOOD[:, :8, :8], evaluation.ImageShapeError, "8 pixels wide: .* 16 or more"),
        (GOOD[:, :24, :24], evaluation.ImageShapeError, "24 pixels wide: .* power of two"),
        (GOOD.astype(int), evaluation.EvaluationError, "uint8 or floating, not int64"),
        (GOOD[:2], evaluation.UnequalSetsError, r"\(3, 32, 32, 3\) and \(2, 32, 32, 3\)"),
        (GOOD[..., :1], evaluation.UnequalSetsError, r"and \(3, 32, 32, 1\)"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(images, error, message):
    with pytest.raises(error, match=message):
        swd(GOOD, images)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_named(monkeypatch, value):
    monkeypatch.setattr(evaluation, "_BATCH", 2 * 32 * 32 * 3)
    bad = GOOD.astype(np.float64)
    bad[2, 5, 5, 1] = value
    with pytest.raises(evaluation.NonFiniteImageError, match="number 2 of the fake images"):
        swd(GOOD, bad)
    with pytest.raises(evaluation.NonFiniteImageError, match="number 2 of the real images"):
        swd(bad, GOOD)


def test_flat_channels_are_named():
    flat = GOOD / 255
    flat[..., 1] = np.array([0.1, 0.2, 0.3])[:, None, None]  # no detail, but unequal means
    with pytest.raises(evaluation.NoDetailError, match=r"channel 1 of the real images, at .* 32 "):
        swd(flat, GOOD)


def test_a_classifier_tells_nothing_from_nothing_and_far_from_near():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 3))
    assert distinguishable(a, b) == pytest.approx(0.5, abs=0.1)
    assert distinguishable(a, b + 8) == 1.0
    assert distinguishable(a, b, seed=1) == distinguishable(a, b, seed=1)


def test_a_classifier_comes_near_to_what_theory_allows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2000, 1)) + [[[0.0]], [[1.5]]]
    best = norm.cdf(1.5 / np.sqrt(2))  # of Gaussians, by the threshold between them
    assert best - 0.08 < distinguishable(a, b) < best + 0.02


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        (((4, 3), (9, 3)), evaluation.TooFewImagesError),
        (((9, 3), (9, 2)), evaluation.UnequalSetsError),
        (((9,), (9,)), evaluation.UnequalSetsError),
    ],
)
def test_a_classifier_needs_samples_of_one_kind(shapes, error):
    with pytest.raises(error, match="set"):
        distinguishable(*map(np.ones, shapes))


def test_clouds_must_be_alike_and_hold_points():
    with pytest.raises(evaluation.UnequalSetsError, match=r"\(3, 2\) and \(4, 2\)"):
        distance(np.zeros((3, 2)), np.zeros((4, 2)), rng())
    with pytest.raises(evaluation.EvaluationError, match=r"\(n, d\), not \(0, 2\)"):
        distance(np.zeros((0, 2)), np.zeros((0, 2)), rng())
