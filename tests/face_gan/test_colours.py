"""Channels of colours, in which casts are seen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facesynth.face_gan.colours import Colours
from facesynth.gan import to_uint8


def skin(seed, n=4, side=8):
    """Colours that vary in lightness most, and in a green cast hardly."""
    rng = np.random.default_rng(seed)
    light, cast = rng.normal(0, [[0.3], [0.02]], (n * side * side, 2, 1)).transpose(1, 0, 2)
    rgb = np.array([0.3, 0.0, -0.1]) + light + cast * [-1, 2, -1]
    return to_uint8(rgb.reshape(n, side, side, 3))


@given(st.integers(0, 2**31))
def test_there_and_back(seed):
    textures = skin(seed)
    colours = Colours.fit(textures)
    back = colours.colours(colours.channels(textures))
    np.testing.assert_allclose(back, textures / 127.5 - 1, atol=1e-4)
    other = np.random.default_rng(seed).integers(0, 256, (2, 4, 4, 3), np.uint8)
    np.testing.assert_allclose(
        colours.colours(colours.channels(other)), other / 127.5 - 1, atol=1e-3
    )


def test_the_weak_axes_are_amplified_and_none_depends_on_another():
    textures = skin(0, side=64)
    channels = Colours.fit(textures).channels(textures).reshape(-1, 3)
    covariance = np.cov(channels.T)
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(covariance / np.outer(deviations, deviations), np.eye(3), atol=0.1)
    of_rgb = np.sqrt(np.linalg.eigvalsh(np.cov((textures.reshape(-1, 3) / 127.5 - 1).T)))
    np.testing.assert_allclose(deviations.max(), of_rgb[-1], rtol=0.05)  # the strongest is kept
    weakest = np.sort(deviations)[:2] / np.sort(of_rgb)[:2]
    assert (weakest > 2).all()


def test_grey_textures_have_one_axis():
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8).repeat(3, 3)
    colours = Colours.fit(grey)
    assert np.isfinite(colours.turn).all()
    np.testing.assert_allclose(colours.colours(colours.channels(grey)), grey / 127.5 - 1, atol=1e-3)
