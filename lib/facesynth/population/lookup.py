"""Linear interpolation in grids: where the places lie is found once, for many grids."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


class LookUp:
    """Places between the points of a grid.

    at     (k, n) coordinates, in cells of the grid
    shape  (k,) of the grid, two or more points in each direction
    wrap   whether the grid repeats; by default its border counts for what lies beyond it
    """

    def __init__(self, at: ArrayLike, shape: tuple[int, ...], wrap: bool = False) -> None:
        self._wrap = wrap
        size = np.array(shape)[:, None]
        last = size if wrap else size - 1
        places = np.asarray(at, dtype=np.float32)
        places = places % size if wrap else np.clip(places, 0, last)
        whole = np.minimum(places.astype(np.int32), last - 1)
        self._part = (places - whole).astype(np.float32)
        padded = size[:, 0] + wrap
        self._strides = [int(np.prod(padded[axis + 1 :])) for axis in range(len(padded))]
        self._cell = np.ravel_multi_index(tuple(whole), tuple(padded)).astype(np.int32)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What lies at the places (n,) of a grid."""
        if self._wrap:
            values = np.pad(values, (0, 1), mode="wrap")
        return self._between(values.ravel(), 0, self._cell)

    def _between(
        self, values: NDArray[np.float32], axis: int, cell: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        if axis == len(self._strides):
            return values.take(cell)
        before = self._between(values, axis + 1, cell)
        after = self._between(values, axis + 1, cell + np.int32(self._strides[axis]))
        after -= before
        after *= self._part[axis]
        after += before
        return after
