"""The 3D morphable model: faces as linear combinations of principal components.

Section 3 of the paper, after Blanz and Vetter (1999). A face is one long row, its geometry
g = (x1, y1, z1, x2, ..., zm) or its texture t = (r1, g1, b1, ...); n of them are an (n, d) array:

    MorphableModel(200).fit(geometry.reshape(n, -1))       # (n, m, 3) -> (n, 3 m)
    model.inverse_transform(coefficients).reshape(-1, m, 3)

With the mean mu, the orthonormal components V and the coefficients alpha,

    g = mu + V alpha,    alpha = V^T (g - mu),                  Eq. 1
    P(alpha) ~ exp(-alpha^T Sigma^-1 alpha / 2),                Eq. 2

where Sigma is diagonal and holds the variances of the coefficients. New faces are drawn from it.
The paper builds one model for geometries and one for textures, and samples them independently.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

Floats = NDArray[np.floating[Any]]

_BLOCK = 2**21  # numbers that are centred in float64 at a time: 16 MB


class ComponentsError(ValueError):
    """The number of components is invalid, or larger than the samples allow."""


class MorphableModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Principal components of faces, and the normal prior on their coefficients.

    The decomposition is exact. It uses the smaller of the two Gram matrices of the centred data:
    (n, n) if there are fewer faces than features, as is the case here, and
    (d, d) otherwise. Products are accumulated in float64, so that float32 data lose no precision.

    Parameters
    ----------
    n_components : int, float or None
        k; or the share of the variance, between 0 and 1, to be explained by as few components as
        possible; or None for all. n samples span at most n - 1 directions about their mean.

    Attributes
    ----------
    mean_ : (d,)
        mu, the mean face.
    components_ : (k, d)
        V^T: orthonormal rows, by decreasing variance, each with its largest entry positive.
    explained_variance_ : (k,)
        sigma^2, the diagonal of Sigma, normalised by n - 1 as Eq. 15 does. (Eq. 7 divides by n.)
    explained_variance_ratio_ : (k,)
        The same as shares of the total variance.
    singular_values_ : (k,)
        Of the centred data: sigma sqrt(n - 1).
    spectrum_ : (r,)
        All non-zero variances, of which `explained_variance_` are the first k.
    n_components_, n_samples_, n_features_in_ : int
        k, n and d.
    """

    def __init__(self, n_components: int | float | None = None):
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn mean, components and variances from n faces (n, d).

        Raises `ComponentsError` if there are fewer samples than `n_components` needs, and
        ValueError for NaN or infinite numbers, fewer than two faces, or faces that are all equal.
        """
        faces: Floats = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        n, d = faces.shape
        check_n_components(self.n_components, n, d)
        mean = faces.mean(axis=0, dtype=np.float64)
        values, vectors = principal_axes(_smaller_product(faces, mean), min(n - 1, d))
        k = choose_n_components(self.n_components, values)

        self.spectrum_ = values / (n - 1)
        self.explained_variance_ = self.spectrum_[:k]
        self.explained_variance_ratio_ = values[:k] / values.sum()
        self.singular_values_ = np.sqrt(values[:k])
        self.n_components_ = self._n_features_out = k
        self.n_samples_ = n
        self.mean_ = mean.astype(faces.dtype)
        if n <= d:  # from the left singular vectors U to the right ones: V^T = S^-1 U^T X
            weights = (vectors[:, :k] / self.singular_values_).T
            self.components_ = combined(weights, faces, mean)
        else:
            self.components_ = vectors[:, :k].T.astype(faces.dtype)
        for component in self.components_:  # eigenvectors come with either sign: fix it
            component *= np.sign(component[np.argmax(np.abs(component))])
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Coefficients alpha (n, k) of faces (n, d): the projection of Eq. 1."""
        check_is_fitted(self)
        faces = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return (faces - self.mean_) @ self.components_.T  # Eq. 1, right

    def inverse_transform(self, X: ArrayLike) -> Floats:
        """Faces (n, d) of coefficients alpha (n, k): the linear combination of Eq. 1."""
        return self.mean_ + self._coefficients(X) @ self.components_  # Eq. 1, left

    def along(self, component: int, steps: ArrayLike) -> Floats:
        """Faces (s, d), (s,) standard deviations from the mean along one component."""
        check_is_fitted(self)
        sigma = np.sqrt(self.explained_variance_[component])
        return self.mean_ + np.outer(np.asarray(steps) * sigma, self.components_[component])

    def unexplained(self, X: ArrayLike) -> Floats:
        """Shares (k,) of the variance of faces (n, d) that the first 1, ..., k components miss."""
        off = np.square(np.asarray(X) - self.mean_).sum(axis=1).mean()
        return 1 - np.cumsum(np.square(self.transform(X)).mean(axis=0)) / off

    def square_errors(self, X: ArrayLike) -> Floats:
        """Mean square errors (n,) of faces (n, d) that are projected onto the model."""
        return np.square(self.inverse_transform(self.transform(X)) - np.asarray(X)).mean(axis=1)

    def mahalanobis(self, X: ArrayLike) -> Floats:
        """Distances (n,) of coefficients (n, k) from the mean face, in standard deviations."""
        return np.linalg.norm(self._coefficients(X) / np.sqrt(self.explained_variance_), axis=1)

    def log_prior(self, X: ArrayLike) -> Floats:
        """Logarithm (n,) of the prior's density at coefficients (n, k): Eq. 2, normalised."""
        volume = np.log(2 * np.pi * self.explained_variance_).sum()
        return -0.5 * (self.mahalanobis(X) ** 2 + volume)  # Eq. 2

    def sample_coefficients(self, n: int, random_state: Any = None) -> Floats:
        """Coefficients alpha (n, k), drawn from the prior of Eq. 2."""
        check_is_fitted(self)
        normal = check_random_state(random_state).standard_normal((n, self.n_components_))
        return (normal * np.sqrt(self.explained_variance_)).astype(self.components_.dtype)

    def sample(self, n: int, random_state: Any = None) -> Floats:
        """New faces (n, d), drawn from the prior (Section 3.2)."""
        return self.inverse_transform(self.sample_coefficients(n, random_state))

    def components_for(self, share: float) -> int:
        """Fewest components k that explain `share`, in (0, 1], of the variance (Section 3.2)."""
        check_is_fitted(self)
        return _components_for(share, self.spectrum_)

    def _coefficients(self, X: ArrayLike) -> Floats:
        check_is_fitted(self)
        coefficients = np.asarray(X)
        if coefficients.ndim != 2 or coefficients.shape[1] != self.n_components_:
            raise ValueError(
                f"coefficients have shape {coefficients.shape}; expected (n, {self.n_components_})"
            )
        return coefficients

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def gram(faces: Floats, mean: Floats) -> Floats:
    """X X^T (n, n) of the centred data X = faces - mean, (n, d), in float64."""
    product = np.zeros((len(faces),) * 2)
    for _, block in _column_blocks(faces, mean):
        product += block @ block.T
    return product


def combined(weights: Floats, faces: Floats, mean: Floats) -> Floats:
    """Linear combinations W X (k, d) of the centred data X (n, d), with weights W (k, n)."""
    result = np.empty((len(weights), faces.shape[1]), faces.dtype)
    for columns, block in _column_blocks(faces, mean):
        result[:, columns] = weights @ block
    return result


def _smaller_product(faces: Floats, mean: Floats) -> Floats:
    """X X^T (n, n) of the centred data X, or X^T X (d, d) if that is smaller, in float64."""
    n, d = faces.shape
    return gram(faces, mean) if n <= d else gram(faces.T, mean[:, None])


def _column_blocks(faces: Floats, mean: Floats) -> Iterator[tuple[slice, Floats]]:
    """The centred data in blocks of columns (n, b), in float64, without a copy of the whole."""
    width, means = max(_BLOCK // len(faces), 1), np.broadcast_to(mean, faces.shape)
    for start in range(0, faces.shape[1], width):
        columns = slice(start, start + width)
        yield columns, faces[:, columns] - means[:, columns]


def principal_axes(product: Floats, most: int) -> tuple[Floats, Floats]:
    """Eigenvalues (r,) of a positive semidefinite matrix, falling, and eigenvectors (n, r).

    At most `most`, and only those that stand out of the rounding: r is the data's rank.
    """
    values, vectors = eigh(product, overwrite_a=True, check_finite=False)
    values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    rounding = 10 * len(vectors) * np.finfo(np.float64).eps * max(values[0], 0)
    rank = int(np.sum(values > rounding))
    if rank == 0:
        raise ValueError("all samples are the same: there is no variance to decompose")
    return values[:rank], vectors[:, :rank]


def check_n_components(n_components: object, n: int, d: int) -> None:
    """Check in advance whether n faces of d features can have k components."""
    share = isinstance(n_components, float | np.floating) and 0 < n_components < 1
    if n_components is None or share:
        return
    if not isinstance(n_components, int | np.integer) or isinstance(n_components, bool):
        raise ComponentsError(
            f"n_components={n_components!r}: must be a positive integer, a share of the variance "
            "between 0 and 1, or None for all components"
        )
    most = min(n - 1, d)
    if not 1 <= n_components <= most:
        raise ComponentsError(
            f"n_components={n_components}: {n} samples of {d} features span at most {most} "
            f"directions about their mean; choose 1 to {most}, or use more samples"
        )


def choose_n_components(n_components: int | float | None, values: Floats) -> int:
    """K for the setting `n_components`, given all r variances."""
    if n_components is None:
        return len(values)
    if isinstance(n_components, float | np.floating):
        return _components_for(float(n_components), values)
    if n_components > len(values):
        raise ComponentsError(
            f"n_components={n_components}: the rank of the samples is only {len(values)}; some "
            "are duplicates or linear combinations of others"
        )
    return int(n_components)


def _components_for(share: float, values: Floats) -> int:
    if not 0 < share <= 1:
        raise ComponentsError(f"share={share!r}: the share of the variance must lie in (0, 1]")
    explained = np.cumsum(values) / values.sum()
    return min(int(np.searchsorted(explained, share)) + 1, len(values))
