"""How real shapes are distributed, on distributions that are known."""

import os

import numpy as np
import pytest

from facesynth.people import real_data
from facesynth.people import shape_distribution as shapes

COVARIANCE = np.diag([4.0, 2.0, 1.0, 0.5])
needs_data = pytest.mark.skipif(
    "CI" not in os.environ and real_data.FOLDER not in os.environ,
    reason=f"needs public data of real people; set {real_data.FOLDER}",
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_moments_of_a_normal_distribution_are_near_zero(rng):
    found = shapes.moments(shapes.draw(20_000, COVARIANCE, np.inf, rng))
    assert np.abs(found.skewness).max() < 0.1
    assert np.abs(found.kurtosis).max() < 0.15
    assert found.mardia_if_normal == 4 * 6
    assert found.mardia == pytest.approx(24, rel=0.05)


def test_drawn_coefficients_have_the_covariance_asked_for(rng):
    for nu in (np.inf, 8.0):
        drawn = shapes.draw(50_000, COVARIANCE, nu, rng, [1, 2, 3, 4])
        assert np.cov(drawn.T) == pytest.approx(COVARIANCE, abs=0.15)
        assert drawn.mean(axis=0) == pytest.approx([1, 2, 3, 4], abs=0.05)


@pytest.mark.parametrize("nu", [5.0, 20.0])
def test_degrees_of_freedom_are_found_again(nu, rng):
    found = shapes.degrees_of_freedom(shapes.draw(20_000, COVARIANCE, nu, rng))
    assert found == pytest.approx(nu, rel=0.15)


def test_normal_people_have_many_degrees_of_freedom(rng):
    assert shapes.degrees_of_freedom(shapes.draw(20_000, COVARIANCE, np.inf, rng)) > 80


def test_degrees_of_freedom_do_not_depend_on_units(rng):
    drawn = shapes.draw(2_000, COVARIANCE, 6.0, rng)
    turned = drawn @ rng.normal(size=(4, 4)) + 7
    assert shapes.degrees_of_freedom(turned) == pytest.approx(
        shapes.degrees_of_freedom(drawn), rel=1e-3
    )


def test_what_a_normal_distribution_costs_is_found_and_nothing_where_nothing_is(rng):
    groups = np.where(rng.random((2_000, 1)) < 0.5, -3.0, 3.0)  # as women and men may differ
    apart = np.hstack([groups, np.zeros((2_000, 3))]) + rng.standard_normal((2_000, 4))
    found = shapes.to_held_out(apart, 19)
    assert found.p == 0.05  # none of 19 normal populations shows as much
    assert found.rows["normal"] > 2 * found.rows["people"]
    normal = shapes.to_held_out(shapes.draw(2_000, COVARIANCE, np.inf, rng), 19)
    assert normal.p > 0.05
    heavy = shapes.to_held_out(shapes.draw(2_000, COVARIANCE, 4.0, rng), 5)
    assert heavy.rows["Student's t"] < heavy.rows["normal"]


def test_power_rises_with_scans_and_tails_and_is_chance_without_a_difference():
    power = {
        (nu, n): shapes.power(COVARIANCE, nu, n, 40).value
        for nu in (np.inf, 4.0)
        for n in (30, 600)
    }
    assert power[np.inf, 30] < 0.15
    assert power[np.inf, 600] < 0.15
    assert power[4.0, 600] > max(0.8, power[4.0, 30])


@pytest.mark.parametrize("bad", [np.zeros((3, 4)), np.full((9, 2), np.nan), np.zeros(9)])
def test_too_few_people_and_numbers_that_are_not_finite_are_named(bad):
    for check in (shapes.moments, shapes.degrees_of_freedom, shapes.to_held_out):
        with pytest.raises(ValueError, match="finite coefficients"):
            check(bad)


@needs_data
def test_scores_of_people_are_nearly_normal():
    scores = real_data.face_shape_scores()
    assert scores.shape == (2729, 13)
    found = shapes.moments(scores)
    assert found.mardia == pytest.approx(205.47, abs=0.01)  # published: 205.3
    assert shapes.degrees_of_freedom(scores) == pytest.approx(42, abs=1)


@needs_data
def test_faces_of_the_light_stage_are_in_mm():
    mean, modes, faces = real_data.light_stage()
    assert modes.shape == (24, *mean.shape)
    assert faces.max() == len(mean) - 1
    face = mean[: real_data.LIGHT_STAGE_FACE]
    assert 140 < np.ptp(face[:, 0]) < 200  # from ear to ear
    spread = np.sqrt((modes[:, : len(face)] ** 2).sum(axis=2).mean(axis=1))
    assert 2 < spread[0] < 6  # mm, of the first mode
    assert spread[:5].min() > spread[12:].max()
