"""Whether generated samples are as real ones, and all real ones have their like among them.

A distance between two sets, as in Section 10, is one number for two faults: samples that are like
nothing real, and kinds of faces that are never made. Neighbourhoods tell them apart: Kynkaanniemi
et al. (2019), "Improved precision and recall metric", and Naeem et al. (2020), "Reliable fidelity
and diversity metrics". Of two sets of n real samples, all four numbers are near 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array

from facesynth.evaluation.scores import Images, small_rows
from facesynth.evaluation.swd import TooFewImagesError, UnequalSetsError

NEIGHBOURS = 5  # of a sample's own set: the farthest is the radius of its neighbourhood
THUMBNAIL = 8  # pixels along the side of what is compared of images
COMPONENTS = 32  # of these


@dataclass(frozen=True)
class Coverage:
    """Shares of samples, by neighbourhoods around each sample of a set.

    precision  of the generated ones that lie in a real one's neighbourhood
    recall     of the real ones that lie in a generated one's
    density    real neighbourhoods that a generated sample lies in, over `NEIGHBOURS`: can exceed 1
    coverage   of the real ones in whose neighbourhood a generated one lies
    """

    precision: float
    recall: float
    density: float
    coverage: float


def coverage(real: ArrayLike, generated: ArrayLike, k: int = NEIGHBOURS) -> Coverage:
    """Compare points (n, d) and (l, d): descriptors, say, or what `thumbnails` makes of images.

    Precision depends on n, recall on l: compare numbers of sets of one size. Raises
    `TooFewImagesError` for k points or fewer, and ValueError for NaN.
    """
    a, b = _checked(real, generated)
    if min(len(a), len(b)) <= k:
        raise TooFewImagesError(f"{len(a)} and {len(b)} samples; neighbourhoods need more than {k}")
    # the first neighbour of a sample in its own set is itself
    of_real, of_made = (
        NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, -1] for x in (a, b)
    )
    apart = cdist(a, b)  # (n, l)
    in_real = apart < of_real[:, None]
    return Coverage(
        float(in_real.any(axis=0).mean()),
        float((apart < of_made).any(axis=1).mean()),
        float(in_real.sum(axis=0).mean() / k),
        float(in_real.any(axis=1).mean()),
    )


def thumbnails(real: Images, generated: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal components of small copies of images (n, R, R, c) and (l, R, R, c), of the real."""
    a, b = (small_rows(x, THUMBNAIL) for x in (real, generated))
    mean = a.mean(axis=0)
    axes = np.linalg.svd(a - mean, full_matrices=False)[2][:COMPONENTS]
    return (a - mean) @ axes.T, (b - mean) @ axes.T


def energy_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Twice the mean distance between points (n, d) and (l, d), less the means within each set.

    0 in the mean for two sets of one distribution, and more for any others (Szekely and Rizzo 2013,
    "Energy statistics"). Raises `TooFewImagesError` for a set of fewer than two points, and
    ValueError for NaN.
    """
    x, y = _checked(a, b)
    if min(len(x), len(y)) < 2:
        raise TooFewImagesError(f"{len(x)} and {len(y)} samples; each set needs two or more")
    return float(2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean())


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = (check_array(points, dtype=np.float64) for points in (a, b))
    if x.shape[1] != y.shape[1]:
        raise UnequalSetsError(f"points of {x.shape[1]} and of {y.shape[1]} numbers")
    return x, y
