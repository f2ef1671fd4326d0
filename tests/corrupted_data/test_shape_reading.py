"""The reader of shapes, on pictures that are drawn by other means than its calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from sklearn.exceptions import NotFittedError

from facesynth.corrupted_data import shape_finding
from facesynth.corrupted_data.shape_reading import (
    DrawingsError,
    Reader,
    SharesError,
    UnreadableError,
    coverage,
    overlap,
    redness,
)
from facesynth.corrupted_data.shapes import BACKGROUND, COLOURS, KINDS, MOST_SHAPES, RED, draw

FINE = 16  # times finer than the pixels that hand-drawn pictures are averaged to
NAMES = list(COLOURS)


@pytest.fixture(scope="module")
def reader():
    return Reader().fit(draw(1600, 32, 0.3, 1))


def picture(*shapes, resolution=32):
    """Draw shapes (corners or None for an ellipse, colour, x, y, half width, half height)."""
    image = Image.new("RGB", (resolution * FINE,) * 2, BACKGROUND)
    pen = ImageDraw.Draw(image)
    for corners, colour, x, y, w, h in shapes:
        if corners is None:
            box = np.array([x - w, y - h, x + w, y + h]) * resolution * FINE
            pen.ellipse(list(box), fill=colour)
        else:
            places = (np.array(corners) * [w, h] + [x, y]) * resolution * FINE
            pen.polygon([tuple(place) for place in places], fill=colour)
    return np.asarray(image.reduce(FINE))


SQUARE = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
TRIANGLE = [(0, -1), (3**0.5 / 2, 0.5), (-(3**0.5) / 2, 0.5)]
CORNERS = {"circle": None, "square": SQUARE, "triangle": TRIANGLE}
SIZE = {"circle": 0.13, "square": 0.12, "triangle": 0.19}


def single(kind, colour, x=0.5, y=0.5, resolution=32):
    figure = (CORNERS[kind], colour, x, y, SIZE[kind], SIZE[kind])
    return picture(figure, resolution=resolution)


def blurred(images, pixels):
    return np.uint8(gaussian_filter(images.astype(float), (0, pixels, pixels, 0)) + 0.5)


@pytest.mark.parametrize("resolution", [32, 64])
def test_hand_drawn_shapes_are_read(resolution):
    reader = Reader().fit(draw(200, resolution, 0.3, 1))
    contents = [(kind, colour) for kind in KINDS for colour in NAMES]
    found = reader.read(
        np.stack([single(k, COLOURS[c], 0.41, 0.37, resolution) for k, c in contents])
    )
    assert [(KINDS[k], NAMES[c]) for k, c in zip(found.kind, found.colour, strict=True)] == contents
    np.testing.assert_array_equal(found.image, np.arange(len(contents)))
    assert (found.counts == 1).all()
    assert not found.corrupted.any()
    assert not found.specks.any()
    assert found.recognised == 1


def test_a_red_circle_is_corruption_and_no_shape(reader):
    found = reader.read(single("circle", RED)[None])
    assert found.corrupted.all()
    assert found.counts == found.specks == 0


def test_the_score_grows_with_the_red(reader):
    alphas = [0, 0.25, 0.5, 0.75, 1]
    fading = [np.array(BACKGROUND) + a * (np.array(RED) - BACKGROUND) for a in alphas]
    images = np.stack([single("circle", tuple(map(round, map(float, c)))) for c in fading])
    score = redness(images)
    # from 26 - 32 of the background, which counts as none, to 213 - 26
    expected = [0, -6 + 0.25 * 193, -6 + 0.5 * 193, -6 + 0.75 * 193, 187]
    np.testing.assert_allclose(score, np.maximum(expected, 0) / 255, atol=1.5 / 255)
    np.testing.assert_array_equal(reader.read(images).corrupted, [0, 0, 0, 1, 1])


def test_smeared_red_is_corruption_and_a_few_red_pixels_are_not(reader):
    smeared = blurred(single("circle", RED)[None], 2)
    pixels = single("square", COLOURS["green"])[None].copy()
    pixels[0, 4, 4] = pixels[0, 31, 31] = pixels[0, 20, 5:7] = RED
    assert reader.read(smeared).corrupted.all()
    assert not reader.read(pixels).corrupted.any()


def test_fresh_drawings_are_told_apart(reader):
    drawn = draw(1000, 32, 0.4, 99)
    found = reader.read(drawn.images)
    right = found.corrupted & drawn.corrupted
    assert right.sum() >= 0.99 * found.corrupted.sum()
    assert right.sum() >= 0.99 * drawn.corrupted.sum()
    assert min(reader.precision_, reader.recall_) >= 0.99


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_clean_drawings_are_read_as_they_were_drawn(resolution):
    # at 16 pixels one shape in twenty is too coarse to be like the average
    reader = Reader().fit(draw(200, resolution, 0.3, 2))
    drawn = draw(200, resolution, 0, 3)
    found = reader.read(drawn.images)
    used = drawn.kinds >= 0
    assert (found.counts == used.sum(axis=1)).mean() >= 0.99
    assert found.recognised >= 0.9
    for shares, numbers in (
        (found.kind_shares(), drawn.kinds[used]),
        (found.colour_shares(), drawn.colours[used]),
        (found.count_shares(), used.sum(axis=1)),
    ):
        truth = np.bincount(numbers, minlength=len(shares)) / len(numbers)
        assert overlap(truth, shares) > 0.9


def test_the_reader_tells_how_good_it_is(reader):
    found = reader.read(draw(1000, 32, 0, 98).images)
    assert reader.recognised_ == pytest.approx(found.recognised, abs=0.03)
    assert reader.recognised_ >= 0.95
    assert reader.accuracy_ >= 0.99
    assert reader.counted_ >= 0.99


def test_the_threshold_recognises_at_least_the_share_that_is_asked_for():
    drawn = draw(400, 16, 0.3, 1)
    few, most = Reader(recognised=0.5).fit(drawn), Reader(recognised=0.99).fit(drawn)
    assert few.recognised_ == pytest.approx(0.5, abs=0.1)
    assert most.recognised_ > 0.9
    assert Reader(recognised=0.99).fit(drawn).kind_threshold_ == most.kind_threshold_


def test_blur_and_noise_are_not_recognised(reader):
    drawn = draw(200, 32, 0, 4).images
    soft, smeared = reader.read(blurred(drawn, 0.4)), reader.read(blurred(drawn, 2))
    assert soft.recognised > 0.9
    assert smeared.recognised < 0.01
    assert len(smeared.kind) > 0.9 * len(soft.kind)  # still counted
    noise = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    assert reader.read(noise).recognised == 0


def test_figures_that_are_not_drawn_are_not_recognised(reader):
    green = COLOURS["green"]
    turned = [(x, -y) for x, y in TRIANGLE]
    diamond = [(0, -1), (1, 0), (0, 1), (-1, 0)]
    figures = [
        (None, green, 0.5, 0.5, 0.17, 0.09),
        (turned, green, 0.5, 0.5, 0.19, 0.19),
        (diamond, green, 0.5, 0.5, 0.17, 0.17),
        (SQUARE, green, 0.5, 0.5, 0.3, 0.04),
    ]
    found = reader.read(np.stack([picture(figure) for figure in figures]))
    np.testing.assert_array_equal(found.kind, [-1] * 4)
    assert (found.distance > 1).all()
    np.testing.assert_array_equal(found.colour, [NAMES.index("green")] * 4)


def test_colours_off_the_palette_or_mixed_are_not_recognised(reader):
    white = single("square", (240, 240, 240))
    dim = single("square", (120, 114, 33))
    two = single("circle", COLOURS["yellow"]).copy()
    half = two[:, 16:]
    half[(half != BACKGROUND).any(axis=2)] = COLOURS["sky blue"]
    near = single("square", (230, 220, 80))  # not quite yellow
    found = reader.read(np.stack([white, dim, two, near]))
    np.testing.assert_array_equal(found.colour, [-1, -1, -1, NAMES.index("yellow")])
    assert found.kind[0] == KINDS.index("square")
    assert found.recognised == 0.25


def test_specks_are_no_shapes(reader):
    image = single("square", COLOURS["blue"]).copy()
    image[2:4, 2:4] = image[28, 28] = COLOURS["yellow"]
    found = reader.read(image[None])
    assert found.counts == 1
    assert found.specks == 2


def test_what_is_under_a_red_circle_is_not_made_up(reader):
    green = COLOURS["green"]
    cut = picture((SQUARE, green, 0.4, 0.5, 0.17, 0.17), (None, RED, 0.57, 0.5, 0.19, 0.19))
    apart = picture((SQUARE, green, 0.28, 0.28, 0.17, 0.17), (None, RED, 0.75, 0.75, 0.19, 0.19))
    found = reader.read(np.stack([cut, apart]))
    assert found.corrupted.all()
    np.testing.assert_array_equal(found.kind, [-1, KINDS.index("square")])
    np.testing.assert_array_equal(found.colour, [NAMES.index("green")] * 2)


def test_images_are_read_one_by_one(reader, monkeypatch):
    # the same place in all images, so that any connection between them would show
    images = np.stack([single(kind, COLOURS["purple"]) for kind in KINDS] * 2)
    images = np.concatenate([images, draw(20, 32, 0.5, 5).images])
    whole = reader.read(images)
    monkeypatch.setattr(shape_finding, "_parts", lambda stack: np.array_split(stack, len(stack)))
    single_file = reader.read(images)
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(single_file, name), value, err_msg=name, atol=1e-5)
    np.testing.assert_array_equal(np.bincount(whole.image, minlength=26), whole.counts)


def test_shares_are_of_what_is_recognised(reader):
    purple, empty = COLOURS["purple"], np.full((1, 32, 32, 3), BACKGROUND, np.uint8)
    circle, flat = single("circle", purple), picture((SQUARE, purple, 0.5, 0.5, 0.3, 0.04))
    found = reader.read(np.concatenate([circle[None], flat[None], empty]))
    np.testing.assert_allclose(found.kind_shares(), [1, 0, 0])
    np.testing.assert_allclose(found.colour_shares(), [0, 0, 0, 0, 1])
    np.testing.assert_allclose(found.count_shares(), [1 / 3, 2 / 3, 0, 0])
    assert found.recognised == 1 / 2


def test_more_shapes_than_any_drawing_has_are_told(reader):
    places = [(0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8), (0.5, 0.5)]
    dots = [(None, COLOURS["blue"], x, y, 0.11, 0.11) for x, y in places]
    found = reader.read(picture(*dots)[None])
    assert found.counts == 5
    np.testing.assert_array_equal(found.count_shares(), [0] * (MOST_SHAPES + 1) + [1])


def test_nothing_shows_nothing(reader):
    found = reader.read(np.full((2, 32, 32, 3), BACKGROUND, np.uint8))
    assert not found.corrupted.any()
    np.testing.assert_array_equal(found.counts, [0, 0])
    assert found.recognised == found.kind_shares().sum() == found.colour_shares().sum() == 0


def test_coverage_gives_a_collapsed_gan_away(reader):
    drawn = reader.read(draw(500, 32, 0, 6).images)
    collapsed = reader.read(np.stack([single("circle", COLOURS["blue"])] * 500))
    assert not collapsed.corrupted.any()
    assert collapsed.recognised == 1
    assert overlap(drawn.colour_shares(), collapsed.colour_shares()) == pytest.approx(0.2, abs=0.1)
    assert overlap(drawn.kind_shares(), collapsed.kind_shares()) == pytest.approx(1 / 3, abs=0.1)
    assert overlap(drawn.count_shares(), collapsed.count_shares()) == pytest.approx(0.5, abs=0.1)
    again = reader.read(draw(500, 32, 0, 7).images)
    assert overlap(drawn.colour_shares(), again.colour_shares()) > 0.9


def test_coverage_by_hand():
    assert coverage([0.2, 0.3, 0.5], [0.1, 0.9, 0]) == pytest.approx(0.5)  # half as often will do
    assert coverage([0.2, 0.8], [0.09, 0.91]) == pytest.approx(0.8)
    assert coverage([0.2, 0.8], [0.2, 0.4]) == 1
    assert coverage([0.2, 0.8], [0.2, 0.7], least=1) == pytest.approx(0.2)
    with pytest.raises(SharesError, match="must be equal"):
        coverage([0.5, 0.5], [1.0])


def test_overlap_by_hand():
    assert overlap([0.5, 0.5], [0.5, 0.5]) == 1
    assert overlap([0.5, 0.5], [1, 0]) == 0.5
    assert overlap([0.2, 0.3, 0.5], [0.5, 0.5, 0]) == pytest.approx(0.2 + 0.3)
    # 0.8 of the reference was recognised, and 0.4 + 0.1 of it is found
    assert overlap([0.4, 0.4], [0.6, 0.1]) == pytest.approx(0.5 / 0.8)
    assert overlap([0.4, 0.4], [0, 0]) == 0


@given(arrays(float, (2, 4), elements=st.floats(0.01, 1)))
def test_overlap_is_one_only_for_equals(rows):
    p, q = rows / rows.sum(axis=1, keepdims=True)
    assert overlap(p, p) == pytest.approx(1)
    # for two whole distributions the rest is their total variation
    assert overlap(p, q) == pytest.approx(1 - np.abs(p - q).sum() / 2)


@pytest.mark.parametrize(
    ("reference", "found", "message"),
    [
        ([0.5, 0.5], [1.0], "must be equal"),
        ([[1.0]], [[1.0]], "must be equal"),
        ([0.5, 0.5], [2, 3], "found shares"),
        ([1.5, -0.5], [0.5, 0.5], "reference shares"),
        ([np.nan, 0.5], [0.5, 0.5], "reference shares"),
        ([0, 0], [0.5, 0.5], "no positive share"),
    ],
)
def test_no_shares_are_refused(reference, found, message):
    with pytest.raises(SharesError, match=message):
        overlap(reference, found)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((32, 32, 3), np.uint8), r"\(n, R, R, 3\)"),
        (np.zeros((2, 3, 32, 32), np.uint8), r"\(n, R, R, 3\)"),
        (np.zeros((2, 32, 31, 3), np.uint8), r"\(n, R, R, 3\)"),
        (np.zeros((0, 32, 32, 3), np.uint8), "n > 0"),
        (np.zeros((2, 32, 32, 3), np.float32), "uint8"),
        (np.zeros((2, 64, 64, 3), np.uint8), "64 pixels a side.*for 32"),
    ],
)
def test_other_images_are_refused(reader, images, message):
    with pytest.raises(UnreadableError, match=message):
        reader.read(images)


def test_a_reader_is_calibrated_first():
    with pytest.raises(NotFittedError):
        Reader().read(np.zeros((2, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("share", [0, 1])
def test_drawings_must_be_clean_and_corrupted(share):
    with pytest.raises(DrawingsError, match=f"{20 * share} of 20 drawings are corrupted"):
        Reader().fit(draw(20, 32, share, 0))


def test_drawings_must_show_every_kind():
    drawn = draw(8, 32, 0.5, 0)
    drawn.kinds[drawn.kinds >= 0] = KINDS.index("circle")
    with pytest.raises(DrawingsError, match="no square and no triangle"):
        Reader().fit(drawn)
