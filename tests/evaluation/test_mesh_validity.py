"""Whether meshes are faces."""

import numpy as np
import pytest

from facesynth.evaluation.mesh_validity import UNITS, Validity, beyond, validity
from facesynth.morphable_model import MorphableModel

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.fixture
def model():
    """Squares that differ in height alone, with a standard deviation of 1 at the last corner."""
    heights = np.array([-1.0, 0.0, 1.0])
    squares = np.repeat(SQUARE[None], 3, axis=0)
    squares[:, 3, 2] = heights
    return MorphableModel(1).fit(squares.reshape(3, -1))


def one(square, model):
    return validity(np.asarray(square, np.float64)[None], FACES, SQUARE, model)


def test_the_mean_face_is_valid(model):
    found = one(SQUARE, model)
    assert found.flipped == 0
    assert found.stretched == pytest.approx(1)
    assert found.distance == pytest.approx(0)
    assert found.residual == pytest.approx(0)
    assert vars(found).keys() == UNITS.keys()


def test_a_face_within_the_model_is_far_from_the_mean_but_leaves_nothing(model):
    lifted = SQUARE.copy()
    lifted[3, 2] = 2.0
    found = one(lifted, model)
    assert found.distance == pytest.approx(2)  # standard deviations
    assert found.residual == pytest.approx(0, abs=1e-6)
    assert found.stretched == pytest.approx(np.sqrt(1 + 2**2))


def test_a_corner_that_is_folded_over_flips_its_triangle(model):
    folded = SQUARE.copy()
    folded[3] = [1, 0.5, 0]
    assert one(folded, model).flipped == 50


def test_the_residual_is_of_all_vertices(model):
    """By hand: one vertex of four is off by 2 mm, in a direction that the model lacks."""
    moved = SQUARE.copy()
    moved[1, 0] += 2
    assert one(moved, model).residual == pytest.approx(np.sqrt(2**2 / 4))


def test_the_worst_median_is_compared_with_nine_in_ten():
    plain = np.arange(11.0)  # nine in ten are at most 9
    found = beyond([np.full(11, 5.0), np.full(11, 12.0)], plain, np.arange(11))
    assert found.value == pytest.approx(3)


def test_measures_are_those_of_each_mesh(model):
    found = validity(np.repeat(SQUARE[None], 3, axis=0), FACES, SQUARE, model)
    assert isinstance(found, Validity)
    assert all(values.shape == (3,) for values in vars(found).values())
