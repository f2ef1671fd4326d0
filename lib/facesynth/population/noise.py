"""Random fields on the face: blotches, mottling and pores of a stated size in mm.

The fields live in space, not in the image: lattice noise is evaluated where each pixel lies on the
template. So they are not stretched where the mapping stretches, look the same at any resolution,
and detail finer than a pixel fades out instead of flickering (no aliasing).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from facesynth.population.lookup import LookUp

Floats = NDArray[np.float32]

_PERIOD = 48  # lattice cells until the noise repeats; in space, so a surface never shows it
# Variance that interpolation between independent unit normals leaves: 26/35 for each axis.
_KEPT_VARIANCE = (26 / 35) ** 3


def smoothstep(low: float, high: float, x: ArrayLike) -> Floats:
    """0 where x is at `low`, 1 where it is at `high` (which may be less), smooth in between."""
    t = np.clip((np.asarray(x, dtype=np.float32) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def gaussian(x: ArrayLike, centre: float, width: float) -> Floats:
    """exp(-½ ((x - centre) / width)²)."""
    return np.exp(-0.5 * ((np.asarray(x, dtype=np.float32) - centre) / width) ** 2)


class SolidNoise:
    """Lattice noise of one size, evaluated at fixed points.

    points  (n, 3) mm
    cell    mm between independent values, along x, y and z if three are given
    texel   (n,) mm, of what each point stands for: noise finer than that is faded out
    """

    def __init__(self, points: ArrayLike, cell: ArrayLike, texel: ArrayLike) -> None:
        size = np.broadcast_to(np.asarray(cell, dtype=float), 3)
        at = np.asarray(points) / size
        if np.ptp(size) == 0:  # turn the lattice away from the face's axes
            at = at @ Rotation.from_rotvec([0.5, 0.8, 0.3]).as_matrix().T
        whole = np.floor(at)
        part = at - whole
        # Linear interpolation at this coordinate is smoothstep interpolation at the point.
        faded = whole % _PERIOD + part * part * (3 - 2 * part)
        self._look_up = LookUp(faded.T, (_PERIOD,) * 3, wrap=True)
        resolved = np.clip(size.min() / np.asarray(texel, dtype=np.float32) - 1, 0, 1)
        self._gain = (resolved / np.sqrt(_KEPT_VARIANCE)).astype(np.float32)
        self.visible = bool(resolved.max() > 0.05)

    def sample(self, rng: np.random.Generator) -> Floats:
        """A field (n,) of mean 0 and variance 1, less where it is too fine to be seen."""
        lattice = rng.standard_normal((_PERIOD,) * 3, dtype=np.float32)
        if not self.visible:  # after drawing: the next field must not depend on the resolution
            return np.zeros_like(self._gain)
        return self._gain * self._look_up(lattice)


def streaks(rng: np.random.Generator, along: Floats, across: Floats) -> Floats:
    """Noise (n,) at two coordinates in cells: fibres, veins, hairs. Mean 0, variance about ½."""
    lattice = rng.standard_normal((256, 256), dtype=np.float32)
    return LookUp([along, across], lattice.shape, wrap=True)(lattice)
