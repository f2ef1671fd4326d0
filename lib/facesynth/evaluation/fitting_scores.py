"""Errors of fitted geometries, and canonical correlations of textures and geometries.

The distances of Section 7.2.5, with what the paper leaves out: confidence intervals over subjects,
and canonical correlations (Figure 8) on held-out subjects.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap
from sklearn.cross_decomposition import CCA
from sklearn.model_selection import GroupKFold

from facesynth.geometry_fitting import PairsError
from facesynth.morphable_model import Floats

RESAMPLES = 5000  # of the bootstrap


def vertex_distance(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Mean distance (n,) in mm of the vertices of geometries, rows (n, 3 m) or (n, m, 3)."""
    return _distances(predicted, true).mean(axis=1)


def l2_norm(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """L2 norm (n,) in mm of the difference of geometries, over all vertices (Figure 9)."""
    return np.sqrt(np.square(_distances(predicted, true)).sum(axis=1))


def _distances(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if a.shape != b.shape:
        raise PairsError(f"{a.shape} geometries cannot be compared with {b.shape}")
    return np.linalg.norm((a - b).reshape(len(a), -1, 3), axis=2)


def interval(values: ArrayLike, subjects: ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """Mean of values (n,) and its 95 % confidence interval: (mean, low, high).

    Scans of one subject are not independent: the bootstrap draws subjects (n,), and each counts
    once. Raises `PairsError` for fewer than two subjects.
    """
    names, which = np.unique(np.asarray(subjects), return_inverse=True)
    means = np.bincount(which, np.asarray(values, np.float64)) / np.bincount(which)
    if len(names) < 2:
        raise PairsError("a confidence interval needs two subjects or more")
    rng = np.random.default_rng(seed)
    drawn = bootstrap((means,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng)
    low, high = drawn.confidence_interval
    return float(means.mean()), float(low), float(high)


def canonical_correlations(
    textures: ArrayLike, geometries: ArrayLike, subjects: ArrayLike, pairs: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Canonical correlations (pairs,) of coefficients (n, k_t) and (n, k_g) on held-out subjects.

    Combinations are fitted on four fifths of the subjects and correlated on the others, in turn
    (Hotelling 1936, Figure 8). In-sample, any two sets of numbers correlate, and the more so the
    fewer samples there are.
    """
    T, G = np.asarray(textures, np.float64), np.asarray(geometries, np.float64)
    folds = GroupKFold(5, shuffle=True, random_state=seed)
    found = []
    for train, test in folds.split(T, groups=np.asarray(subjects)):
        cca = CCA(pairs, max_iter=5000).fit(T[train], G[train])
        variates = zip(*(v.T for v in cca.transform(T[test], G[test])), strict=True)
        found.append([np.corrcoef(u, v)[0, 1] for u, v in variates])
    return np.mean(found, axis=0)


def without_labels(coefficients: ArrayLike, labels: NDArray[np.void]) -> Floats:
    """Residuals of coefficients (n, k) after linear regression on a population's labels (n,).

    Age enters with its square, gender and ancestry as groups.
    """
    alpha = np.asarray(coefficients, np.float64)
    columns = [labels["age"].astype(float), labels["age"].astype(float) ** 2]
    for field in ("gender", "ancestry"):
        columns += [labels[field] == value for value in np.unique(labels[field])]
    known = np.stack(columns, axis=1).astype(float)
    return alpha - known @ np.linalg.lstsq(known, alpha, rcond=None)[0]
