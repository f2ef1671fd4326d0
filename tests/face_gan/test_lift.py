"""Faces from coarse geometry images."""

import numpy as np
import pytest

from facesynth.dataset.aligned_scan import mapping
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.population import sample

N, K, R = 40, 12, 32


@pytest.fixture(scope="module")
def people():
    return sample(N + 8, 5, progress=False).geometry


@pytest.fixture(scope="module")
def to(people):
    return GeometryImages.fit(mapping(R), people[:N])


@pytest.fixture(scope="module")
def lift(people, to):
    return Lift.fit(to, people[:N], K)


def in_span(lift, seed, n=3):
    alpha = np.random.default_rng(seed).normal(size=(n, K))
    faces = lift.mean + np.tensordot(alpha, lift.components, 1)
    return alpha, faces.astype(np.float32)


def apart(a, b):
    return np.linalg.norm(a - b, axis=-1).mean(axis=-1)  # mm


def test_components_are_those_of_the_morphable_model(lift, people):
    """Their coefficients are uncorrelated, of variance 1, in which every vertex counts alike."""
    away = ((people[:N] - lift.mean) / lift.to.unit).reshape(N, -1)
    flat = (lift.components / lift.to.unit).reshape(K, -1)
    alpha = away @ flat.T / (flat**2).sum(axis=1)
    np.testing.assert_allclose(alpha.T @ alpha / (N - 1), np.eye(K), atol=1e-3)


def test_a_face_is_found_by_its_coarse_image(lift, to):
    _, faces = in_span(lift, 0)
    images = to.to_images(faces)
    sure = Lift(to, lift.mean, lift.components, noise=1e-6)
    np.testing.assert_allclose(sure.faces(images), faces, atol=0.05)
    # detail that is finer than the coarse image changes nothing
    half = GeometryImages(mapping(2 * R), to.mean, to.unit)
    wide = Lift(half, lift.mean, lift.components, noise=1e-6)
    y, x = np.mgrid[: 2 * R, : 2 * R]
    checks = 0.2 * (-1.0) ** (x + y)[..., None]
    np.testing.assert_allclose(
        wide.faces(half.to_images(faces) + checks), wide.faces(half.to_images(faces)), atol=1e-3
    )


def test_what_no_component_knows_is_left_out(lift, to, people):
    """New people are met as far as components reach, and noise hardly moves them."""
    new = people[N:]
    found = lift.faces(to.to_images(new))
    assert apart(found, new).mean() < 0.7 * apart(lift.mean[None], new).mean()
    noise = np.random.default_rng(0).normal(0, 0.1, (len(new), R, R, 3))
    moved = apart(lift.faces(to.to_images(new) + noise), found)
    unlifted = apart(to.to_geometry(to.to_images(new) + noise), new)
    assert moved.mean() < 0.2 * unlifted.mean()


def test_the_less_an_image_is_trusted_the_nearer_is_the_mean(lift, to):
    _, faces = in_span(lift, 1)
    images = to.to_images(faces)
    away = [
        apart(Lift(to, lift.mean, lift.components, noise).faces(images), lift.mean).mean()
        for noise in (1e-3, 1.0, 1e3, 1e9)
    ]
    assert away == sorted(away, reverse=True)
    assert away[-1] < 0.01


def test_draws_are_those_of_the_posterior(lift):
    """If coefficients are drawn from the prior, and images with noise, draws are as the prior."""
    rng, n, noise = np.random.default_rng(2), 4000, 0.5
    model = Lift(lift.to, lift.mean, lift.components, noise)
    coarse_mean, coarse = model._coarse
    alpha = rng.normal(size=(n, K))
    y = coarse_mean + alpha @ coarse + rng.normal(0, np.sqrt(noise), (n, coarse.shape[1]))
    images = y.reshape(n, R, R, 3)
    faces = model.faces(images, rng.normal(size=(n, K)))
    flat = model.components.reshape(K, -1).astype(np.float64)
    drawn = np.linalg.lstsq(flat.T, (faces - model.mean).reshape(n, -1).T.astype(float))[0].T
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(K), atol=0.12)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.08)
    # and they differ from the truth as the posterior says
    precision = np.eye(K) + coarse @ coarse.T / noise
    np.testing.assert_allclose(np.cov((drawn - alpha).T), 2 * np.linalg.inv(precision), atol=0.12)


def test_few_faces_have_few_components(to, people):
    assert len(Lift.fit(to, people[:4], K).components) == 3
