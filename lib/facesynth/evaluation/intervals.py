"""Numbers with their 95 % intervals: what is resampled is what a claim is about.

Scans of one person are not independent, nor are images of one trained generator. So people, or
training runs, are drawn, with all that is known of each.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from facesynth.evaluation.measured import TOLERANCE, Measured

LEVEL = 0.95
RESAMPLES = 2000
Units = NDArray[np.generic]


class TooFewUnitsError(ValueError):
    """Fewer than two people, runs or samples: there is no interval."""


def mean(
    values: ArrayLike, units: ArrayLike | None = None, seed: int = 0, tolerance: float = TOLERANCE
) -> Measured:
    """The mean of values (n,), by a bootstrap over their units (n,): people, say.

    Paired differences are values, too. Each value is its own unit where none are given. The
    interval is Student's t stretched by what a bootstrap finds asymmetric (Efron's percentiles,
    widened as Hesterberg 2015 advises for few units). Raises `TooFewUnitsError`.
    """
    x, which, n = _by_unit(values, units)
    sums, counts = (np.bincount(which, w, minlength=n) for w in (x, np.ones_like(x)))
    drawn = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return _widened(float(x.mean()), means, n, tolerance)


def statistic(
    of: Callable[[NDArray[np.intp]], float],
    units: ArrayLike,
    seed: int = 0,
    resamples: int = 200,
    tolerance: float = TOLERANCE,
) -> Measured:
    """Any statistic of samples, by a bootstrap over their units (n,).

    of : takes rows, of which some are drawn more than once and others not, to the statistic.

    Raises `TooFewUnitsError`.
    """
    _, which, n = _by_unit(np.zeros(np.size(units)), units)
    rows = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    rng = np.random.default_rng(seed)
    found = [
        of(np.concatenate([rows[k] for k in rng.integers(n, size=n)])) for _ in range(resamples)
    ]
    return _widened(float(of(np.arange(len(which)))), np.array(found), n, tolerance)


def ratio(
    a: ArrayLike,
    b: ArrayLike,
    seed: int = 0,
    power: float = 1,
    units: ArrayLike | None = None,
    of: Callable[[NDArray[np.float64]], Any] = np.mean,
) -> Measured:
    """The ratio of the means, or medians, of values a and b (n,) of the same samples, to a power.

    Units (n,), by default samples, are drawn with both of their values. Raises `TooFewUnitsError`.
    """
    over, under = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return statistic(
        lambda rows: float(of(over[rows]) / of(under[rows])) ** power,
        np.arange(len(over)) if units is None else units,
        seed,
    )


def of_draws(found: ArrayLike, tolerance: float = TOLERANCE) -> Measured:
    """The mean of a statistic (n,) over draws of all that it depends on, and 95 % of them."""
    x = np.asarray(found, np.float64)
    low, high = np.quantile(x, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(np.mean(x))
    return Measured.between(value, min(low, value), max(high, value), tolerance)


def share(
    which: ArrayLike, units: ArrayLike | None = None, tolerance: float = TOLERANCE
) -> Measured:
    """The share of samples (n,) for which something is true, by Wilson's interval.

    Where samples have units (n,), the interval is that of as many samples as there are units: wide
    enough however alike the samples of a unit are. Raises `TooFewUnitsError`.
    """
    x = np.asarray(which, bool)
    n = len(x) if units is None else _by_unit(x, units)[2]
    if not n:
        raise TooFewUnitsError("a share of nothing")
    return count(float(x.mean()) * n, n, tolerance)


def count(k: float, n: int, tolerance: float = TOLERANCE) -> Measured:
    """The share k / n of which k in n were seen, by Wilson's interval. Raises ValueError."""
    found = stats.binomtest(round(k), n).proportion_ci(LEVEL, method="wilson")
    value = float(k / n)
    return Measured.between(value, min(found.low, value), max(found.high, value), tolerance)


def area(whose: ArrayLike, scored: ArrayLike, seed: int = 0) -> Measured:
    """The area under the ROC curve of scores (n,) of samples of two kinds (n,), 0 and 1.

    Samples of each kind are drawn anew. Raises `TooFewUnitsError` where there are fewer than two.
    """
    kinds, scores = np.asarray(whose), np.asarray(scored, np.float64)
    a, b = scores[kinds == 0], scores[kinds == 1]
    least = min(len(a), len(b))
    if least < 2:
        raise TooFewUnitsError(f"{len(a)} and {len(b)} samples: two of each are the least")
    wins = (b[:, None] > a).astype(np.float32) + (b[:, None] == a) / np.float32(2)
    rng, drawn = np.random.default_rng(seed), np.empty(RESAMPLES)
    for k in range(RESAMPLES):  # how often each is drawn
        of_a, of_b = (rng.multinomial(len(x), np.full(len(x), 1 / len(x))) for x in (a, b))
        drawn[k] = of_b @ wins @ of_a / wins.size
    return _widened(float(wins.mean()), drawn, least, TOLERANCE)


def correlation(r: float, n: int, tolerance: float = TOLERANCE) -> Measured:
    """A correlation of n samples, by Fisher's transformation. Raises `TooFewUnitsError`."""
    if n < 4:
        raise TooFewUnitsError(f"a correlation of {n} samples has no interval: four are the least")
    error = stats.norm.ppf((1 + LEVEL) / 2) / np.sqrt(n - 3)
    low, high = np.tanh(np.arctanh(r) + np.array([-error, error]))
    return Measured.between(float(r), low, high, tolerance)


def runs(values: ArrayLike, tolerance: float = TOLERANCE) -> Measured:
    """The mean of a few training runs' values (n,), or paired differences, by Student's t.

    Raises `TooFewUnitsError` for fewer than two.
    """
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        raise TooFewUnitsError(f"{len(x)} training runs have no interval: two are the least")
    error = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1) * stats.sem(x)
    return Measured.about(float(x.mean()), float(error), tolerance)


def difference(a: Measured, b: Measured) -> Measured:
    """The difference of two independent numbers: Newcombe's (1998), of Wilson's intervals, say."""
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    value = a.value - b.value
    below = np.hypot(a.value - a_low, b_high - b.value)
    above = np.hypot(a_high - a.value, b.value - b_low)
    return Measured.between(value, value - below, value + above, max(a.tolerance, b.tolerance))


def effect(values: ArrayLike) -> float:
    """Cohen's d of paired differences (n,): their mean in their standard deviations."""
    x = np.asarray(values, np.float64)
    return float(x.mean() / x.std(ddof=1))


def _by_unit(
    values: ArrayLike, units: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
    """Values (n,), the number of each one's unit (n,), and how many units there are."""
    x = np.asarray(values, np.float64)
    each = np.arange(len(x)) if units is None else np.asarray(units)
    if each.shape != x.shape:
        raise ValueError(f"{x.shape} values of {each.shape} units")
    names, which = np.unique(each, return_inverse=True)
    if len(names) < 2:
        raise TooFewUnitsError(
            f"an interval needs two people, runs or samples or more, not {len(names)}"
        )
    return x, which, len(names)


def _widened(value: float, drawn: NDArray[np.float64], n: int, tolerance: float) -> Measured:
    """Percentiles of a bootstrap of n units, farther apart as t is than the normal distribution.

    A bootstrap's variance lacks the factor n / (n - 1), too (Hesterberg 2015).
    """
    wide = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.sqrt(n / (n - 1))
    tail = float(stats.norm.cdf(-wide))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Measured.between(value, min(low, value), max(high, value), tolerance)
