"""Coefficients drawn as they are distributed: a Gaussian copula with empirical marginals.

The prior of Eq. 2 is normal and independent, and texture and geometry are drawn apart. Neither has
to be: a copula keeps each coefficient's own distribution, and how all of them, of texture and of
geometry, go together (Egger et al. 2016, "Copula eigenfaces"; Gallucci et al. 2023). It is the
morphable model that a generator has to beat.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data


class Copula(BaseEstimator):
    """The joint distribution of k numbers, each with its own marginal.

    sorted_  (n, k) the training samples, column by column in rising order
    normal_  (n, k) their normal scores, of mean 0 and variance 1, sample by sample
    """

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from n samples (n, k). Raises ValueError for NaN, or fewer than two samples."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        normal = stats.norm.ppf(stats.rankdata(x, axis=0) / (len(x) + 1))
        spread = normal.std(axis=0)
        self.normal_ = normal / np.where(spread > 0, spread, 1)  # a constant stays 0
        self.sorted_ = np.sort(x, axis=0)
        return self

    def sample(self, n: int, random_state: Any = None) -> NDArray[np.float64]:
        """Draw n samples (n, k), each number within the range of the training samples'."""
        check_is_fitted(self)
        rows = len(self.normal_)
        drawn = check_random_state(random_state).standard_normal((n, rows))
        # Mixtures of the scores have their correlations, without a matrix that may be singular.
        share = stats.norm.cdf(drawn @ self.normal_ / np.sqrt(rows))
        at = share * (rows + 1) - 1  # the rank of each, from 0
        ranks = np.arange(rows)
        columns = [np.interp(a, ranks, s) for a, s in zip(at.T, self.sorted_.T, strict=True)]
        return np.stack(columns, axis=1)
