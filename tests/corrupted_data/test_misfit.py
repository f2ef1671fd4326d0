import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth.corrupted_data.shapes import misfit


def one_hole(side=9, place=(4, 4)):
    masks = np.ones((1, side, side), bool)
    masks[0][place] = False
    return masks


def holes(masks):
    return {tuple(map(int, place)) for place in np.argwhere(~masks[0])}


def test_a_hole_grows_to_a_disc():
    assert holes(misfit(one_hole(), grow=1)) == {(4, 4), (3, 4), (5, 4), (4, 3), (4, 5)}
    assert len(holes(misfit(one_hole(), grow=2))) == 13  # pixels with x² + y² <= 4


def test_what_grew_shrinks_back():
    for grow in (1, 2, 3):
        np.testing.assert_array_equal(misfit(misfit(one_hole(), grow=grow), grow=-grow), one_hole())
    assert misfit(one_hole(), grow=-1).all()


def test_a_hole_moves_to_the_right_and_out():
    assert holes(misfit(one_hole(), shift=3)) == {(4, 7)}
    assert misfit(one_hole(place=(4, 7)), shift=2).all()


def test_masks_do_not_touch_each_other():
    masks = np.concatenate([one_hole(), np.ones((1, 9, 9), bool)])
    assert misfit(masks, grow=3)[1].all()


@given(st.integers(0, 2**32 - 1), st.integers(-3, 3))
def test_larger_holes_hold_the_smaller(seed, grow):
    masks = np.random.default_rng(seed).random((2, 8, 8)) < 0.9
    assert not (misfit(masks, grow=grow + 1) & ~misfit(masks, grow=grow)).any()
    np.testing.assert_array_equal(misfit(masks), masks)


def test_a_mask_that_was_spoilt_is_still_one():
    assert misfit(one_hole(), grow=1, shift=1).dtype == bool
    with pytest.raises(RuntimeError):
        misfit(one_hole()[0])
