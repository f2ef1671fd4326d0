"""Directions evenly over the sphere."""

import numpy as np
from numpy.typing import NDArray


def sphere(n: int) -> NDArray[np.float32]:
    """Directions (n, 3) evenly over the sphere (Fibonacci lattice)."""
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1).astype(np.float32)
