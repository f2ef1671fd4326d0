"""Errors of fitted geometries, and canonical correlations of textures and geometries.

The distances of Section 7.2.5, with what the paper leaves out: intervals of paired differences
between methods, canonical correlations (Figure 8) on held-out subjects, and how far a prediction
tells its own subject from others.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.cross_decomposition import CCA
from sklearn.model_selection import GroupKFold

from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.geometry_fitting import PairsError
from facesynth.morphable_model import Floats


def distances(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Distance (n, m) in mm of every vertex of geometries, rows (n, 3 m), or points (n, m, d).

    Raises `PairsError` if the shapes differ.
    """
    a, b = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if a.shape != b.shape:
        raise PairsError(f"{a.shape} geometries cannot be compared with {b.shape}")
    return np.linalg.norm((a - b).reshape(len(a), -1, a.shape[2] if a.ndim == 3 else 3), axis=2)


def vertex_distance(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Mean distance (n,) in mm of the vertices of geometries: see `distances`."""
    return distances(predicted, true).mean(axis=1)


def l2_norm(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """L2 norm (n,) in mm of the difference of geometries, over all vertices (Figure 9)."""
    return np.sqrt(np.square(distances(predicted, true)).sum(axis=1))


class Compared(NamedTuple):
    """A method's error."""

    mean: Measured  # mm
    more: Measured  # than the reference's, in mm, paired by scan


def compare(
    errors: Mapping[str, ArrayLike], subjects: ArrayLike, reference: str, seed: int = 0
) -> dict[str, Compared]:
    """Compare the errors (n,) of methods on the same scans, by name; the smallest comes first.

    subjects   (n,), whose scans they are: they are what is drawn for the 95 % intervals
    reference  the method that the others' errors are compared with
    """
    base = np.asarray(errors[reference])
    found = {
        name: Compared(
            intervals.mean(each, subjects, seed),
            intervals.mean(np.asarray(each) - base, subjects, seed),
        )
        for name, each in errors.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1].mean.value))


def retrieval(
    predicted: ArrayLike, true: ArrayLike, subjects: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How often a prediction (n, d) is nearer to its own geometry than to another subject's (n,).

    The share of the other subjects' true geometries (n, d) that lie farther away: 0.5 by chance.
    """
    apart = cdist(np.asarray(predicted, np.float64), np.asarray(true, np.float64))
    others = subjects[:, None] != subjects
    farther = apart > np.diag(apart)[:, None]
    return (farther & others).sum(axis=1) / others.sum(axis=1)


def canonical_correlations(
    textures: ArrayLike,
    geometries: ArrayLike,
    subjects: ArrayLike | None = None,
    pairs: int = 5,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Canonical correlations (pairs,) of coefficients (n, k_t) and (n, k_g) on held-out subjects.

    Combinations are fitted on four fifths of the subjects and correlated on the others, in turn
    (Hotelling 1936, Figure 8). Without subjects they are fitted and correlated on all samples: then
    any two sets of numbers correlate, and the more so the fewer samples there are.
    """
    T, G = np.asarray(textures, np.float64), np.asarray(geometries, np.float64)
    folds = [(slice(None), slice(None))]
    if subjects is not None:
        shuffled = GroupKFold(5, shuffle=True, random_state=seed)
        folds = list(shuffled.split(T, groups=np.asarray(subjects)))
    found = []
    for train, test in folds:
        cca = CCA(pairs, max_iter=5000).fit(T[train], G[train])
        variates = zip(*(v.T for v in cca.transform(T[test], G[test])), strict=True)
        found.append([np.corrcoef(u, v)[0, 1] for u, v in variates])
    return np.mean(found, axis=0)


def label_columns(
    labels: NDArray[np.void], expressions: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:
    """What a population's labels (n,) say, as columns for a linear regression (n, d).

    Age enters with its square; gender, ancestry and expressions (n,), if given, as groups.
    """
    age = labels["age"].astype(np.float64)
    columns: list[NDArray[Any]] = [age, age**2]
    groups: list[NDArray[Any]] = [labels[field] for field in ("gender", "ancestry")]
    for group in groups if expressions is None else [*groups, expressions]:
        columns += [group == value for value in np.unique(group)]
    return np.stack(columns, axis=1).astype(np.float64)


def without_labels(coefficients: ArrayLike, labels: NDArray[np.void]) -> Floats:
    """Residuals of coefficients (n, k) after linear regression on a population's labels (n,)."""
    alpha, known = np.asarray(coefficients, np.float64), label_columns(labels)
    return alpha - known @ np.linalg.lstsq(known, alpha, rcond=None)[0]
