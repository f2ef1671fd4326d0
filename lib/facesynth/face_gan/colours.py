"""Principal axes of colour, in which a discriminator overlooks no cast.

Skin hardly varies but in lightness: in red, green and blue, a violet or a green cast is a small
part of every channel. Here each axis is a channel, and those in which faces vary little are
amplified.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

POWER = 0.6  # of the amplification: 0 is none, 1 makes all axes vary alike
EVERY = 7  # pixels, of which the axes are found


@dataclass(frozen=True)
class Colours:
    """A turn and a stretch of colours in [-1, 1].

    mean  (3,), which becomes 0
    turn  (3, 3): colours in rows, times it, are in the new channels
    """

    mean: NDArray[np.float32]
    turn: NDArray[np.float32]

    @classmethod
    def fit(cls, textures: NDArray[np.uint8]) -> Self:
        """Find the axes of textures (n, R, R, 3), sRGB."""
        pixels = _unit(textures.reshape(-1, 3)[::EVERY]).astype(np.float64)
        values, axes = np.linalg.eigh(np.cov(pixels.T))
        # grey textures have one axis: the others are not amplified without end
        gain = (values[-1] / np.maximum(values, 1e-4 * values[-1])) ** (POWER / 2)
        return cls(pixels.mean(axis=0).astype(np.float32), (axes * gain).astype(np.float32))

    def channels(self, textures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Textures (..., 3), sRGB, in the new channels."""
        return np.asarray((_unit(textures) - self.mean) @ self.turn, np.float32)

    def colours(self, channels: NDArray[np.floating]) -> NDArray[np.float32]:
        """The colours (..., 3) in [-1, 1], or a little outside, of the new channels."""
        return np.asarray(channels @ np.linalg.inv(self.turn) + self.mean, np.float32)


def _unit(textures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(textures / np.float32(127.5) - 1, np.float32)
