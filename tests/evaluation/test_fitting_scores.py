"""Distances, intervals and correlations, on cases whose answer is known."""

import numpy as np
import pytest

from facesynth.evaluation.fitting_scores import (
    canonical_correlations,
    interval,
    l2_norm,
    vertex_distance,
    without_labels,
)
from facesynth.geometry_fitting import PairsError


def test_distances_by_hand() -> None:
    true = np.zeros((1, 6))
    predicted = [[3.0, 4.0, 0.0, 0.0, 0.0, 12.0]]
    np.testing.assert_allclose(vertex_distance(predicted, true), [(5 + 12) / 2])
    np.testing.assert_allclose(l2_norm(predicted, true), [13])
    with pytest.raises(PairsError, match="cannot be compared"):
        l2_norm(predicted, np.zeros((2, 6)))


def test_intervals_count_subjects() -> None:
    mean, low, high = interval([1, 1, 1, 1, 3], [0, 0, 0, 0, 1])
    assert mean == 2  # each subject once
    assert low == 1
    assert high == 3
    with pytest.raises(PairsError, match="two subjects"):
        interval([1, 2], [4, 4])


def test_intervals_cover_what_they_should() -> None:
    """Of many samples of ten subjects, about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        means = rng.standard_normal(30)
        _, low, high = interval(np.repeat(means, 2), np.repeat(np.arange(30), 2), trial)
        held += low < 0 < high
    assert 0.87 < held / 200 < 0.99


def test_correlations_on_unseen_subjects() -> None:
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((300, 2)) * [3, 2]
    T, G = (
        causes @ rng.standard_normal((2, d)) + 0.05 * rng.standard_normal((300, d)) for d in (6, 5)
    )
    subjects = np.arange(300) // 2
    known = canonical_correlations(T, G, subjects, pairs=2)
    assert known.min() > 0.9
    chance = canonical_correlations(rng.permutation(T), G, subjects, pairs=2)
    assert np.abs(chance).max() < 0.3


def test_what_labels_explain_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    labels = np.empty(60, [("gender", "U6"), ("ancestry", "U9"), ("age", "f4")])
    labels["gender"] = rng.choice(["female", "male"], 60)
    labels["ancestry"] = rng.choice(["African", "Asian", "European"], 60)
    labels["age"] = rng.uniform(20, 70, 60)
    explained = np.stack([labels["age"], labels["gender"] == "male"], axis=1).astype(float)
    np.testing.assert_allclose(without_labels(explained, labels), 0, atol=1e-6)
    other = rng.standard_normal((60, 1))
    assert without_labels(other, labels).std() > 0.8
