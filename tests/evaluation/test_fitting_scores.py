"""Distances, intervals and correlations, on cases whose answer is known."""

import numpy as np
import pytest

from facesynth.evaluation.fitting_scores import (
    canonical_correlations,
    compare,
    distances,
    l2_norm,
    retrieval,
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


def test_distances_of_points_in_the_plane() -> None:
    found = distances([[[3.0, 4.0], [0.0, 1.0]]], np.zeros((1, 2, 2)))
    np.testing.assert_allclose(found, [[5, 1]])


def test_methods_are_compared_scan_by_scan() -> None:
    """Errors that differ by half a mm on every scan: the difference is certain, the means not."""
    ours = np.array([1.0, 2.0, 4.0, 5.0])
    found = compare({"theirs": ours + 0.5, "ours": ours}, [0, 0, 1, 1], "ours")
    assert list(found) == ["ours", "theirs"]
    assert found["theirs"].mean.value == 3.5
    np.testing.assert_allclose(found["theirs"].more.interval, 0.5)
    assert found["ours"].more.value == 0
    low, high = found["ours"].mean.interval
    assert low < 1.6  # by subject 1.5 and 4.5
    assert high > 4.4


def test_a_prediction_is_nearest_to_its_own_subject() -> None:
    """By hand, on a line: the second subject's prediction lies nearer to one of three others."""
    true = np.array([[0.0], [0.5], [4.0], [9.0]])
    subjects = np.array([0, 0, 1, 2])
    found = retrieval([[0.1], [0.4], [7.0], [9.5]], true, subjects)
    np.testing.assert_allclose(found, [1, 1, 2 / 3, 1])
    rng = np.random.default_rng(0)
    by_chance = retrieval(rng.normal(size=(200, 3)), rng.normal(size=(200, 3)), np.arange(200))
    assert abs(by_chance.mean() - 0.5) < 0.05


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
    few = slice(0, 12)  # 11 numbers for each of 12 samples always correlate on these
    assert canonical_correlations(rng.permutation(T)[few], G[few], pairs=1) > 0.9


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
