"""The sRGB curve against its definition, and its two directions against each other."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesynth.rendering.colour import from_uint8, linear, srgb, to_uint8

unit_floats = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1))


@pytest.mark.parametrize(
    ("light", "code"), [(0, 0), (0.0031308, 0.04045), (0.214041, 0.5), (0.5, 0.735357), (1, 1)]
)
def test_srgb_hits_the_standards_values(light: float, code: float) -> None:
    assert srgb(light) == pytest.approx(code, abs=1e-5)
    assert linear(code) == pytest.approx(light, abs=1e-5)


@given(unit_floats)
def test_linear_undoes_srgb(light: np.ndarray) -> None:
    np.testing.assert_allclose(linear(srgb(light)), light, atol=1e-6)


def test_every_byte_survives_the_round_trip() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(from_uint8(codes)), codes)


@given(unit_floats)
def test_eight_bits_are_at_most_half_a_step_away(light: np.ndarray) -> None:
    steps = to_uint8(light) / 255 - srgb(light)
    assert np.all(np.abs(steps) <= 0.5 / 255 + 1e-12)


def test_values_outside_are_clipped() -> None:
    assert to_uint8([-1.0, 2.0]).tolist() == [0, 255]
    assert linear([-1.0, 2.0]).tolist() == [0, 1]


@pytest.mark.parametrize("function", [srgb, linear])
def test_float32_stays_float32(function: Callable[[np.ndarray], np.ndarray]) -> None:
    assert function(np.array([0.0, 0.5], np.float32)).dtype == np.float32


def test_from_uint8_refuses_floats() -> None:
    with pytest.raises(TypeError, match="uint8, not float64"):
        from_uint8(np.array([0.5]))
