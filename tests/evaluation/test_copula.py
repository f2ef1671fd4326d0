"""A copula: the marginals and the correlations of what it has learned from, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from facesynth.evaluation.copula import Copula


@pytest.fixture
def samples():
    """Two groups in the first number, a heavy tail in the second that goes with it, and noise."""
    rng = np.random.default_rng(0)
    first = np.where(rng.random(2000) < 0.3, -2, 2) + 0.3 * rng.standard_normal(2000)
    second = np.exp(0.8 * (first > 0) + 0.3 * rng.standard_normal(2000))
    return np.stack([first, second, rng.standard_normal(2000)], axis=1)


def test_marginals_are_the_samples_own(samples):
    drawn = Copula().fit(samples).sample(4000, 1)
    for own, made in zip(samples.T, drawn.T, strict=True):
        assert stats.ks_2samp(own, made).statistic < 0.05
    assert (np.abs(drawn[:, 0]) < 0.5).mean() < 0.02  # two groups, which a normal would join


def test_ranks_go_together_as_the_samples_do(samples):
    drawn = Copula().fit(samples).sample(4000, 1)
    own, made = (stats.spearmanr(x).statistic for x in (samples, drawn))
    assert np.abs(own - made).max() < 0.08
    assert own[0, 1] > 0.5


def test_of_normal_samples_it_is_a_normal_distribution():
    covariance = np.array([[2.0, 0.8], [0.8, 1.0]])
    x = np.random.default_rng(0).multivariate_normal([1, 2], covariance, 5000)
    drawn = Copula().fit(x).sample(5000, 1)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.12)
    assert drawn.mean(axis=0) == pytest.approx([1, 2], abs=0.06)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(1, 20), st.integers(0, 9))
def test_more_numbers_than_samples_repeat_and_stay_in_range(n, k, seed):
    x = np.random.default_rng(seed).standard_normal((n, k))
    x[:, 0] = 3.0  # a constant
    copula = Copula().fit(x)
    drawn = copula.sample(7, seed)
    assert drawn.shape == (7, k)
    assert (drawn >= x.min(axis=0)).all()
    assert (drawn <= x.max(axis=0)).all()
    np.testing.assert_array_equal(drawn, copula.sample(7, seed))


def test_bad_samples_are_named():
    with pytest.raises(ValueError, match="NaN"):
        Copula().fit([[0.0, np.nan], [1.0, 2.0]])
    with pytest.raises(ValueError, match="minimum of 2"):
        Copula().fit([[0.0, 1.0]])
