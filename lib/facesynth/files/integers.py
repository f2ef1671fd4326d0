"""Whole numbers that users give: seeds, and numbers of processes."""

import operator
from typing import SupportsIndex


class SeedError(ValueError):
    """A seed that is not a whole number."""


class JobsError(ValueError):
    """No process is to do the work."""


def checked_seed(seed: SupportsIndex) -> int:
    """Any integer, of NumPy's, say, as Python's own. Raises `SeedError`."""
    try:
        if isinstance(seed, bool):
            raise TypeError
        return operator.index(seed)
    except TypeError:
        raise SeedError(f"a seed is a whole number, such as 0, not {seed!r}") from None


def check_jobs(n_jobs: int | None) -> None:
    """Raise `JobsError` for 0 processes; other numbers are joblib's."""
    if n_jobs == 0:
        raise JobsError("n_jobs is 0: give at least 1, or -1 for a process on each core")
