"""Linear interpolation at fixed places agrees with SciPy's, inside of grids and beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from facesynth.population.lookup import LookUp


@given(
    shape=st.lists(st.integers(2, 7), min_size=1, max_size=3),
    wrap=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_scipys(shape, wrap, seed):
    rng = np.random.default_rng(seed)
    at = rng.uniform(-3, 9, (len(shape), 40))
    at[:, :10] = np.rint(at[:, :10])  # on the points of the grid, and on its last
    at = at.astype(np.float32)
    grid = rng.standard_normal(shape, dtype=np.float32)
    mode = "grid-wrap" if wrap else "nearest"
    expected = map_coordinates(grid, at.astype(float), order=1, mode=mode)
    found = LookUp(at, tuple(shape), wrap)(grid)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_look_up_serves_many_grids():
    look_up = LookUp([[0.5, 2.0, 9.0]], (3,))
    np.testing.assert_allclose(look_up(np.float32([0, 2, 6])), [1, 6, 6])
    np.testing.assert_allclose(look_up(np.float32([1, 1, 4])), [1, 4, 4])


@pytest.mark.parametrize("wrap", [True, False])
def test_nowhere(wrap):
    assert LookUp(np.zeros((2, 0)), (4, 4), wrap)(np.zeros((4, 4), np.float32)).shape == (0,)
