"""The sliced Wasserstein distance of two sets of images: Section 10.

Karras et al. (2017) compare two sets of images by small neighbourhoods, drawn from every level of
their Laplacian pyramids (Burt and Adelson 1983). The finest level compares noise and sharpness, the
coarsest, 16 pixels wide, large forms. Neighbourhoods of 7 x 7 pixels and c channels are points in
49 c dimensions; the Wasserstein distance between two sets of points is approximated by that of
their projections to random directions (Rabin et al. 2011), where sorting solves it.

Two properties matter in reading the numbers. The distance of two finite sets from the same
source is not 0 but a floor that falls with the number of images: compare only sets of one size, and
report the floor with them. And each set is normalised by its own mean and deviation, by channel and
level: a change of a channel's brightness or contrast has no effect.
"""

import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_info

Floats = NDArray[np.floating[Any]]
Images = NDArray[np.uint8] | Floats

COARSEST = 16  # pixels, side of the pyramid's last level
PATCH = 7  # pixels, side of a neighbourhood
PATCHES = 128  # drawn from each level of an image
DIRECTIONS = 4 * 128  # of projection
FOLDS = 5  # of a classifier's cross-validation
_BATCH = 2**18  # numbers of images in float32 that are worked on at a time: 1 MB, for the caches
_ROWS = 2**8  # neighbourhoods that are normalised at a time
_KEPT = 2**28  # numbers of neighbourhoods in float32 up to which levels share a reading: 1 GB
_PROJECTED = 2**25  # projections of a cloud that are sorted at a time: 128 MB in float32


class EvaluationError(ValueError):
    """Sets that cannot be compared."""


class ImageShapeError(EvaluationError):
    """Images that are not square, too small, or whose side is not a power of two."""


class TooFewImagesError(EvaluationError):
    """A set too small to be a sample of a distribution."""


class NonFiniteImageError(EvaluationError):
    """Images with NaN or infinite pixels."""


class NoDetailError(EvaluationError):
    """A channel that is constant at some level, so that it cannot be normalised."""


class UnequalSetsError(EvaluationError):
    """Two sets that differ in shape."""


def sliced_wasserstein(real: Images, fake: Images, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance x 1000 between two sets of images, level by level.

    real, fake  (n, R, R, c) uint8 or floating, in any unit: n is two or more, R a power of two, 16
                or more, and c any number. Images are read in batches, from memory-mapped files,
                too. Memory holds 128 neighbourhoods in float32 from each image, level by level if
                all are more than 1 GB: 1.5 GB for two sets of 10,000 images with three channels
    seed        of the neighbourhoods' places, which differ between the sets, and of the directions

    Returns {R: distance, ..., 32: distance, 16: distance}, by the side of the level in pixels.
    Raises `UnequalSetsError`, `ImageShapeError`, `TooFewImagesError`, `NonFiniteImageError` and
    `NoDetailError`, or their base, `EvaluationError`, for numbers neither uint8 nor floating.
    """
    _check(real, "real")
    _check(fake, "fake")
    _check_alike(real, fake)
    rng = np.random.default_rng(seed)
    at_real, at_fake = _corners(real, rng), _corners(fake, rng)
    sides = list(at_real)
    levels = max(_KEPT // (2 * len(real) * PATCHES * PATCH**2 * real.shape[3]), 1)
    found = {}
    for start in range(0, len(sides), levels):
        some = sides[start : start + levels]
        of_real = _drawn(real, {side: at_real[side] for side in some}, "real")
        of_fake = _drawn(fake, {side: at_fake[side] for side in some}, "fake")
        for side in some:
            found[side] = 1000 * distance(of_real.pop(side), of_fake.pop(side), rng)
    return found


def distance(a: Floats, b: Floats, rng: np.random.Generator, directions: int = DIRECTIONS) -> float:
    """Sliced Wasserstein distance, of order 1, between two sets of n points (n, d).

    The mean over random directions of the mean distance between the projections, each in order.
    Sets that differ by a shift v alone have |v| sqrt(2 / (pi d)), where d is large. Raises
    `UnequalSetsError` for sets that differ in shape, and `EvaluationError` for empty ones.
    """
    _check_alike(a, b)
    if a.ndim != 2 or not a.size:
        raise EvaluationError(f"the sets must be (n, d), not {a.shape}")
    unit = rng.standard_normal((directions, a.shape[1]))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    unit = unit.astype(np.result_type(a, b, np.float32))
    few = min(max(_PROJECTED // len(a), 1), directions)
    rooms = np.empty((2, few, len(a)), unit.dtype)  # once, for new memory is slow
    total = 0.0
    with _threads() as pool:
        for start in range(0, directions, few):
            some = unit[start : start + few]
            for cloud, room in zip((a, b), rooms, strict=True):
                np.matmul(some, cloud.T, out=room[: len(some)])
            rows = (room[: len(some)] for room in rooms)
            total += sum(pool.map(_gaps, *(np.array_split(r, len(some) // 8 or 1) for r in rows)))
    return total / directions


def told_apart(
    a: ArrayLike, b: ArrayLike, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A two-sample test: what a classifier thinks of samples a (n, d) and b (m, d).

    Returns whose each is (n + m,), 0 or 1, and the chance (n + m,) that it is of b, in the eyes of
    a random forest that was trained on other samples (Lopez-Paz and Oquab 2017). Raises
    `TooFewImagesError` where a set has fewer samples than there are folds, and `UnequalSetsError`
    where they differ in d.
    """
    # Takes over a second, and distances need none of it.
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or a.shape[1:] != b.shape[1:]:
        raise UnequalSetsError(f"the sets must be (n, d) and (m, d), not {a.shape} and {b.shape}")
    if min(len(a), len(b)) < FOLDS:
        raise TooFewImagesError(f"each set needs {FOLDS} samples or more, not {len(a)}, {len(b)}")
    X, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return y, cross_val_predict(forest, X, y, cv=folds, method="predict_proba")[:, 1]


def distinguishable(a: ArrayLike, b: ArrayLike, seed: int = 0) -> float:
    """The area under the ROC curve of `told_apart`: 0.5 is chance, 1 is perfect."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*told_apart(a, b, seed)))


def laplacian_pyramid(images: Images) -> list[Floats]:
    """Split images (n, R, R, c) into levels of sides R, R / 2, ..., 16 pixels, in float32.

    Each level is what is lost when its Gaussian level is reduced; the last keeps everything.
    """
    return list(_levels(np.asarray(images, np.float32), _sides(images)))


def reduce(images: Floats) -> Floats:
    """Halve images (n, R, R, c): a binomial filter of 5 x 5 pixels, then every second pixel.

    Pixels beyond the border mirror those inside; the border itself is not repeated.
    """
    sums = _halved(_halved(images).swapaxes(1, 2)).swapaxes(1, 2)
    sums *= 1 / 16**2
    return sums


def expand(images: Floats) -> Floats:
    """Double images (n, R, R, c): zeros between the pixels, then the same filter and border."""
    return _doubled(_doubled(images.swapaxes(1, 2) / 8**2).swapaxes(1, 2))


def _halved(images: Floats) -> Floats:
    """Filter by 1 4 6 4 1 along axis 1, at every second pixel.

    By four sums of neighbours, which do not round where all pixels are alike.
    """
    even, odd = images[:, ::2], images[:, 1::2]
    after = even + odd
    before = np.empty_like(after)
    before[:, 0] = after[:, 0]
    np.add(odd[:, :-1], even[:, 1:], out=before[:, 1:])
    even, odd = before + after, after  # by 1 2 1 from here on
    odd[:, :-1] += before[:, 1:]
    odd[:, -1] *= 2
    result = even + odd
    even[:, 1:] += odd[:, :-1]
    even[:, 0] += odd[:, 0]
    result += even
    return result


def _doubled(images: Floats) -> Floats:
    """Filter by 1 4 6 4 1 along axis 1, with zeros between the pixels."""
    sums = np.empty_like(images)
    np.add(images[:, :-1], images[:, 1:], out=sums[:, :-1])
    np.multiply(images[:, -1], 2, out=sums[:, -1])
    even = 4 * images
    even += sums
    even[:, 1:] += sums[:, :-1]
    even[:, 0] += sums[:, 0]
    n, side, *others = images.shape
    result = np.empty_like(images, shape=(n, 2 * side, *others))
    result[:, ::2] = even
    np.multiply(sums, 4, out=result[:, 1::2])
    return result


def _sides(images: Images) -> list[int]:
    """Of the levels of the images' pyramid, from the finest."""
    side = images.shape[1]
    return [side >> k for k in range((side // COARSEST).bit_length())]


def _levels(images: Floats, sides: Sequence[int]) -> Iterator[Floats]:
    """Those levels of the images' pyramid that have the given sides, from the finest."""
    for side in sides:
        while images.shape[1] > side:
            images = reduce(images)
        if side == COARSEST:
            yield images
        else:
            smaller = reduce(images)
            yield images - expand(smaller)
            images = smaller


def _corners(images: Images, rng: np.random.Generator) -> dict[int, NDArray[np.int64]]:
    """Places of all neighbourhoods, {side: (2, n, 128)}, uniform over all that lie inside.

    They are drawn before any image is read, so that the size of the batches changes nothing.
    """
    shape = (2, len(images), PATCHES)
    return {side: rng.integers(side - PATCH + 1, size=shape) for side in _sides(images)}


def _drawn(
    images: Images, corners: dict[int, NDArray[np.int64]], name: str
) -> dict[int, NDArray[np.float32]]:
    """Neighbourhoods at given places, {side: (128 n, 49 c) float32}: 128 rows per image, in order.

    Each channel has mean 0 and deviation 1 over the whole set, whose name is for messages.
    """
    n, _, _, channels = images.shape
    drawn = {s: np.empty((n, PATCHES, channels, PATCH, PATCH), np.float32) for s in corners}
    count = max(_BATCH // images[0].size, 1)

    def draw(start: int) -> None:
        part = slice(start, start + count)
        batch = _batch(images, part, name)
        each = np.arange(len(batch))[:, None]
        for s, level in zip(corners, _levels(batch, list(corners)), strict=True):
            y, x = corners[s][:, part]
            drawn[s][part] = sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))[each, y, x]

    with _threads() as pool:
        list(pool.map(draw, range(0, n, count)))
    for s, patches in drawn.items():
        _normalise(patches, name, s)
    return {s: patches.reshape(n * PATCHES, -1) for s, patches in drawn.items()}


def _batch(images: Images, part: slice, name: str) -> NDArray[np.float32]:
    """A part of the images in float32, each channel of each contiguous: filters like that best."""
    batch = np.asarray(images[part].transpose(0, 3, 1, 2), np.float32, "C").transpose(0, 2, 3, 1)
    bad = np.flatnonzero(~np.isfinite(batch).all((1, 2, 3)))
    if len(bad):
        raise NonFiniteImageError(
            f"number {part.start + bad[0]} of the {name} images has NaN or infinite pixels: fill "
            "them, or leave the image out"
        )
    _let_go(images)
    return batch


def _gaps(a: Floats, b: Floats) -> float:
    """Sum of the Wasserstein distances of points on lines, row by row; they are overwritten."""
    a.sort()
    b.sort()
    a -= b
    return float(np.abs(a, out=a).mean(axis=1).sum(dtype=np.float64))


def _threads() -> ThreadPoolExecutor:
    """As many threads as NumPy's own products use: one where OMP_NUM_THREADS is 1."""
    return ThreadPoolExecutor(max((each["num_threads"] for each in threadpool_info()), default=1))


def _let_go(images: Images) -> None:
    """Release the pages of a mapped file that were read, which count as resident memory."""
    if isinstance(images, np.memmap) and images.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        base: Any = images
        while isinstance(base, np.ndarray):
            base = base.base
        base.madvise(mmap.MADV_DONTNEED)


def _normalise(patches: NDArray[np.float32], name: str, side: int) -> None:
    """Give each channel of neighbourhoods (n, 128, c, 7, 7) mean 0 and deviation 1, in place."""
    channels = patches.shape[2]
    rows = patches.reshape(-1, channels * PATCH**2)
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]

    def each(channel: NDArray[Any]) -> NDArray[np.float32]:
        return np.repeat(np.float32(channel), PATCH**2)

    # About the mean, taken off at once, so that few digits are lost.
    first = each(parts[0].reshape(-1, channels, PATCH**2).mean((0, 2), dtype=np.float64))
    total = np.zeros((2, rows.shape[1]))
    for part in parts:
        part -= first
        total += part.sum(0), np.einsum("ij,ij->j", part, part)
    mean, square = total.reshape(2, channels, -1).mean(2) / len(rows)
    variance = square - mean**2
    for channel in np.flatnonzero(variance <= 0):
        raise NoDetailError(
            f"channel {channel} of the {name} images, at the level of {side} pixels, is constant: "
            "leave that channel out of both sets"
        )
    mean, scale = each(mean), each(1 / np.sqrt(variance))
    for part in parts:
        part -= mean
        part *= scale


def _check(images: Images, name: str) -> None:
    shape = images.shape
    if len(shape) != 4 or shape[1] != shape[2] or 0 in shape[1:]:
        raise ImageShapeError(f"the {name} images must be (n, R, R, c), not {shape}")
    if shape[0] < 2:
        raise TooFewImagesError(
            f"the {name} set has {shape[0]} images: two or more are a sample of a distribution; "
            "add some, and as many to the other set"
        )
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
            "number of images, so give equally many, of equal size"
        )
