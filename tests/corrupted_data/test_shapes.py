"""The synthetic drawings: what lies where, and what the red circles change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from facesynth.corrupted_data.shapes import (
    BACKGROUND,
    COLOURS,
    GAP,
    KINDS,
    MOST_SHAPES,
    RADII,
    REACH,
    RED,
    _apart,
    _coverage,
    draw,
)

PALETTE = np.array(list(COLOURS.values()))
SEEDS = st.integers(0, 2**32)


def covered(kind, radius, resolution, x=0.5, y=0.5):
    return _coverage(np.array([KINDS.index(kind)]), np.array([[x, y, radius]]), resolution)[0]


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_what_lies_under_the_reds_depends_on_the_seed_alone(seed, share):
    clean, drawn = draw(20, 32, 0, seed), draw(20, 32, share, seed)
    np.testing.assert_array_equal(drawn.kinds, clean.kinds)
    np.testing.assert_array_equal(drawn.colours, clean.colours)
    np.testing.assert_array_equal(drawn.images[drawn.masks], clean.images[drawn.masks])
    np.testing.assert_array_equal(drawn.clean, clean.images[~drawn.corrupted])


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_a_larger_share_only_adds_corrupted_images(seed):
    some, more = draw(40, 16, 0.3, seed), draw(40, 16, 0.6, seed)
    assert (more.corrupted | ~some.corrupted).all()
    np.testing.assert_array_equal(some.images[some.corrupted], more.images[some.corrupted])


def test_masks_are_false_where_red_changes_a_pixel():
    clean, red = draw(100, 64, 0, 3), draw(100, 64, 1, 3)
    changed = (clean.images != red.images).any(axis=3)
    assert not red.masks[changed].any()
    assert clean.masks.all()
    # a rim that covers a pixel by less than a grey level changes nothing, but is masked
    unchanged = ~red.masks & ~changed
    assert unchanged.sum() < 0.02 * changed.sum()
    assert (red.images == RED).all(axis=3).any(axis=(1, 2)).all()


def test_as_many_shapes_as_told_lie_apart():
    drawn = draw(200, 64, 0, 4)
    shown = (drawn.images != BACKGROUND).any(axis=3)
    counts = [label(image, np.ones((3, 3)))[1] for image in shown]
    np.testing.assert_array_equal(counts, (drawn.kinds >= 0).sum(axis=1))
    assert set(counts) == set(range(1, MOST_SHAPES + 1))


def test_images_show_the_colours_that_are_told():
    drawn = draw(100, 64, 0, 5)
    for image, kinds, colours in zip(drawn.images, drawn.kinds, drawn.colours, strict=True):
        there = (image[:, :, None] == PALETTE).all(axis=3).any(axis=(0, 1))
        assert set(np.flatnonzero(there)) == set(colours[kinds >= 0])


def test_unused_places_come_last():
    used = draw(200, 8, 0, 6).kinds >= 0
    assert used[:, 0].all()
    assert (used[:, :-1] >= used[:, 1:]).all()


def test_a_square_covers_pixels_by_hand():
    # half a side is 0.9 radii: here 2 of 8 pixels, from pixel border to pixel border
    expected = np.zeros((8, 8))
    expected[2:6, 2:6] = 1
    np.testing.assert_allclose(covered("square", 2 / 8 / 0.9, 8), expected, atol=1e-12)
    # and here 2.5: half of every pixel around
    ring = np.zeros((8, 8))
    ring[1:7, 1:7] = 0.5
    ring[2:6, 2:6] = 1
    np.testing.assert_allclose(covered("square", 2.5 / 8 / 0.9, 8), ring, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 0.15), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_areas_and_centroids_are_those_of_the_figures(radius, x, y):
    # a triangle whose sides are s from its centre has the area 3 sqrt(3) s^2
    areas = {
        "circle": np.pi * radius**2,
        "square": (2 * 0.9 * radius) ** 2,
        "triangle": 3 * 3**0.5 * (1.45 / 2 * radius) ** 2,
    }
    axis = (np.arange(64) + 0.5) / 64
    for kind, area in areas.items():
        cover = covered(kind, radius, 64, x, y)
        assert cover.sum() / 64**2 == pytest.approx(area, rel=0.02)
        centroid = [cover.sum(0) @ axis, cover.sum(1) @ axis] / cover.sum()
        assert centroid == pytest.approx([x, y], abs=0.005)


def test_triangles_stand_on_a_side():
    rows = covered("triangle", 0.15, 64).sum(axis=1)
    rows = rows[rows > 0]
    assert rows[0] < 2
    assert rows[-2] > 0.95 * rows.max()


def test_the_share_is_kept():
    drawn = draw(2000, 8, 0.25, 7)
    assert drawn.corrupted.mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 2000) ** 0.5)
    assert not draw(50, 8, 0, 7).corrupted.any()
    assert draw(50, 8, 1, 7).corrupted.all()
    assert len(drawn.clean) == 2000 - drawn.corrupted.sum()


@pytest.mark.parametrize("kinds", [[0], [2], [0, 1], [2, 2]])
def test_places_are_those_of_trying_one_after_the_other(kinds):
    rng, plainly = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(20):
        while True:
            radius = plainly.uniform(*RADII, len(kinds))
            reach = radius * [REACH[KINDS[k]] for k in kinds]
            centre = reach[:, None] + plainly.random((len(kinds), 2)) * (1 - 2 * reach[:, None])
            if len(kinds) == 1 or np.linalg.norm(centre[0] - centre[1]) >= reach.sum() + GAP:
                break
        np.testing.assert_allclose(_apart(rng, np.array(kinds)), np.c_[centre, radius], atol=1e-12)
    assert rng.random() == plainly.random()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_no_share_is_refused(share):
    with pytest.raises(ValueError, match="share of corrupted"):
        draw(5, 8, share, 0)


@pytest.mark.parametrize(("n", "resolution"), [(0, 8), (5, 0)])
def test_nothing_to_draw_is_refused(n, resolution):
    with pytest.raises(ValueError, match="must be at least 1"):
        draw(n, resolution, 0, 0)
