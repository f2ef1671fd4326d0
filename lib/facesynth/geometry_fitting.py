"""Fitting geometries to textures: Section 7.2 of the paper.

Four regressors from textures, rows (n, d_t), to geometries, rows (n, d_g): `RandomFit`
(Eq. 7), `NearestNeighbourFit`, `MaximumLikelihoodFit` (Eq. 8 to 16) and `LeastSquaresFit` (Eq. 17
to 22). All but the third work on coefficients of two morphable models, and `on_coefficients` lets
any other regressor do so:

    LeastSquaresFit(200, 200).fit(T, G).predict(T_new)

Equations 14 and 21 are implemented as corrected in the chapter on errata. No d x d matrix is
formed; of textures of 256 x 256 pixels, 2,000 are fitted in less than a minute.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import pairwise_distances_argmin
from sklearn.pipeline import make_pipeline
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from facesynth.morphable_model import (
    Floats,
    MorphableModel,
    check_n_components,
    choose_n_components,
    combined,
    gram,
    principal_axes,
)

Components = int | float | None


class PairsError(ValueError):
    """The numbers of textures and geometries differ."""


class NoNoiseError(ValueError):
    """A feature has zero noise variance, so that its weight would be infinite."""


class _Fit(RegressorMixin, BaseEstimator):
    """Common base: checks that the data are pairs, and keeps the shape of y."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from textures (n, d_t) and their geometries (n, d_g).

        Raises `PairsError` if their numbers differ; `ComponentsError` if there are fewer samples
        than the components require; `NoNoiseError` if a feature has zero noise variance for
        maximum likelihood: `min_noise` is 0, and the feature is constant, or completely explained
        by the components; ValueError for values that are not finite, or samples that are all equal.
        """
        self._learn(*self._pairs(X, y))
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Geometries (n, d_g) of textures (n, d_t)."""
        geometry = self._geometry(self._textures(X))
        return geometry[:, 0] if self._single else geometry

    def _learn(self, T: Floats, G: Floats) -> None:
        """Learn from checked textures (n, d_t) and geometries (n, d_g)."""
        raise NotImplementedError

    def _geometry(self, T: Floats) -> Floats:
        """Geometries (n, d_g) of checked textures (n, d_t)."""
        raise NotImplementedError

    def _pairs(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Checked textures (n, d_t) and geometries (n, d_g), floating."""
        try:
            checks = dict(multi_output=True, y_numeric=True, ensure_min_samples=2)
            textures, y = validate_data(self, X, y, dtype=[np.float64, np.float32], **checks)
        except ValueError as error:
            if "inconsistent numbers" not in str(error):
                raise
            raise PairsError(f"{error}: row i of both must come from the same scan") from error
        geometry = np.asarray(y)
        if geometry.dtype not in (np.float64, np.float32):
            geometry = geometry.astype(np.float64)
        self._single = geometry.ndim == 1
        return textures, geometry.reshape(len(geometry), -1)

    def _textures(self, X: ArrayLike) -> Floats:
        """Checked textures (n, d_t) to predict from."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _CoefficientFit(_Fit):
    """A regression between the coefficients of two morphable models; see `LeastSquaresFit`."""

    def __init__(
        self, texture_components: Components = None, geometry_components: Components = None
    ):
        self.texture_components = texture_components
        self.geometry_components = geometry_components

    def _learn(self, T: Floats, G: Floats) -> None:
        self.texture_model_ = MorphableModel(self.texture_components).fit(T)
        self.geometry_model_ = MorphableModel(self.geometry_components).fit(G)
        self._relate(self.texture_model_.transform(T), self.geometry_model_.transform(G))

    def _geometry(self, T: Floats) -> Floats:
        alpha_t = self.texture_model_.transform(T)  # Eq. 20
        return self.geometry_model_.inverse_transform(self._coefficients(alpha_t))  # Eq. 22

    def _relate(self, alpha_t: Floats, alpha_g: Floats) -> None:
        """Learn from coefficients (n, k_t) and (n, k_g)."""

    def _coefficients(self, alpha_t: Floats) -> Floats:
        """Coefficients of geometries (n, k_g) that belong to those of textures (n, k_t)."""
        raise NotImplementedError


class RandomFit(_CoefficientFit):
    """A random geometry, independent of the texture: coefficients from the prior (7.2.1, Eq. 7).

    Its variances are divided by n - 1, as in Eq. 15; Eq. 7 divides by n. `random_state` as in
    scikit-learn: with a whole number, each call draws the same. For the other parameters see
    `LeastSquaresFit`.
    """

    def __init__(
        self,
        texture_components: Components = None,
        geometry_components: Components = None,
        random_state: Any = None,
    ):
        super().__init__(texture_components, geometry_components)
        self.random_state = random_state

    def _coefficients(self, alpha_t: Floats) -> Floats:
        rng = check_random_state(self.random_state)
        return self.geometry_model_.sample_coefficients(len(alpha_t), rng)  # Eq. 7

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # a row's draw depends on the rows before it
        tags.regressor_tags.poor_score = True
        return tags


class NearestNeighbourFit(_CoefficientFit):
    """The geometry of the training scan whose texture is nearest (Section 7.2.2).

    Nearest in the L2 norm between texture coefficients, and projected on the geometry components.
    For the parameters see `LeastSquaresFit`.
    """

    def _relate(self, alpha_t: Floats, alpha_g: Floats) -> None:
        self.texture_coefficients_, self.geometry_coefficients_ = alpha_t, alpha_g

    def _coefficients(self, alpha_t: Floats) -> Floats:
        nearest = pairwise_distances_argmin(alpha_t, self.texture_coefficients_)
        return self.geometry_coefficients_[nearest]


class LeastSquaresFit(_CoefficientFit):
    """A linear map from texture to geometry coefficients (Section 7.2.4, Eq. 17 to 22).

    Parameters
    ----------
    texture_components, geometry_components : int, float or None
        k_t and k_g, as in `MorphableModel`: a number, a share of the variance, or None for all.

    Attributes
    ----------
    texture_model_, geometry_model_ : MorphableModel
        mu_t, V_t and mu_g, V_g (Section 3).
    coef_ : (k_t, k_g)
        W*, which takes coefficients in rows: alpha_g = alpha_t W*.
    """

    def _relate(self, alpha_t: Floats, alpha_g: Floats) -> None:
        # Eq. 19. These coefficients are uncorrelated: A_t A_t^T is diagonal.
        gram_t = self.texture_model_.singular_values_**2
        self.coef_ = ((alpha_t / gram_t).T @ alpha_g).astype(alpha_g.dtype)

    def _coefficients(self, alpha_t: Floats) -> Floats:
        return alpha_t @ self.coef_  # Eq. 21 as it must read: alpha_g = W*^T alpha_t


class MaximumLikelihoodFit(_Fit):
    """The most likely coefficients of texture and geometry together (Section 7.2.3, Eq. 8 to 16).

    Parameters
    ----------
    n_components : int, float or None
        k of the mutual basis, as in `MorphableModel`.
    texture_weight : float or None
        Scale factor of the textures before they are concatenated with the geometries: the paper's
        basis depends on the unit of both. None: equal total variances. 1: unscaled.
    min_noise : float
        Lower bound of a feature's noise variance, as a share of the features' mean variance.

    Attributes
    ----------
    mean_t_, mean_g_ : (d_t,), (d_g,)
        mu_Mt and mu_Mg, in the textures' own unit.
    basis_t_, basis_g_ : (k, d_t), (k, d_g)
        U_t^T (of weighted textures) and U_g^T.
    coefficient_variance_ : (k,)
        The diagonal of Sigma_beta.
    noise_variance_ : (d_t,)
        The diagonal of Sigma_t|beta, of weighted textures.
    weight_ : float
        The texture weight.
    """

    def __init__(
        self,
        n_components: Components = None,
        texture_weight: float | None = None,
        min_noise: float = 1e-6,
    ):
        self.n_components = n_components
        self.texture_weight = texture_weight
        self.min_noise = min_noise

    def _learn(self, T: Floats, G: Floats) -> None:
        n = len(T)
        check_n_components(self.n_components, n, T.shape[1] + G.shape[1])
        mean_t, mean_g = (A.mean(axis=0, dtype=np.float64) for A in (T, G))
        gram_t, gram_g = gram(T, mean_t), gram(G, mean_g)
        w = self.texture_weight
        if w is None:
            w = np.sqrt(np.trace(gram_g) / max(np.trace(gram_t), np.finfo(float).tiny))
            w = w if 0 < w < np.inf else 1.0
        values, vectors = principal_axes(gram_g + w**2 * gram_t, n - 1)  # of Delta M^T Delta M
        k = choose_n_components(self.n_components, values)
        weights = (vectors[:, :k] / np.sqrt(values[:k])).T
        U_t = w * combined(weights, T, mean_t).astype(np.float64)  # Eq. 8
        self.basis_t_ = U_t.astype(T.dtype)
        self.basis_g_ = combined(weights, G, mean_g)
        self.mean_t_, self.mean_g_ = mean_t.astype(T.dtype), mean_g.astype(G.dtype)
        self.weight_ = float(w)
        self.coefficient_variance_ = values[:k] / (n - 1)  # Eq. 15: they are uncorrelated
        self.noise_variance_ = self._noise(T, U_t)
        # Eq. 14 as it must read: (U_t^T S^-1 U_t + S_beta^-1)^-1 U_t^T S^-1 (t - mu_Mt)
        U_t /= np.sqrt(self.noise_variance_)
        normal = U_t @ U_t.T + np.diag(1 / self.coefficient_variance_)
        U_t *= w / np.sqrt(self.noise_variance_)  # U_t^T S^-1
        self._to_beta = cho_solve(cho_factor(normal), U_t, overwrite_b=True).astype(T.dtype)

    def coefficients(self, X: ArrayLike) -> Floats:
        """The most likely beta* (n, k) of textures (n, d_t)."""
        return self._beta(self._textures(X))

    def _geometry(self, T: Floats) -> Floats:
        return self._beta(T) @ self.basis_g_ + self.mean_g_  # Eq. 11

    def _beta(self, T: Floats) -> Floats:
        return (T - self.mean_t_) @ self._to_beta.T  # Eq. 14

    def _noise(self, T: Floats, U_t: Floats) -> Floats:
        """Diagonal of Sigma_t|beta (d_t,): what of each feature the components leave (Eq. 16)."""
        total = self.weight_**2 * T.var(axis=0, ddof=1, dtype=np.float64)
        # Left singular vectors are orthogonal: variances of what is kept and what is left add up.
        noise = total - self.coefficient_variance_ @ U_t**2
        if self.min_noise <= 0:
            silent = np.flatnonzero(noise <= 1e-12 * total.mean())
            if len(silent):
                raise NoNoiseError(
                    f"{len(silent)} texture features have zero noise variance; the first, "
                    f"{silent[0]}, is "
                    f"{'constant' if total[silent[0]] == 0 else 'completely explained'}. Remove "
                    "these features, use fewer components, or set min_noise > 0"
                )
        return np.maximum(noise, max(self.min_noise, 0) * total.mean() or np.finfo(float).tiny)


def on_coefficients(
    regressor: Any, texture_components: Components, geometry_components: Components
) -> TransformedTargetRegressor:
    """Let a scikit-learn regressor learn geometry coefficients from texture coefficients.

    `on_coefficients(LinearRegression(), 200, 200)` predicts what `LeastSquaresFit(200, 200)` does.
    """
    return TransformedTargetRegressor(
        make_pipeline(MorphableModel(texture_components), regressor),
        transformer=MorphableModel(geometry_components),
        check_inverse=False,
    )
