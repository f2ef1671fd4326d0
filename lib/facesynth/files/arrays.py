"""Arrays in npz files, read without pickle, and in files that nobody sees."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

LARGE = 2**29  # bytes of an array that need not fit into the memory


def read(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name. Raises whatever a damaged file makes numpy stumble over."""
    # opened here: numpy leaves a damaged file open
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def scratch(shape: tuple[int, ...], dtype: npt.DTypeLike) -> NDArray[Any]:
    """An array to be filled: a large one in a file that vanishes with it, beyond the memory."""
    if math.prod(shape) * np.dtype(dtype).itemsize < LARGE:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


@contextmanager
def readable(
    path: str | os.PathLike[str],
    error: type[Exception],
    advice: str,
    wrong: str = "missing or damaged",
) -> Iterator[None]:
    """Raise a room's own error, which names the file, for anything that reading it raises."""
    try:
        yield
    except Exception as cause:
        raise error(f"{path} is {wrong} ({cause!r}); {advice}") from cause
