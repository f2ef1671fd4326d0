"""How sharp images are: their power by spatial frequency, and their fine detail."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.floating[Any]]


def radial_power(images: Floats) -> Floats:
    """Mean power (R/2 - 1,) of grey images (n, R, R), at 1, 2, ... cycles over their width.

    A Hann window keeps the jump between opposite borders out of it.
    """
    side = images.shape[1]
    window = np.outer(np.hanning(side), np.hanning(side))
    power = np.square(np.abs(np.fft.fft2(images * window))).mean(axis=0)
    cycles = np.fft.fftfreq(side, 1 / side)
    radius = np.rint(np.hypot(cycles[:, None], cycles)).astype(int).ravel()
    sums: Floats = np.bincount(radius, power.ravel()) / np.bincount(radius)
    return sums[1 : side // 2]


def fine_detail(images: Floats, sigma: float = 1) -> Floats:
    """What a Gaussian blur of a few pixels takes away from grey images (n, R, R)."""
    return images - np.asarray(gaussian_filter(images, (0, sigma, sigma)))
