"""Power and fine detail of images whose spectra are known."""

import numpy as np

from facesynth.evaluation.spectra import fine_detail, radial_power


def stripes(cycles: int, side: int = 64) -> np.ndarray:
    wave = np.cos(2 * np.pi * cycles * np.arange(side) / side)
    return np.broadcast_to(wave, (1, side, side))


def test_stripes_have_their_power_at_their_frequency() -> None:
    for cycles in (4, 10, 20):
        power = radial_power(stripes(cycles))
        assert power.shape == (31,)
        assert power.argmax() == cycles - 1
        near = slice(cycles - 3, cycles + 2)  # the window spreads it by a cycle or two
        assert power[near].sum() > 0.99 * power.sum()


def test_power_grows_with_the_square_and_is_a_mean_over_images() -> None:
    a, b = stripes(5), stripes(9)
    np.testing.assert_allclose(radial_power(3 * a), 9 * radial_power(a))
    both = radial_power(np.concatenate([a, b]))
    np.testing.assert_allclose(both, (radial_power(a) + radial_power(b)) / 2)


def test_white_noise_has_equal_power_everywhere() -> None:
    power = radial_power(np.random.default_rng(0).standard_normal((400, 32, 32)))
    np.testing.assert_allclose(power, power.mean(), rtol=0.15)


def test_fine_detail_is_zero_where_all_is_even_and_sums_to_nothing() -> None:
    np.testing.assert_allclose(fine_detail(np.ones((2, 16, 16))), 0, atol=1e-12)
    spike = np.zeros((1, 33, 33))
    spike[0, 16, 16] = 1
    detail = fine_detail(spike)
    # A blur of sigma 1 leaves 1 / (2 pi) of a spike in its middle, nearly.
    np.testing.assert_allclose(detail[0, 16, 16], 1 - 1 / (2 * np.pi), atol=1e-3)
    np.testing.assert_allclose(detail.sum(), 0, atol=1e-12)
    for cycles, low, high in ((20, 0.8, 1), (2, 0, 0.1)):  # a blur keeps what is coarse
        assert low < np.abs(fine_detail(stripes(cycles))).max() < high
