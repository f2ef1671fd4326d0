"""Arrays in npz files, read without pickle."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name. Raises whatever a damaged file makes numpy stumble over."""
    # opened here: numpy leaves a damaged file open
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


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
