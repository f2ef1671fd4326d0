"""The numbers of Section 10, with 95 % intervals: Tables 1 to 3, medians and shares.

Generated images are compared with scans, beside principal components and other scans. No scan shows
a whole face: its invalid pixels are filled from their surroundings, which smooths them, and no
generator produces such patches. So every image that is compared, generated or not, is given the
mask of a scan and filled in the same way: only what scans show is measured.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesynth.dataset.canonical import fill
from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.evaluation.swd import TooFewImagesError, sliced_wasserstein
from facesynth.morphable_model import ComponentsError, Floats, MorphableModel

Scores = dict[str, dict[int, float]]
Images = NDArray[np.uint8] | NDArray[np.floating]

SELDOM = 0.05  # of the scans: pixels that fewer show are taken as they were filled, eyes say


@dataclass(frozen=True)
class Number:
    """A measured number of a report.

    value      in its unit
    low, high  its 95 % interval; None where there is too little data for one
    n          faces that it was measured on, in each set that is compared
    unit       "x 1000" of distances, "share", or "" for pure numbers
    """

    value: float
    low: float | None
    high: float | None
    n: int
    unit: str = ""

    @classmethod
    def of(cls, found: Measured, n: int, unit: str = "") -> "Number":
        """What was measured on n faces."""
        return cls(found.value, found.low, found.high, n, unit)

    def __format__(self, spec: str) -> str:
        """Write the number, with its interval if there is one: 3.28 (3.14 to 3.41)."""
        return format(Measured(self.value, self.low, self.high), spec)


def level_draws(
    sets: Mapping[str, Images],
    n: int,
    repeats: int,
    seed: int = 0,
    subjects: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Sliced Wasserstein distances x 1000 to real images, by row and level, draw by draw.

    sets      images (k, R, R, c) by row, of which `real` is the scans'
    n         images in each set that is compared: `largest_half` at most
    repeats   two or more, each with other halves of the scans, other images and other patches, the
              same for all rows: differences of rows are paired. No image is drawn twice where there
              are `repeats` times n: the generator's own variance is then in the draws
    subjects  (k,) of the real images: the halves are of different people; None: each is one

    Each row is compared with one half of the scans, and `real` is the other half. Returns
    {row: {"R": (repeats,), ..., "16": (repeats,), "mean": (repeats,)}}. Raises `EvaluationError`.
    """
    who = np.arange(len(sets["real"])) if subjects is None else subjects
    values: dict[str, list[dict[int, float]]] = {name: [] for name in sets}
    for repeat in range(repeats):
        half, other = halves(who, n, np.random.default_rng([seed, repeat]))
        for name, images in sets.items():
            rows = other if name == "real" else _block(len(images), n, repeat, repeats, seed)
            values[name].append(sliced_wasserstein(sets["real"][half], images[rows], repeat))
    found = {}
    for name, each in values.items():
        levels = {str(side): np.array([row[side] for row in each]) for side in each[0]}
        found[name] = levels | {"mean": np.mean([*levels.values()], axis=0)}
    return found


def largest_half(subjects: NDArray[np.integer]) -> int:
    """How many scans two sets can have, of scans (k,) whose subjects are in one of them only."""
    _, counts = np.unique(subjects, return_counts=True)
    return int(len(subjects) - counts.max(initial=1) + 1) // 2


def halves(
    subjects: NDArray[np.integer], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Scans (n,) of one half of the subjects (k,), and of the other. Raises `TooFewImagesError`."""
    most = largest_half(subjects)
    if n > most:
        raise TooFewImagesError(
            f"{len(subjects)} scans of {len(np.unique(subjects))} subjects have no two sets of {n} "
            f"in which nobody is twice; {most} is the most"
        )
    names, which = np.unique(subjects, return_inverse=True)
    place = np.empty(len(names), np.intp)
    place[rng.permutation(len(names))] = np.arange(len(names))
    rows = np.argsort(place[which], kind="stable")  # subject by subject
    last = place[which][rows[most - 1]]
    first, rest = rows[place[which][rows] <= last], rows[place[which][rows] > last]
    return rng.permutation(first)[:n], rng.permutation(rest)[:n]


def _block(k: int, n: int, repeat: int, repeats: int, seed: int) -> NDArray[np.intp]:
    """Rows (n,) of k images: of one order for all repeats, where there are enough of them."""
    if k >= repeats * n:
        return np.random.default_rng([seed, repeats]).permutation(k)[repeat * n :][:n]
    return np.random.default_rng([seed, repeat]).permutation(k)[:n]


def by_level(
    sets: Mapping[str, Images],
    n: int,
    repeats: int,
    seed: int = 0,
    subjects: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, Number]]:
    """Tables 1 and 2: the means of `level_draws` and their 95 % intervals (t)."""
    return {
        name: {level: Number.of(intervals.runs(x), n, "x 1000") for level, x in row.items()}
        for name, row in level_draws(sets, n, repeats, seed, subjects).items()
    }


def median(values: Floats, subjects: NDArray[np.integer] | None = None, seed: int = 0) -> Number:
    """The median of values (n,); the bootstrap draws subjects (n,), or values where none are given.

    Raises ValueError where there are no values.
    """
    if not len(values):
        raise ValueError("no values have no median")
    each = np.arange(len(values)) if subjects is None else subjects
    try:
        found = intervals.statistic(lambda rows: float(np.median(values[rows])), each, seed)
    except intervals.TooFewUnitsError:
        found = Measured(float(np.median(values)))
    return Number.of(found, len(values))


def share(which: NDArray[np.bool_], subjects: NDArray[np.integer] | None = None) -> Number:
    """The share of faces (n,) for which something is true, of some subjects (n,).

    Raises ValueError where there are no faces.
    """
    try:
        found = intervals.share(which, subjects)
    except intervals.TooFewUnitsError:
        if not len(which):
            raise
        found = Measured(float(np.mean(which)))
    return Number.of(found, len(which), "share")


def as_scanned(images: Images, masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill textures (n, R, R, 3) outside masks (n, R, R), as `canonical_texture` fills scans."""
    filled = np.empty(images.shape, np.uint8)
    for row, image, mask in zip(filled, images, masks, strict=True):
        row[...] = np.rint(np.clip(fill(image.astype(np.float32), mask), 0, 255))
    return filled


def scores(
    real: Images,
    generated: Images,
    masks: NDArray[np.bool_] | None = None,
    components: tuple[int | None, ...] = (200, None),
    seed: int = 0,
    subjects: NDArray[np.integer] | None = None,
) -> Scores:
    """Sliced Wasserstein distances x 1000 to one half of the scans, by row and level.

    real        (k, R, R, c) of scans
    generated   (n, R, R, c) or more, n = `largest_half`
    masks       (k, R, R) of the scans, where there are some: see `as_scanned`
    components  k of each row of principal components, fitted to all scans; None for all components
    seed        of the halves, of the faces drawn from the components, and of the distance
    subjects    (k,) of the scans: the halves are of different people; None: each is one

    Rows are `generated`, `pca 200` and so on, and `real`, which is the other half. All compare n
    images with the same n scans: the distance depends on n.

    Raises `EvaluationError` and `ComponentsError`.
    """
    who = np.arange(len(real)) if subjects is None else subjects
    n = largest_half(who)
    half, other = halves(who, n, np.random.default_rng(seed))
    reference = real[half] if masks is None else as_scanned(real[half], masks[half])

    def distance(images: Images) -> dict[int, float]:
        shown = images if masks is None else as_scanned(images, masks[other])
        return sliced_wasserstein(reference, shown, seed)

    rows = {"real": distance(real[other]), "generated": distance(generated[:n])}
    if components:
        model = MorphableModel().fit(real.reshape(len(real), -1).astype(np.float32))
        coefficients = model.sample_coefficients(n, seed)
    for k in components:
        if k is not None and k > model.n_components_:
            raise ComponentsError(
                f"{len(real)} scans have {model.n_components_} components, not {k}"
            )
        drawn = model.mean_ + coefficients[:, :k] @ model.components_[:k]
        drawn = drawn.reshape(n, *real.shape[1:])
        if real.dtype == np.uint8:
            drawn = np.rint(np.clip(drawn, 0, 255)).astype(np.uint8)
        rows[f"pca {'all' if k is None else k}"] = distance(drawn)
    return rows


def mean(row: dict[int, float]) -> float:
    """The mean over the levels: the last column of the paper's tables."""
    return statistics.fmean(row.values())


def nearest(
    images: Images, others: Images, side: int = 32
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The nearest of others (k, R, R, c) to each image (n, R, R, c): indices and distances (n,).

    Distances are root mean square differences of pixels, in the images' unit, after both are
    averaged to side x side pixels.
    """
    a, b = (small_rows(x, side) for x in (images, others))
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    which = squared.argmin(axis=1)
    return which, np.sqrt(np.maximum(squared.min(axis=1), 0) / a.shape[1])


def from_two(images: Images, others: Images, subjects: NDArray[np.integer]) -> NDArray[np.bool_]:
    """For which images (n, R, R, c) upper and lower half are nearest to two subjects, not to one.

    others, subjects : (k, R, R, c) and (k,), of the scans among which the nearest is looked for
    """
    half = images.shape[1] // 2
    whose = []
    for part in (np.s_[:, :half], np.s_[:, half:]):
        # twice one below the other: as high as wide
        ours, theirs = (np.concatenate([x[part]] * 2, axis=1) for x in (images, others))
        whose.append(subjects[nearest(ours, theirs)[0]])
    return np.asarray(whose[0] != whose[1])


def small_rows(images: Images | NDArray[np.bool_], side: int = 32) -> NDArray[np.float64]:
    """Average images (n, R, R, c) to side x side pixels, one row each: (n, side² c)."""
    rows = [block.mean(axis=(1, 3)).ravel() for block in _blocks(images, side)]
    return np.stack(rows).astype(np.float64)


def shrunk(textures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Textures (n, R, R, 3) by means of their pixels' values to (n, side, side, 3)."""
    if textures.shape[1] == side:
        return textures
    blocks = _blocks(textures, side)
    found = [np.rint(block.mean(axis=(1, 3))).astype(np.uint8) for block in blocks]
    return np.array(found, np.uint8).reshape(len(textures), side, side, 3)


def shrunk_masks(valid: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Masks (n, R, R) to (n, side, side): a pixel is valid if all that went into it are."""
    return np.asarray(_blocks(valid, side).all(axis=(2, 4)))


def _blocks(images: NDArray[Any], side: int) -> NDArray[Any]:
    """Images (n, R, R, ...) as (n, side, R / side, side, R / side, ...)."""
    n, size = images.shape[:2]
    return images.reshape(n, side, size // side, side, size // side, *images.shape[3:])
