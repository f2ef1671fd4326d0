"""Intervals: hand-worked cases, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth.evaluation import intervals
from facesynth.evaluation.intervals import TooFewUnitsError
from facesynth.evaluation.measured import Measured

TRIALS = 400
TIED = [[1, 0.6], [0.6, 1]]


def people(rng, n=20, scans=5):
    """Scans of people: values, which vary more between people than within, and whose they are."""
    own = rng.exponential(1.0, n)
    return (own[:, None] + rng.normal(0, 0.3, (n, scans))).ravel(), np.repeat(np.arange(n), scans)


def median(x):
    return lambda rows: float(np.median(x[rows]))


KINDS = {
    "a mean of skewed values": lambda rng: (intervals.mean(rng.exponential(1.0, 30)), 1.0),
    "a mean of few values": lambda rng: (intervals.mean(rng.normal(0, 1, 6)), 0.0),
    "a mean over people": lambda rng: (intervals.mean(*people(rng)), 1.0),
    "a median over people": lambda rng: (
        intervals.statistic(median(rng.normal(0, 1, 40)), np.arange(40), resamples=100),
        0.0,
    ),
    "a rare share": lambda rng: (intervals.share(rng.random(80) < 0.06), 0.06),
    "a share over people": lambda rng: (
        intervals.share(np.repeat(rng.random(30) < 0.4, 5), np.repeat(np.arange(30), 5)),
        0.4,
    ),
    "an area under a curve": lambda rng: (
        intervals.area(np.arange(60) < 25, rng.normal(size=60) + (np.arange(60) < 25)),
        0.7602,  # of normal scores that differ by one standard deviation
    ),
    "a correlation": lambda rng: (
        intervals.correlation(np.corrcoef(rng.multivariate_normal([0, 0], TIED, 25).T)[0, 1], 25),
        0.6,
    ),
    "three training runs": lambda rng: (intervals.runs(rng.normal(2, 1, 3)), 2.0),
    "a difference of shares": lambda rng: (
        intervals.difference(
            intervals.share(rng.random(60) < 0.3), intervals.share(rng.random(90) < 0.1)
        ),
        0.2,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_truth_as_often_as_they_say(kind):
    rng, held = np.random.default_rng(0), 0
    for _ in range(TRIALS):
        number, truth = KINDS[kind](rng)
        low, high = number.interval
        held += low <= truth <= high
    assert 0.90 <= held / TRIALS <= 0.98


def test_scans_of_one_person_are_not_independent():
    """Twenty people are twenty, however often each is scanned."""
    x, subjects = people(np.random.default_rng(1), scans=50)
    low, high = intervals.mean(x, subjects).interval
    alone = intervals.mean(x).interval
    assert high - low > 4 * (alone[1] - alone[0])
    assert intervals.share(x > 1, subjects).interval[1] - np.mean(x > 1) > 0.1


def test_runs_are_few():
    """By hand: 1, 2, 3 have a standard error of 0.577, and t is 4.303."""
    number = intervals.runs([1.0, 2.0, 3.0])
    assert number.value == 2.0
    np.testing.assert_allclose(number.interval, (2 - 2.484, 2 + 2.484), atol=1e-3)
    with pytest.raises(TooFewUnitsError, match="1 training runs have no interval"):
        intervals.runs([1.0])


def test_a_share_keeps_its_asymmetric_interval():
    """Wilson's, of 0 of 20: from 0 to 16 %."""
    number = intervals.share(np.zeros(20, bool))
    assert number.value == 0
    np.testing.assert_allclose(number.interval, (0, 0.1611), atol=1e-3)
    assert f"{number:.0%}" == "0% (0% to 16%)"
    with pytest.raises(TooFewUnitsError, match="a share of nothing"):
        intervals.share([])


def test_newcombes_difference():
    """His example (1998, method 10): 56 of 70 less 48 of 80 is 0.2, from 0.0524 to 0.3339."""
    a, b = (intervals.share(np.arange(n) < k) for k, n in ((56, 70), (48, 80)))
    number = intervals.difference(a, b)
    np.testing.assert_allclose((number.value, *number.interval), (0.2, 0.0524, 0.3339), atol=1e-4)


def test_a_statistic_of_all_rows_and_of_whole_people():
    seen = []

    def of(rows):
        seen.append(sorted(rows.tolist()))
        return float(len(set(rows)))

    number = intervals.statistic(of, np.array(["b", "a", "b", "a"]), resamples=20)
    assert number.value == 4
    assert seen.pop() == [0, 1, 2, 3]
    assert {tuple(rows) for rows in seen} == {(0, 0, 2, 2), (0, 1, 2, 3), (1, 1, 3, 3)}


def test_a_ratio_is_of_means_and_of_whole_people():
    a, b, people = [1, 3, 5, 7], [2, 2, 2, 2], ["a", "a", "b", "b"]
    assert intervals.ratio(a, b, units=people).value == 2
    assert intervals.ratio(a, b, power=0.5).value == pytest.approx(2**0.5)
    paired = intervals.ratio(a, [2 * x for x in a], units=people)
    assert paired.interval == (0.5, 0.5)  # both values are drawn together


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.integers(0, 5))
def test_an_interval_holds_its_number(values, seed):
    number = intervals.mean(values, seed=seed)
    low, high = number.interval
    assert low <= number.value <= high
    assert intervals.mean(values, seed=seed) == number


def test_one_person_has_no_interval():
    with pytest.raises(TooFewUnitsError, match="two people, runs or samples or more, not 1"):
        intervals.mean([1.0, 2.0], [7, 7])
    with pytest.raises(ValueError, match=r"\(2,\) values of \(3,\) units"):
        intervals.mean([1.0, 2.0], [1, 2, 3])


def test_an_area_by_hand():
    """Of six pairs, four are in order and one is a tie."""
    number = intervals.area([0, 0, 1, 1, 1], [0.1, 0.5, 0.3, 0.5, 0.9])
    assert number.value == 0.75
    with pytest.raises(TooFewUnitsError, match="1 and 2 samples: two of each"):
        intervals.area([0, 1, 1], [0, 1, 2])


def test_a_ratio_of_means_by_hand():
    assert intervals.ratio([2, 4, 6, 8], [1, 2, 3, 4]).interval == pytest.approx((2, 2))
    found = intervals.ratio([9, 27, 9, 27], [1, 3, 3, 1], power=0.5)
    assert found.value == pytest.approx(3)  # the root of 18 / 2
    low, high = found.interval
    assert 1 < low < 3 < high < 6
    assert intervals.ratio([1, 4, 100], [1, 2, 3], units=[0, 1, 2], of=np.median).value == 2


def test_effect_size():
    assert intervals.effect([1.0, 2.0, 3.0]) == 2.0


def test_a_number_is_above_below_or_neither():
    number = Measured.between(1.0, 0.5, 2.0)
    assert [number.is_above(margin) for margin in (0.4, 0.5, 1.9, 2.0)] == [True, None, None, False]
    assert [number.is_below(margin) for margin in (0.5, 0.6, 2.0, 2.1)] == [False, None, None, True]
    exact = Measured(1.0)
    assert (exact.is_above(1.0), exact.is_below(1.0)) == (False, False)
    with pytest.raises(ValueError, match="an interval from 2 to 1"):
        Measured.between(1, 2, 1)


def test_interval_by_hand():
    # z = 1.959964; none of 10: from 0 to z^2 / (10 + z^2)
    assert intervals.count(0, 10).interval == pytest.approx((0, 3.841459 / 13.841459), abs=1e-6)
    # 10 of 20: 1/2 -+ z sqrt(1 / 80 + z^2 / 1600) / (1 + z^2 / 20)
    assert intervals.count(10, 20).interval == pytest.approx((0.299298, 0.700702), abs=1e-6)
    assert intervals.count(np.int64(20), 20).interval[1] == 1


@pytest.mark.parametrize(("k", "n"), [(5, 3), (-1, 3), (0, 0)])
def test_an_impossible_share_has_no_interval(k, n):
    with pytest.raises(ValueError, match=r"\bk\b|\bn\b"):
        intervals.count(k, n)
