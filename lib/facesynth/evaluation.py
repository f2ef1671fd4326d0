"""How far generated images are from real ones: the sliced Wasserstein distance of Section 10.

Karras et al. (2017) compare two sets of images by small neighbourhoods, drawn from every level of
their Laplacian pyramids (Burt and Adelson 1983). The finest level tells whether noise and sharpness
are alike, the coarsest, 16 pixels wide, whether the large forms are. Neighbourhoods of 7 x 7 pixels
and c channels are points in 49 c dimensions; the Wasserstein distance between two clouds of points
is approximated by that of their projections to random directions (Rabin et al. 2011), where sorting
solves it.

Two properties matter to whoever reads the numbers. The distance of two finite sets from the same
source is not 0 but a floor that falls with the number of images: compare only sets of one size, and
put the floor beside them. And each set is normalised by its own mean and deviation, channel by
channel and level by level: a change of a channel's brightness or contrast is not seen.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Floats = NDArray[np.floating[Any]]
Images = NDArray[np.uint8] | Floats

COARSEST = 16  # pixels, side of the pyramid's last level
PATCH = 7  # pixels, side of a neighbourhood
PATCHES = 128  # drawn from each level of an image
DIRECTIONS = 4 * 128  # of projection
_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
_BATCH = 2**22  # numbers of images in float32 that are worked on at a time: 16 MB
_AT_A_TIME = 16  # directions: 80 MB for each of two sets of 10,000 images


class EvaluationError(ValueError):
    """Sets that cannot be compared."""


class ImageShapeError(EvaluationError):
    """Images that have no pyramid: not square, too small, or their side is not a power of two."""


class NonFiniteImageError(EvaluationError):
    """Images with NaN or infinite pixels."""


class NoDetailError(EvaluationError):
    """A channel that is flat at some level, so that no deviation normalises it."""


class UnequalSetsError(EvaluationError):
    """Two sets that differ in shape."""


def sliced_wasserstein(real: Images, fake: Images, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance x 1000 between two sets of images, level by level.

    Parameters
    ----------
    real, fake : (n, R, R, c) uint8 or floating
        R is a power of two, 16 or more; c is any number. The units do not matter. Images are read
        in batches: memory-mapped files will do. What is kept is 128 neighbourhoods in float32 from
        each level of each image, 11 GB for two sets of 10,000 images of 1024 x 1024 x 3.
    seed : int
        Of the neighbourhoods' places, which are other ones in each set, and of the directions.

    Returns
    -------
    dict
        {R: distance, ..., 32: distance, 16: distance}, by the side of the level in pixels.

    Raises
    ------
    UnequalSetsError, ImageShapeError, NonFiniteImageError, NoDetailError
        Or their base, EvaluationError, for numbers that are neither uint8 nor floating.
    """
    _check(real, "real")
    _check(fake, "fake")
    _check_alike(real, fake)
    rng = np.random.default_rng(seed)
    of_real = neighbourhoods(real, rng, "real")
    of_fake = neighbourhoods(fake, rng, "fake")
    return {side: 1000 * distance(of_real[side], of_fake[side], rng) for side in of_real}


def distance(a: Floats, b: Floats, rng: np.random.Generator, directions: int = DIRECTIONS) -> float:
    """Sliced Wasserstein distance, of order 1, between two clouds (n, d) of as many points.

    The mean over random directions of the mean distance between the projections, each in order.
    Clouds that differ by a shift v alone have |v| sqrt(2 / (pi d)), where d is large.

    Raises
    ------
    UnequalSetsError, EvaluationError
        If the clouds differ in shape, or are none.
    """
    _check_alike(a, b)
    if a.ndim != 2 or not a.size:
        raise EvaluationError(f"the clouds must be (n, d), not {a.shape}")
    unit = rng.standard_normal((directions, a.shape[1]))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    unit = unit.astype(np.result_type(a, b, np.float32))
    total = 0.0
    for start in range(0, directions, _AT_A_TIME):
        some = unit[start : start + _AT_A_TIME]
        gaps = np.sort(some @ a.T) - np.sort(some @ b.T)
        total += float(np.abs(gaps).mean(axis=1, dtype=np.float64).sum())
    return total / directions


def neighbourhoods(
    images: Images, rng: np.random.Generator, name: str = "given"
) -> dict[int, NDArray[np.float32]]:
    """Draw 128 neighbourhoods of 7 x 7 pixels from each level of each image, and normalise them.

    Parameters
    ----------
    images : (n, R, R, c) uint8 or floating
        As `sliced_wasserstein` takes them.
    rng : np.random.Generator
        Of their places, uniform over all that lie inside of the image.
    name : str
        Of the set, for messages.

    Returns
    -------
    dict
        {side: (128 n, 49 c) float32}: 128 rows per image, in the images' order. Each channel has
        mean 0 and deviation 1 over the whole set.

    Raises
    ------
    ImageShapeError, NonFiniteImageError, NoDetailError, EvaluationError
    """
    _check(images, name)
    n, side, _, channels = images.shape
    sides = [side >> k for k in range((side // COARSEST).bit_length())]
    # All places are drawn first, so that the size of the batches changes nothing.
    corners = {s: rng.integers(s - PATCH + 1, size=(2, n, PATCHES)) for s in sides}
    drawn = {s: np.empty((n, PATCHES, channels, PATCH, PATCH), np.float32) for s in sides}
    for part, batch in _batches(images, name):
        each = np.arange(len(batch))[:, None]
        for s, level in zip(sides, laplacian_pyramid(batch), strict=True):
            y, x = corners[s][:, part]
            drawn[s][part] = sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))[each, y, x]
    for s, patches in drawn.items():
        for channel in range(channels):
            where = f"channel {channel} of the {name} images, at the level of {s} pixels,"
            _normalise(patches[:, :, channel], where)
    return {s: patches.reshape(n * PATCHES, -1) for s, patches in drawn.items()}


def laplacian_pyramid(images: Images) -> list[Floats]:
    """Split images (n, R, R, c) into levels of sides R, R / 2, ..., 16 pixels, in float32.

    Each level is what is lost when its Gaussian level is reduced; the last keeps everything.
    """
    level: Floats = np.asarray(images, np.float32)
    levels: list[Floats] = []
    while level.shape[1] > COARSEST:
        smaller = reduce(level)
        levels.append(level - expand(smaller))
        level = smaller
    return [*levels, level]


def reduce(images: Floats) -> Floats:
    """Halve images (n, R, R, c): a binomial filter of 5 x 5 pixels, then every second pixel.

    Pixels beyond the border mirror those inside; the border itself is not repeated.
    """
    rows = correlate1d(images, _BINOMIAL, axis=1, mode="mirror")[:, ::2]
    return correlate1d(rows, _BINOMIAL, axis=2, mode="mirror")[:, :, ::2]


def expand(images: Floats) -> Floats:
    """Double images (n, R, R, c): zeros between the pixels, then the same filter and border."""
    n, side, _, channels = images.shape
    tall = np.zeros((n, 2 * side, side, channels), images.dtype)
    tall[:, ::2] = images
    wide = np.zeros((n, 2 * side, 2 * side, channels), images.dtype)
    wide[:, :, ::2] = correlate1d(tall, 2 * _BINOMIAL, axis=1, mode="mirror")
    return correlate1d(wide, 2 * _BINOMIAL, axis=2, mode="mirror")


def _batches(images: Images, name: str) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Images in float32, a few at a time, without a copy of the whole."""
    count = max(_BATCH // images[0].size, 1)
    for start in range(0, len(images), count):
        part = slice(start, start + count)
        batch = np.asarray(images[part], np.float32)
        bad = np.flatnonzero(~np.isfinite(batch).all((1, 2, 3)))
        if len(bad):
            raise NonFiniteImageError(
                f"number {start + bad[0]} of the {name} images has NaN or infinite pixels: fill "
                "them, or leave the image out"
            )
        yield part, batch


def _normalise(values: NDArray[np.float32], where: str) -> None:
    """Give values mean 0 and deviation 1, in place."""
    if values.min() == values.max():
        raise NoDetailError(f"{where} is flat: leave that channel out of both sets")
    values -= values.mean(dtype=np.float64)
    values /= values.std(dtype=np.float64)


def _check(images: Images, name: str) -> None:
    shape = images.shape
    if len(shape) != 4 or shape[1] != shape[2] or 0 in shape:
        raise ImageShapeError(f"the {name} images must be (n, R, R, c), not {shape}")
    if shape[1] < COARSEST or shape[1] & (shape[1] - 1):
        raise ImageShapeError(
            f"the {name} images are {shape[1]} pixels wide: resize them to a power of two, "
            f"{COARSEST} or more"
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise EvaluationError(f"the {name} images must be uint8 or floating, not {images.dtype}")


def _check_alike(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise UnequalSetsError(
            f"the two sets have shapes {a.shape} and {b.shape}: the distance depends on the "
            "number, so take as many of each, of one size"
        )
