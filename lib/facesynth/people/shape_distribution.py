"""How real face shapes are distributed, and what that leaves for a generator to win.

Section 3.2 draws coefficients from a normal distribution. Where people's are normal, too, no
generator can beat a 3DMM on them; how far they are from normal bounds what it can gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.evaluation.swd import distance

Floats = NDArray[np.float64]

DIRECTIONS = 128  # of each sliced distance
REPEATS = 8  # halves and draws of people
FEWEST, MOST = 3.0, 500.0  # degrees of freedom that are looked at
ROUNDS = 30  # of finding a scale with given degrees of freedom
KINDS = ("people", "Student's t", "normal")  # what is compared with people held out


@dataclass(frozen=True)
class Moments:
    """Of standardised coefficients (n, k); all are 0 for a normal distribution, but Mardia's.

    skewness  (k,)
    kurtosis  (k,) excess
    mardia    the mean fourth power of Mahalanobis distances, and what it is if normal: k (k + 2)
    """

    skewness: Floats
    kurtosis: Floats
    mardia: float
    mardia_if_normal: float


def moments(x: ArrayLike) -> Moments:
    """Moments of coefficients (n, k). Raises ValueError for NaN or infinite numbers."""
    a = _checked(x)
    squares = _squares(a - a.mean(axis=0), np.cov(a.T, bias=True))
    k = a.shape[1]
    return Moments(stats.skew(a), stats.kurtosis(a), float((squares**2).mean()), float(k * (k + 2)))


def degrees_of_freedom(x: ArrayLike) -> float:
    """Of the multivariate t distribution that fits coefficients (n, k) best, by likelihood.

    From `FEWEST` to `MOST`: the more, the closer to normal. Raises ValueError as `moments` does.
    """
    a = _checked(x)
    n, k = a.shape
    a = a - a.mean(axis=0)

    def unlikely(log_nu: float) -> float:
        nu, scale = float(np.exp(log_nu)), _scale(a, float(np.exp(log_nu)))
        tails = np.log1p(_squares(a, scale) / nu).sum() * (nu + k) / 2
        volume = np.linalg.slogdet(scale)[1] / 2 + k / 2 * np.log(nu * np.pi)
        return float(tails + n * (volume + gammaln(nu / 2) - gammaln((nu + k) / 2)))

    bounds = np.log([FEWEST, MOST])
    return float(np.exp(minimize_scalar(unlikely, bounds=bounds, method="bounded").x))


def draw(
    n: int, covariance: Floats, nu: float, rng: np.random.Generator, mean: ArrayLike = 0.0
) -> Floats:
    """Coefficients (n, k) of a multivariate t with this covariance; nu infinite: normal."""
    root = np.linalg.cholesky(covariance)
    normal = rng.standard_normal((n, len(root))) @ root.T
    if np.isfinite(nu):  # by sqrt(nu - 2), not nu: the covariance is as wanted
        normal *= np.sqrt((nu - 2) / rng.chisquare(nu, n))[:, None]
    return np.asarray(normal + np.asarray(mean))


@dataclass(frozen=True)
class HeldOut:
    """Sliced Wasserstein distances of `KINDS` to held-out people, means over halves and draws.

    rows    of each kind
    excess  by how much drawn from a normal distribution is farther than other people are
    chance  (p,) the same of p populations of as many people that are truly normal
    """

    rows: dict[str, float]
    excess: float
    chance: Floats

    @property
    def p(self) -> float:
        """How often chance alone gives as large an excess."""
        return float((1 + np.sum(self.chance >= self.excess)) / (1 + len(self.chance)))


def to_held_out(x: ArrayLike, populations: int = 39, seed: int = 0) -> HeldOut:
    """Compare people's coefficients (n, k) with what is fitted to one half of them.

    The other half is held out. Coefficients count as they move a face: they are not standardised,
    but in units of their overall standard deviation.
    """
    a = _checked(x)
    a = (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0).mean())
    rng = np.random.default_rng(seed)
    rows = [_row(a, KINDS, rng) for _ in range(REPEATS)]
    found = {kind: float(np.mean([row[kind] for row in rows])) for kind in KINDS}
    covariance, chance = np.cov(a.T), np.empty(populations)
    for k in range(populations):
        normal = draw(len(a), covariance, np.inf, rng)
        each = [_row(normal, ("people", "normal"), rng) for _ in range(REPEATS)]
        chance[k] = np.mean([row["normal"] - row["people"] for row in each])
    return HeldOut(found, found["normal"] - found["people"], chance)


def power(covariance: Floats, nu: float, n: int, trials: int, seed: int = 0) -> Measured:
    """How often it is found that the best of all generators beats a 3DMM on geometry.

    covariance  (k, k) of the people's coefficients, whose distribution is a t
    nu          its degrees of freedom
    n           people to learn from, people held out, and generated faces
    trials      that each have other people

    Mean and covariance are learned from the training people. The 3DMM draws from a normal
    distribution; the best generator knows that it is a t, and nothing else is there to know. A
    trial finds the generator nearer to people held out where the 95 % interval of the paired
    difference over `REPEATS` halves and draws is below 0, as in Tables 1 and 2.
    """
    found = []
    for trial in range(trials):
        rng = np.random.default_rng([seed, n, trial])
        people = draw(2 * n, covariance, nu, rng)
        less = []
        for _ in range(REPEATS):
            train, test = np.split(rng.permutation(people), 2)
            learned, centre = np.cov(train.T), train.mean(axis=0)
            best, ours = (draw(n, learned, of, rng, centre) for of in (nu, np.inf))
            paired = int(rng.integers(2**31))
            less.append(_distance(test, best, paired) - _distance(test, ours, paired))
        found.append(intervals.runs(less).is_below(0) is True)
    return intervals.share(found)


def _row(a: Floats, kinds: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    """Distances of some of `KINDS` to one half of people (n, k), fitted to the other half."""
    train, test = rng.permutation(a)[: len(a) // 2 * 2].reshape(2, -1, a.shape[1])
    centre, covariance, paired = train.mean(axis=0), np.cov(train.T), int(rng.integers(2**31))
    found = {}
    for kind in kinds:
        nu = degrees_of_freedom(train) if kind == "Student's t" else np.inf
        of = train if kind == "people" else draw(len(train), covariance, nu, rng, centre)
        found[kind] = _distance(test, of, paired)
    return found


def _distance(a: Floats, b: Floats, seed: int) -> float:
    # in single precision, which is sorted twice as fast
    narrow = a.astype(np.float32), b.astype(np.float32)
    return distance(*narrow, np.random.default_rng(seed), DIRECTIONS)


def _scale(a: Floats, nu: float) -> Floats:
    """The scale matrix (k, k) of a t that fits centred coefficients best (Liu and Rubin 1995)."""
    scale, k = np.cov(a.T, bias=True), a.shape[1]
    for _ in range(ROUNDS):
        weights = (nu + k) / (nu + _squares(a, scale))
        scale = (a * weights[:, None]).T @ a / len(a)
    return scale


def _squares(a: Floats, scale: Floats) -> Floats:
    """Squared Mahalanobis distances (n,) of centred coefficients."""
    return np.asarray(np.einsum("ij,ij->i", a, np.linalg.solve(scale, a.T).T))


def _checked(x: ArrayLike) -> Floats:
    a = np.asarray(x, np.float64)
    if a.ndim != 2 or len(a) <= a.shape[1] or not np.isfinite(a).all():
        raise ValueError(
            f"expected finite coefficients (n, k) of more than k people, not {a.shape}"
        )
    return a
