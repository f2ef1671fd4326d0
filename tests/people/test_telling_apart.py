"""A classifier that finds what differs, and nothing where nothing does."""

import os

import numpy as np
import pytest

from facesynth.people import real_data, realism
from facesynth.people.telling_apart import in_one_shape, told_apart


def test_what_differs_is_told_apart_and_nothing_else():
    if "CI" not in os.environ and real_data.FOLDER not in os.environ:
        pytest.skip(f"needs the photographs of the London set; set {real_data.FOLDER}")
    people = real_data.london()[::2]
    crops = np.stack([realism.photographed(person) for person in people])
    order = np.random.default_rng(0).permutation(len(crops))
    one, other = crops[order[:25]], crops[order[25:50]]
    assert 0.2 < told_apart(one, other) < 0.8
    tinted = (other * [1.0, 0.9, 0.8]).astype(np.uint8)  # a cast of colour
    assert told_apart(one, tinted) > 0.9
    images = in_one_shape({"one": one[:4], "other": other[:4]})
    assert images["one"].shape == (4, 64, 64, 3)
    corner, middle = images["one"][:, 0, 0], images["one"][:, 24:40, 24:40].mean(axis=(1, 2))
    assert np.abs(corner - middle).max() < 90  # filled with skin: no hair, no wall
