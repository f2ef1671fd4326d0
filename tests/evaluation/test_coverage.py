"""Precision, recall, density, coverage, and the energy distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import energy_distance as of_line

from facesynth.evaluation.coverage import Coverage, coverage, energy_distance, thumbnails
from facesynth.evaluation.swd import TooFewImagesError, UnequalSetsError


def people(seed, n=400, d=4):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_by_hand():
    """Points on a line, with one neighbour each: radii are 1, 1, 8, and 0.5 and 0.5."""
    real, made = np.array([[0.0], [1], [9]]), np.array([[0.2], [0.7]])
    # 0.2 and 0.7 lie within 1 of 0 and of 1; 9 reaches down to 1
    expected = Coverage(precision=1.0, recall=2 / 3, density=2.0, coverage=2 / 3)
    assert coverage(real, made, k=1) == expected


def test_two_sets_of_one_distribution_cover_each_other():
    found = coverage(people(0), people(1))
    assert min(found.precision, found.recall, found.coverage) > 0.9
    assert 0.9 < found.density < 1.1


def test_samples_near_the_mean_are_precise_and_cover_little():
    found = coverage(people(0), 0.2 * people(1))
    assert found.precision > 0.95
    assert found.recall < 0.3
    assert found.coverage < 0.3


def test_samples_far_out_recall_and_are_not_precise():
    found = coverage(people(0), 3 * people(1))
    assert found.precision < 0.5
    assert found.recall > 0.95


def test_a_kind_that_is_never_made():
    real = people(0) + 20 * (np.arange(400) % 4 == 0)[:, None]
    found = coverage(real, people(1))
    assert found.precision > 0.9
    assert 0.6 < found.recall < 0.76
    assert 0.6 < found.coverage < 0.76


@given(st.integers(0, 2**31), st.floats(-3, 3), st.floats(0.3, 3))
def test_turned_moved_and_scaled_together_nothing_changes(seed, shift, scale):
    a, b = people(seed, 30, 2), people(seed + 1, 25, 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = coverage(scale * a @ turn + shift, scale * b @ turn + shift)
    assert vars(moved) == pytest.approx(vars(coverage(a, b)), abs=0.05)


def test_impossible_sets():
    with pytest.raises(TooFewImagesError, match="5 and 9 samples; neighbourhoods need more than 5"):
        coverage(people(0, 5), people(1, 9))
    with pytest.raises(UnequalSetsError, match="points of 4 and of 3 numbers"):
        coverage(people(0), people(0, d=3))
    with pytest.raises(ValueError, match="NaN"):
        coverage(np.full((9, 2), np.nan), people(0, 9, 2))
    with pytest.raises(TooFewImagesError, match="1 and 9 samples; each set needs two"):
        energy_distance(people(0, 1), people(0, 9))


def test_thumbnails_keep_what_is_coarse():
    rng = np.random.default_rng(0)
    coarse = rng.random((50, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    checks = 0.5 * (-1.0) ** np.add.outer(np.arange(32), np.arange(32))[..., None]
    a, b = thumbnails(coarse, coarse + checks)
    np.testing.assert_allclose(a, b, atol=1e-9)
    assert a.shape == (50, 32)


@given(st.integers(0, 2**31))
def test_energy_distance_on_a_line(seed):
    """SciPy has its square root, of means that count each point's distance to itself."""
    a, b = people(seed, 40, 1), 1.5 * people(seed + 1, 30, 1)
    n, m = len(a), len(b)
    within = [np.abs(x - x.T).sum() / k**2 for x, k in ((a, n), (b, m))]
    expected = of_line(a[:, 0], b[:, 0]) ** 2
    expected += within[0] * (1 - n / (n - 1)) + within[1] * (1 - m / (m - 1))
    assert energy_distance(a, b) == pytest.approx(expected, abs=1e-9)


def test_energy_distance_has_power_and_no_bias():
    same = [energy_distance(people(k, 60), people(k + 100, 60)) for k in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(40)
    assert energy_distance(people(0, 60), people(1, 60) + 1) > max(same)
