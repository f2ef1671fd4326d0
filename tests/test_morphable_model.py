"""Eq. 1 and 2 against hand-worked cases, against scikit-learn's full PCA, and on bad input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from facesynth import morphable_model
from facesynth.morphable_model import ComponentsError, MorphableModel


def faces(n: int, d: int, seed: int = 0, dtype: type = np.float64) -> np.ndarray:
    """(n, d) with a decaying spectrum and a mean far from zero."""
    rng = np.random.default_rng(seed)
    scale = 0.8 ** np.arange(d)
    return (rng.standard_normal((n, d)) * scale @ _rotation(d, rng) + 3).astype(dtype)


def _rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


@parametrize_with_checks([MorphableModel()])
def test_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


def test_three_points_by_hand() -> None:
    # On the line (3, 4) / 5 at -5, 0 and 5 from (1, 1): variance (25 + 0 + 25) / 2 = 25.
    model = MorphableModel(1).fit([[-2.0, -3.0], [1.0, 1.0], [4.0, 5.0]])
    np.testing.assert_allclose(model.mean_, [1, 1])
    np.testing.assert_allclose(model.components_, [[0.6, 0.8]])
    np.testing.assert_allclose(model.explained_variance_, [25])
    np.testing.assert_allclose(model.singular_values_, [np.sqrt(50)])
    np.testing.assert_allclose(model.transform([[4.0, 5.0]]), [[5]])
    np.testing.assert_allclose(model.inverse_transform([[10.0]]), [[7, 9]])
    np.testing.assert_allclose(model.mahalanobis([[10.0]]), [2])
    np.testing.assert_allclose(model.along(0, [0, 2, -1]), [[1, 1], [7, 9], [-2, -3]])
    # (5, -2) is 5 from the mean and orthogonal to the line; (4, 5) lies on it.
    np.testing.assert_allclose(model.square_errors([[5.0, -2.0], [4.0, 5.0]]), [12.5, 0])
    np.testing.assert_allclose(model.unexplained([[5.0, -2.0], [4.0, 5.0]]), [0.5])


@pytest.mark.parametrize(("n", "d"), [(30, 200), (60, 60), (200, 30)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-6)])
def test_agrees_with_scikit_learns_full_pca(n: int, d: int, dtype: type, tolerance: float) -> None:
    X = faces(n, d, dtype=dtype)
    k = 20
    ours = MorphableModel(k).fit(X)
    peer = PCA(k, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(ours.explained_variance_, peer.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(ours.singular_values_, peer.singular_values_, rtol=1e-6)
    np.testing.assert_allclose(
        ours.explained_variance_ratio_, peer.explained_variance_ratio_, rtol=1e-6
    )
    for few in (1, 5, k):
        angles = subspace_angles(ours.components_[:few].T.astype(float), peer.components_[:few].T)
        assert angles.max() < tolerance
    assert ours.components_.dtype == dtype


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = faces(20, 70), faces(70, 20)
    whole = [MorphableModel(5).fit(Z).components_ for Z in (X, Y)]
    monkeypatch.setattr(morphable_model, "_BLOCK", 64)
    for Z, components in zip((X, Y), whole, strict=True):
        np.testing.assert_allclose(MorphableModel(5).fit(Z).components_, components, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 25), st.integers(1, 25), st.integers(0, 1000))
def test_all_components_reconstruct_every_training_face(n: int, d: int, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((n, d))
    model = MorphableModel().fit(X)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, atol=1e-6)
    np.testing.assert_allclose(
        model.components_ @ model.components_.T, np.eye(len(model.components_)), atol=1e-6
    )
    # The coefficients are uncorrelated, with the variances that the model states.
    covariance = np.atleast_2d(np.cov(model.transform(X), rowvar=False))
    np.testing.assert_allclose(covariance, np.diag(model.explained_variance_), atol=1e-8)
    np.testing.assert_allclose(model.spectrum_.sum(), X.var(axis=0, ddof=1).sum())


def test_signs_do_not_depend_on_the_samples_order() -> None:
    X = faces(20, 50)
    forward, backward = MorphableModel(8).fit(X), MorphableModel(8).fit(X[::-1])
    np.testing.assert_allclose(forward.components_, backward.components_, atol=1e-9)
    largest = np.abs(forward.components_).argmax(axis=1)
    assert np.all(forward.components_[np.arange(8), largest] > 0)


def test_what_components_miss_falls_to_the_square_error() -> None:
    X = faces(40, 12)
    model = MorphableModel(5).fit(X[:30])
    missed = model.unexplained(X[30:])
    assert missed.shape == (5,)
    assert np.all(np.diff(missed) <= 0)
    whole = np.square(X[30:] - model.mean_).mean()
    np.testing.assert_allclose(missed[-1], model.square_errors(X[30:]).mean() / whole)
    ratios = MorphableModel(5).fit(X).explained_variance_ratio_
    np.testing.assert_allclose(1 - MorphableModel(5).fit(X).unexplained(X), np.cumsum(ratios))


def test_projection_is_the_nearest_face_of_the_model() -> None:
    X = faces(30, 40)
    model = MorphableModel(6).fit(X[:20])
    projected = model.inverse_transform(model.transform(X[20:]))
    np.testing.assert_allclose((X[20:] - projected) @ model.components_.T, 0, atol=1e-10)


def test_samples_follow_the_prior() -> None:
    model = MorphableModel(4).fit(faces(50, 30))
    drawn = model.transform(model.sample(40_000, random_state=3))
    deviations = drawn / np.sqrt(model.explained_variance_)
    np.testing.assert_allclose(deviations.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(deviations, rowvar=False), np.eye(4), atol=0.03)


def test_samples_repeat_and_are_the_coefficients_faces() -> None:
    model = MorphableModel(4).fit(faces(50, 30))
    drawn = model.sample_coefficients(7, random_state=1)
    np.testing.assert_array_equal(model.inverse_transform(drawn), model.sample(7, random_state=1))
    assert not np.array_equal(model.sample(7, random_state=1), model.sample(7, random_state=2))


def test_log_prior_is_a_normal_density() -> None:
    model = MorphableModel(3).fit(faces(50, 30))
    alpha = model.sample_coefficients(10, random_state=0)
    expected = multivariate_normal(np.zeros(3), np.diag(model.explained_variance_)).logpdf(alpha)
    np.testing.assert_allclose(model.log_prior(alpha), expected)


def test_share_of_the_variance_chooses_k() -> None:
    X = np.diag([4.0, 3.0, 2.0, 1.0])
    X = np.concatenate([X, -X])  # variances 16 : 9 : 4 : 1, of 30
    model = MorphableModel().fit(X)
    assert [model.components_for(share) for share in (0.5, 0.54, 0.83, 0.9, 0.97, 1)] == [
        1,
        2,
        2,
        3,
        4,
        4,
    ]
    for share in (0.5, 0.83, 0.9):
        chosen = MorphableModel(share).fit(X)
        assert chosen.n_components_ == model.components_for(share)
        assert chosen.explained_variance_ratio_.sum() >= share


def test_repeated_faces_do_not_make_components_of_rounding() -> None:
    X = np.repeat(faces(4, 50), 5, axis=0)  # 20 samples, 4 of them different
    assert MorphableModel().fit(X).n_components_ == 3
    with pytest.raises(ComponentsError, match="rank of the samples is only 3"):
        MorphableModel(4).fit(X)


@pytest.mark.parametrize(
    ("n", "d", "k"), [(5, 100, 5), (5, 100, 200), (100, 5, 6), (5, 9, 0), (5, 9, -1)]
)
def test_more_components_than_the_samples_allow(n: int, d: int, k: int) -> None:
    with pytest.raises(ComponentsError, match=f"n_components={k}: {n} samples of {d} features"):
        MorphableModel(k).fit(faces(n, d))


@pytest.mark.parametrize("k", [0.0, 1.0, 1.5, -0.5, np.nan, "many", True])
def test_numbers_of_components_that_are_none(k: Any) -> None:
    with pytest.raises(ComponentsError, match="must be a positive integer"):
        MorphableModel(k).fit(faces(5, 9))


def test_the_most_that_samples_allow_is_allowed() -> None:
    assert MorphableModel(4).fit(faces(5, 9)).n_components_ == 4


def bad_samples() -> dict[str, tuple[np.ndarray, str]]:
    holed = faces(5, 9)
    holed[2, 3] = np.nan
    return {
        "NaN": (holed, "NaN"),
        "infinite": (np.where(np.isnan(holed), np.inf, holed), "infinity"),
        "one sample": (faces(5, 9)[:1], "minimum of 2"),
        "the same sample": (np.ones((5, 9)), "all samples are the same"),
        "not flattened": (np.ones((5, 3, 3)), "dim 3"),
    }


@pytest.mark.parametrize("case", bad_samples())
def test_samples_that_cannot_be_fitted(case: str) -> None:
    X, message = bad_samples()[case]
    with pytest.raises(ValueError, match=message):
        MorphableModel().fit(X)


def test_widths_that_do_not_match() -> None:
    model = MorphableModel(3).fit(faces(5, 9))
    with pytest.raises(ValueError, match=r"8 features.* 9 features"):
        model.transform(faces(5, 8))
    for method in (model.inverse_transform, model.mahalanobis, model.log_prior):
        with pytest.raises(ValueError, match=r"shape \(5, 4\); expected \(n, 3\)"):
            method(np.zeros((5, 4)))
    with pytest.raises(ComponentsError, match="must lie in"):
        model.components_for(1.2)
