"""Colour encodings: linear RGB, in which light adds up, and sRGB, in which files are written.

Inside the package a colour is linear RGB in [0, 1]; image files and the population's textures are
sRGB in eight bits. The curve is the one of IEC 61966-2-1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def srgb(linear_colour: ArrayLike) -> NDArray[np.floating]:
    """Encode linear RGB (...) in [0, 1] as sRGB in [0, 1]; values outside are clipped."""
    x = np.clip(_floating(linear_colour), 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def linear(encoded: ArrayLike) -> NDArray[np.floating]:
    """Decode sRGB (...) in [0, 1] to linear RGB in [0, 1]; values outside are clipped."""
    x = np.clip(_floating(encoded), 0, 1)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_uint8(linear_colour: ArrayLike) -> NDArray[np.uint8]:
    """Encode linear RGB (...) in [0, 1] as sRGB in eight bits, rounded to the nearest."""
    return (srgb(linear_colour) * 255 + 0.5).astype(np.uint8)


def from_uint8(encoded: ArrayLike) -> NDArray[np.float32]:
    """Decode eight-bit sRGB (...) to linear RGB in [0, 1].

    Raises TypeError for values that are not `uint8`: floats would silently be truncated.
    """
    encoded = np.asarray(encoded)
    if encoded.dtype != np.uint8:
        raise TypeError(f"eight-bit sRGB must be uint8, not {encoded.dtype}; see linear()")
    return _LINEAR_OF_BYTE[encoded]


def _floating(values: ArrayLike) -> NDArray[np.floating]:
    """The values in their own floating type: float32 textures stay at half the memory."""
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


# Eight bits have only 256 values: a table beats the power function by far.
_LINEAR_OF_BYTE = linear(np.arange(256) / 255).astype(np.float32)
