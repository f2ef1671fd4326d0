"""Eq. 7 to 22 against brute force, against each other, on bad input, and as estimators."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from facesynth.geometry_fitting import (
    LeastSquaresFit,
    MaximumLikelihoodFit,
    NearestNeighbourFit,
    NoNoiseError,
    PairsError,
    RandomFit,
    on_coefficients,
)
from facesynth.morphable_model import ComponentsError, MorphableModel

METHODS = {
    "random": RandomFit(random_state=0),
    "nearest": NearestNeighbourFit(),
    "likelihood": MaximumLikelihoodFit(),
    "least squares": LeastSquaresFit(),
}


def pairs(n: int = 40, d_t: int = 12, d_g: int = 9, noise: float = 0.3, seed: int = 0) -> Any:
    """Textures (n, d_t) and geometries (n, d_g) of common causes, with noise."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((n, 4)) * [3, 2, 1, 0.5]
    T = causes @ rng.standard_normal((4, d_t)) + noise * rng.standard_normal((n, d_t)) + 5
    G = causes @ rng.standard_normal((4, d_g)) + noise * rng.standard_normal((n, d_g)) - 7
    return T, G


@parametrize_with_checks(list(METHODS.values()))
def test_are_scikit_learn_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


# Least squares


def test_least_squares_by_hand() -> None:
    # One number each, mean 2 and 10, geometry 3 times the texture: W* = 3.
    fit = LeastSquaresFit().fit([[1.0], [2.0], [3.0]], [[7.0], [10.0], [13.0]])
    np.testing.assert_allclose(np.abs(fit.coef_), [[3]])
    np.testing.assert_allclose(fit.predict([[5.0]]), [[19]])


@pytest.mark.parametrize(("n", "d_t", "k"), [(40, 12, 5), (40, 200, 30), (100, 12, None)])
def test_least_squares_are_those_of_numpy(n: int, d_t: int, k: int | None) -> None:
    T, G = pairs(n, d_t)
    fit = LeastSquaresFit(k, 4).fit(T, G)
    A_t, A_g = fit.texture_model_.transform(T), fit.geometry_model_.transform(G)
    W = np.linalg.lstsq(A_t, A_g, rcond=None)[0]
    np.testing.assert_allclose(fit.coef_, W, atol=1e-8, rtol=0)
    loss = np.linalg.norm(A_t @ fit.coef_ - A_g)  # Eq. 18
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = fit.coef_ + 1e-3 * rng.standard_normal(fit.coef_.shape)
        assert np.linalg.norm(A_t @ other - A_g) > loss


@settings(max_examples=30)
@given(st.integers(12, 40), st.integers(0, 1000))
def test_a_linear_relation_without_noise_is_recovered(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    T = rng.standard_normal((n, 8)) @ rng.standard_normal((8, 30)) + 3
    relation = rng.standard_normal((30, 6))
    new = rng.standard_normal((5, 8)) @ np.linalg.svd(T - T.mean(0))[2][:8] + T.mean(0)
    for method in (LeastSquaresFit(), on_coefficients(LinearRegression(), None, None)):
        found = method.fit(T, T @ relation + 1).predict(new)
        np.testing.assert_allclose(found, new @ relation + 1, atol=1e-6, rtol=1e-6)


def test_other_regressors_work_on_the_same_coefficients() -> None:
    T, G = pairs(60, 100)
    same = on_coefficients(LinearRegression(), 6, 5).fit(T, G).predict(T)
    np.testing.assert_allclose(same, LeastSquaresFit(6, 5).fit(T, G).predict(T), atol=1e-8)
    assert on_coefficients(PLSRegression(3), 6, 5).fit(T, G).predict(T).shape == G.shape


# Maximum likelihood


def _posterior(fit: MaximumLikelihoodFit, t: np.ndarray, beta: np.ndarray) -> float:
    """log P(t | beta) P(beta), Eq. 13, by scipy's densities."""
    weighted = fit.weight_ * (t - fit.mean_t_)
    likelihood = multivariate_normal(beta @ fit.basis_t_, np.diag(fit.noise_variance_))
    prior = multivariate_normal(np.zeros(len(beta)), np.diag(fit.coefficient_variance_))
    return float(likelihood.logpdf(weighted) + prior.logpdf(beta))


@pytest.mark.parametrize("weight", [None, 1.0, 0.2])
def test_likelihood_has_its_maximum_where_the_equation_says(weight: float | None) -> None:
    T, G = pairs(30, 8, 6)
    fit = MaximumLikelihoodFit(3, weight).fit(T[:25], G[:25])
    for t, found in zip(T[25:], fit.coefficients(T[25:]), strict=True):
        start = np.zeros(3)
        best = minimize(lambda b: -_posterior(fit, t, b), start, method="BFGS", tol=1e-12)  # noqa: B023
        best = minimize(lambda b: -_posterior(fit, t, b), best.x, method="Powell", tol=1e-14)  # noqa: B023
        np.testing.assert_allclose(found, best.x, atol=1e-6)
        assert _posterior(fit, t, found) >= _posterior(fit, t, best.x) - 1e-12


def test_likelihood_is_the_conditional_mean_of_a_normal_distribution() -> None:
    """With all components and hardly any noise: E[g | t] = mu_g + C_gt C_tt^-1 (t - mu_t)."""
    T, G = pairs(200, 7, 5, noise=1.0)
    C = np.cov(np.hstack([T, G]).T)
    expected = G.mean(0) + (T - T.mean(0)) @ np.linalg.solve(C[:7, :7], C[:7, 7:])
    away = [
        np.abs(MaximumLikelihoodFit(min_noise=noise).fit(T, G).predict(T) - expected).max()
        for noise in (1e-4, 1e-6, 1e-8, 1e-10)
    ]
    assert away[0] > 90 * away[1] > 4000 * away[2]  # in proportion to the noise
    assert away[3] < 1e-5
    # ... which is what least squares find with all components.
    np.testing.assert_allclose(LeastSquaresFit().fit(T, G).predict(T), expected, atol=1e-8)


def test_likelihood_with_fewer_components_is_the_model_s_conditional_mean() -> None:
    """The other side of Woodbury's identity: C_gt (C_tt + S)^-1, of the normal model's own C."""
    T, G = pairs(50, 9, 6)
    fit = MaximumLikelihoodFit(3, 1.0).fit(T, G)
    U_t, U_g, S = fit.basis_t_.T, fit.basis_g_.T, np.diag(fit.coefficient_variance_)
    C_tt = U_t @ S @ U_t.T + np.diag(fit.noise_variance_)
    expected = fit.mean_g_ + (T - fit.mean_t_) @ np.linalg.solve(C_tt, U_t @ S @ U_g.T)
    np.testing.assert_allclose(fit.predict(T), expected, atol=1e-9)


def test_noise_is_what_components_leave() -> None:
    T, G = pairs(30, 8, 6)
    fit = MaximumLikelihoodFit(3, 1.0).fit(T, G)
    M = np.hstack([fit.basis_t_, fit.basis_g_])
    np.testing.assert_allclose(M @ M.T, np.eye(3), atol=1e-10)
    beta = np.hstack([T - T.mean(0), G - G.mean(0)]) @ M.T
    np.testing.assert_allclose(np.diag(np.cov(beta.T)), fit.coefficient_variance_)
    noise = beta @ fit.basis_t_ + T.mean(0) - T
    np.testing.assert_allclose((noise**2).sum(0) / 29, fit.noise_variance_)  # Eq. 16


def test_units_do_not_matter_where_variances_are_balanced() -> None:
    T, G = pairs()
    a = MaximumLikelihoodFit(4).fit(T, G).predict(T)
    b = MaximumLikelihoodFit(4).fit(255 * T, G).predict(255 * T)
    c = MaximumLikelihoodFit(4, 1.0).fit(255 * T, G).predict(255 * T)
    np.testing.assert_allclose(a, b, atol=1e-8)
    assert np.abs(a - c).max() > 1e-3


# Nearest and random


def test_nearest_neighbour_by_hand() -> None:
    T = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    G = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    fit = NearestNeighbourFit().fit(T, G)
    np.testing.assert_allclose(fit.predict([[9.0, 1.0], [1.0, 9.0], [0.0, 1.0]]), G[[1, 2, 0]])


def test_nearest_neighbour_of_a_training_scan_is_itself_on_the_components() -> None:
    T, G = pairs()
    model = MorphableModel(3).fit(G)
    expected = model.inverse_transform(model.transform(G))
    np.testing.assert_allclose(NearestNeighbourFit(None, 3).fit(T, G).predict(T), expected)


def test_random_geometries_follow_the_prior_and_nothing_else() -> None:
    T, G = pairs(50)
    fit = RandomFit(3, 4, random_state=0).fit(T, G)
    drawn = fit.predict(np.repeat(T[:1], 20_000, axis=0))
    alpha = fit.geometry_model_.transform(drawn)
    np.testing.assert_allclose(
        alpha.std(0), np.sqrt(fit.geometry_model_.explained_variance_), rtol=0.03
    )
    np.testing.assert_array_equal(drawn, fit.predict(np.repeat(T[1:2], 20_000, axis=0)))


# All of them


@pytest.mark.parametrize("name", METHODS)
def test_in_scikit_learn_s_tools(name: str) -> None:
    T, G = pairs()
    assert np.isfinite(cross_val_score(METHODS[name], T, G)).all()
    key = "n_components" if name == "likelihood" else "geometry_components"
    search = GridSearchCV(METHODS[name], {key: [2, 3]}, cv=3).fit(T, G)
    assert search.best_params_[key] in (2, 3)


@pytest.mark.parametrize("name", ["random", "nearest", "least squares"])
def test_an_orthonormal_change_of_basis_changes_nothing(name: str) -> None:
    T, G = pairs(30, 60)
    whole = MorphableModel().fit(T)
    direct = METHODS[name].fit(T, G).predict(T)
    np.testing.assert_allclose(
        METHODS[name].fit(whole.transform(T), G).predict(whole.transform(T)), direct, atol=1e-8
    )


@pytest.mark.parametrize("name", METHODS)
def test_single_precision_stays_single_and_close(name: str) -> None:
    T, G = pairs(40, 100, 30)
    method = METHODS[name].set_params(**({"n_components": 5} if name == "likelihood" else {}))
    exact = method.fit(T, G).predict(T)
    found = method.fit(T.astype(np.float32), G.astype(np.float32)).predict(T.astype(np.float32))
    assert found.dtype == np.float32
    half = G.astype(np.float16)  # is not what is computed in
    again = method.fit(T, half).predict(T)
    np.testing.assert_array_equal(again, method.fit(T, half.astype(np.float64)).predict(T))
    if name != "random":
        np.testing.assert_allclose(found, exact, atol=1e-3)
    method.set_params(**({"n_components": None} if name == "likelihood" else {}))


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_feature_says_nothing(name: str) -> None:
    """A pixel outside the face is black on all: what it shows elsewhere must not count."""
    T, G = pairs()
    padded = np.hstack([T, np.zeros((len(T), 1))])
    new = padded[:5] + np.array([0.0] * 12 + [1.0])
    method = METHODS[name].set_params(**({"texture_weight": 1.0} if name == "likelihood" else {}))
    expected = method.fit(T, G).predict(T[:5])
    # The likelihood's least noise is a share of the features' mean variance, and they are more.
    np.testing.assert_allclose(method.fit(padded, G).predict(new), expected, rtol=1e-5, atol=1e-5)
    method.set_params(**({"texture_weight": None} if name == "likelihood" else {}))


# Bad input


@pytest.mark.parametrize("name", METHODS)
def test_bad_pairs_are_named(name: str) -> None:
    T, G = pairs()
    method = METHODS[name]
    with pytest.raises(PairsError, match=r"\[40, 39\]: row i of both"):
        method.fit(T, G[:-1])
    for X, y in ((np.where(T[3, 4] == T, np.nan, T), G), (T, np.where(G[3, 4] == G, np.nan, G))):
        with pytest.raises(ValueError, match="contains NaN"):
            method.fit(X, y)
    with pytest.raises(ValueError, match="all samples are the same"):
        method.fit(np.ones_like(T), np.ones_like(G))
    with pytest.raises(ValueError, match=r"11 features.* 12 features"):
        method.fit(T, G).predict(T[:, :-1])


@pytest.mark.parametrize("name", METHODS)
def test_prediction_before_fit(name: str) -> None:
    with pytest.raises(NotFittedError):
        type(METHODS[name])().predict(np.ones((3, 4)))


@pytest.mark.parametrize(
    "method", [LeastSquaresFit(13), LeastSquaresFit(None, 10), MaximumLikelihoodFit(22)]
)
def test_more_components_than_the_data_have(method: Any) -> None:
    with pytest.raises(ComponentsError, match="n_components"):
        method.fit(*pairs())


def test_features_without_noise_are_named() -> None:
    T, G = pairs()
    T[:, 7] = 3
    with pytest.raises(NoNoiseError, match=r"1 texture features .* first, 7, is constant"):
        MaximumLikelihoodFit(3, min_noise=0).fit(T, G)
    with pytest.raises(NoNoiseError, match="completely explained"):
        MaximumLikelihoodFit(min_noise=0).fit(*pairs())
