"""The quantities by which Section 10's claims are decided, with their intervals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured

Floats = NDArray[np.floating]
Draws = Mapping[str, NDArray[np.float64]]  # of a row of a table, by level


def farther(near: Floats, same: Floats, seed: int = 0) -> Measured:
    """By how much the median distance to the nearest scan exceeds that of two scans of one person.

    near (n,), same (m,) distances of descriptors; faces are drawn anew.
    """
    middle = np.median(same)
    return intervals.statistic(
        lambda rows: float(np.median(near[rows]) - middle), np.arange(len(near)), seed
    )


def gap(near: Floats, seed: int = 0) -> Measured:
    """The largest difference of the distribution of distances (n,) from a Gaussian's."""

    def kolmogorov(rows: NDArray[np.intp]) -> float:
        some = near[rows]
        return float(stats.kstest(some, stats.norm(*stats.norm.fit(some)).cdf).statistic)

    return intervals.statistic(kolmogorov, np.arange(len(near)), seed)


def taken_more(
    near: Floats, held_out: Floats, subjects: NDArray[np.integer], threshold: float
) -> Measured:
    """By how much more often faces (n,) than held-out scans (m,) are taken for somebody known.

    A distance to the nearest training scan of at most the threshold says so.
    """
    return intervals.difference(
        intervals.share(near <= threshold, tolerance=0.2),
        intervals.share(held_out <= threshold, subjects),
    )


def relative(row: Draws, base: Draws) -> dict[int, Measured]:
    """The relative difference of a row of Table 1 or 2 from another, by level; of paired draws."""
    return {
        int(level): intervals.runs(x / base[level] - 1, 0.1)
        for level, x in row.items()
        if level != "mean"
    }


def worst(by_level: Mapping[int, Measured]) -> Measured:
    """Of what `relative` found, the level where the row does worst."""
    return max(by_level.values(), key=lambda number: number.interval[1])


def better_than_guessing(
    said: NDArray[np.str_], truth: NDArray[np.str_], subjects: NDArray[np.integer], seed: int = 0
) -> Measured:
    """By how much more often labels (n,) are right than always the most frequent one, by person."""
    names, counts = np.unique(truth, return_counts=True)
    by_guess = truth == names[counts.argmax()]
    right = (said == truth).astype(float)
    return intervals.mean(right - by_guess, subjects, seed, tolerance=0.2)


def of_others(subjects: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.intp]:
    """For each scan (n,) the last scan of somebody else: subjects change places at random."""
    names, which = np.unique(subjects, return_inverse=True)
    last = len(subjects) - 1 - np.unique(subjects[::-1], return_index=True)[1]
    return last[np.searchsorted(names, rng.permutation(names))][which]
