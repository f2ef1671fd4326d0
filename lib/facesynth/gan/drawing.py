"""What training draws at random, by the seed and how many images were shown.

It depends on nothing else, so that a run that resumes, or has several processes, draws the same.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .config import Config


def generator_of(seed: int, stream: int, shown: int) -> torch.Generator:
    """A source of random numbers of its own for each stream, after so many images."""
    state = np.random.SeedSequence((seed, stream, shown)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) % 2**63)


def flipped(config: Config, shown: int, batch: int) -> NDArray[np.bool_]:
    """Which channels of which images are flipped (b, c)."""
    coins = np.random.default_rng((config.seed, 2, shown)).random((len(config.mirrored), batch))
    which = np.zeros((batch, config.channels), bool)
    for coin, channels in zip(coins, config.mirrored, strict=True):
        which[:, list(channels)] = coin[:, None] < 0.5
    return which


def order(seed: int, n: int, shown: int, batch: int) -> NDArray[np.intp]:
    """The images (b,) of n that follow after `shown`; each epoch is shuffled anew."""
    places = np.arange(shown, shown + batch)
    return np.array([_deck(seed, n, int(p) // n)[p % n] for p in places])


@lru_cache(maxsize=4)
def _deck(seed: int, n: int, epoch: int) -> NDArray[np.intp]:
    return np.random.default_rng((seed, 3, epoch)).permutation(n)
