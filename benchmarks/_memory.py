"""How much memory the process takes while something runs: for the other benchmarks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass
class Resident:
    """Bytes of the resident set: at the start, and the most that there were."""

    start: int
    peak: int


@contextmanager
def resident() -> Iterator[Resident]:
    """Sample the resident set every 10 ms."""
    process, done = psutil.Process(), threading.Event()
    found = Resident(*[process.memory_info().rss] * 2)

    def watch() -> None:
        while not done.wait(0.01):
            found.peak = max(found.peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()
