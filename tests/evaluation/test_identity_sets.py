"""Distances, neighbourhoods and the classifier of Table 3, on descriptors drawn for the test."""

import numpy as np
import pytest

from facesynth.evaluation import intervals
from facesynth.evaluation.identity_sets import Described, classified, distances, neighbourhoods
from facesynth.evaluation.swd import EvaluationError, TooFewImagesError


def people(n, seed, shift=0.0, scans=3):
    """Three scans of each of n people, who differ more than their scans."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), scans)
    middles = rng.standard_normal((n, 6)) + shift
    return Described(middles[who] + 0.05 * rng.standard_normal((len(who), 6)), who)


def test_people_are_drawn_with_all_their_scans():
    some = people(20, 0)
    drawn = some.drawn(60, np.random.default_rng(1))
    rows = [np.flatnonzero((some.descriptors == d).all(axis=1))[0] for d in drawn]
    _, counts = np.unique(some.whose[rows], return_counts=True)
    assert (counts % 3 == 0).all()  # three, or six of one who was drawn twice
    assert len(counts) < 20  # some were not drawn
    assert len(some.drawn(12, np.random.default_rng(1))) == 12
    assert len(some.drawn(100, np.random.default_rng(1))) == 100


def test_one_scan_of_each_person():
    some = people(20, 0)
    found = some.one_each(np.random.default_rng(1))
    assert len(found) == 20
    whose = [some.whose[(some.descriptors == d).all(axis=1)][0] for d in found]
    assert len(set(whose)) == 20
    again = Described(some.descriptors).one_each(np.random.default_rng(1))
    assert len(again) == 60


def test_distances_are_paired_and_larger_for_others():
    some = people(60, 0)
    others = {
        "alike": people(60, 1),
        "moved": people(60, 2, 0.7),
        "moved again": people(60, 2, 0.7),
    }
    found = distances(some, others, 60, draws=6)
    for kind in ("SWD", "energy"):
        assert (found["alike"][kind] < found["moved"][kind]).all()
        np.testing.assert_array_equal(found["moved"][kind], found["moved again"][kind])
        assert len(set(found["moved"][kind])) == 6


def test_neighbourhoods_of_others_and_of_one_face_repeated():
    some = people(60, 0)
    one = Described(np.repeat(some.descriptors[:1], 60, axis=0))
    found = neighbourhoods(some, {"alike": people(60, 1), "one": one}, draws=3)
    assert found["alike"]["coverage"].min() > 0.6
    assert found["one"]["coverage"].max() < 0.3
    assert found["one"]["precision"].min() > 0.9


def test_a_classifier_tells_what_differs():
    some = people(200, 0, scans=1)
    assert 0.35 < classified(some, people(200, 1, scans=1)).mean() < 0.65
    assert classified(some, people(200, 1, 3.0, scans=1)).mean() > 0.95


def test_empty_and_small_sets_are_named():
    some = people(10, 0)
    with pytest.raises(EvaluationError, match="empty set"):
        distances(some, {"none": Described(np.zeros((0, 6)))}, 5)
    with pytest.raises(TooFewImagesError, match="four are the least"):
        classified(people(3, 0), some)
    with pytest.raises(TooFewImagesError, match="more than 5"):
        neighbourhoods(people(5, 0), {"some": some})


def test_paired_intervals_hold_zero_where_nothing_differs():
    """In nine of ten, at least: they are cautious, for the bias of a bootstrap varies, too."""
    held = []
    for trial in range(30):
        rng = np.random.default_rng(trial)
        made = {name: Described(rng.standard_normal((40, 6))) for name in "ab"}
        found = distances(people(40, 1000 + trial), made, 40, draws=20, seed=trial)
        low, high = intervals.of_draws(found["a"]["SWD"] - found["b"]["SWD"]).interval
        held.append(low <= 0 <= high)
    assert sum(held) >= 27
