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
from scipy import stats

from facesynth.dataset.canonical import fill
from facesynth.evaluation.swd import distance, sliced_wasserstein
from facesynth.morphable_model import ComponentsError, Floats, MorphableModel

Scores = dict[str, dict[int, float]]
Images = NDArray[np.uint8] | NDArray[np.floating]

SELDOM = 0.05  # of the scans: pixels that fewer show are taken as they were filled, eyes say
DRAWS = 10  # of faces and directions, for a distance of identities
RESAMPLES = 1000  # of a median's bootstrap


@dataclass(frozen=True)
class Number:
    """A measured number.

    value  in its unit
    error  half of its 95 % interval; None where there is too little data for one
    n      faces that it was measured on, in each set that is compared
    unit   "x 1000" of distances, "share", or "" for pure numbers
    """

    value: float
    error: float | None
    n: int
    unit: str = ""

    def __format__(self, spec: str) -> str:
        """Write the number, with its error if there is one: 3.28 ± 0.14."""
        number = format(self.value, spec)
        return number if self.error is None else f"{number} ± {format(self.error, spec)}"


def level_draws(
    sets: Mapping[str, Images], n: int, repeats: int, seed: int = 0
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Sliced Wasserstein distances x 1000 to real images, by row and level, draw by draw.

    sets     images (k, R, R, c) by row, of which `real` is the scans'
    n        images in each set that is compared: half of the scans at most
    repeats  two or more, each with other halves of the scans, other images and other patches, the
             same for all rows: differences of rows are paired

    Each row is compared with one half of the scans, and `real` is the other half. Returns
    {row: {"R": (repeats,), ..., "16": (repeats,), "mean": (repeats,)}}. Raises `EvaluationError`.
    """
    values: dict[str, list[dict[int, float]]] = {name: [] for name in sets}
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        half, other = rng.permutation(len(sets["real"]))[: 2 * n].reshape(2, -1)
        for name, images in sets.items():
            rows = other if name == "real" else rng.permutation(len(images))[:n]
            values[name].append(sliced_wasserstein(sets["real"][half], images[rows], repeat))
    found = {}
    for name, each in values.items():
        levels = {str(side): np.array([row[side] for row in each]) for side in each[0]}
        found[name] = levels | {"mean": np.mean([*levels.values()], axis=0)}
    return found


def by_level(
    sets: Mapping[str, Images], n: int, repeats: int, seed: int = 0
) -> dict[str, dict[str, Number]]:
    """Tables 1 and 2: the means of `level_draws` and half of their 95 % intervals (t)."""
    factor = stats.t.ppf(0.975, repeats - 1)
    return {
        name: {
            level: Number(float(x.mean()), float(factor * stats.sem(x)), n, "x 1000")
            for level, x in row.items()
        }
        for name, row in level_draws(sets, n, repeats, seed).items()
    }


def identity_distance(a: Floats, b: Floats, n: int, seed: int = 0) -> Number:
    """Table 3: sliced Wasserstein distance x 1000 of descriptors (k, 128) from others (l, 128).

    The mean over draws of n from each, or of as many as there are; the error is that of one draw.
    The distance depends on n: compare only numbers of the same n. Raises `EvaluationError`.
    """
    least, values = min(len(a), len(b), n), []
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, draw])
        first, second = (rng.permutation(len(x))[:least] for x in (a, b))
        values.append(1000 * distance(a[first], b[second], rng))
    error = float(1.96 * np.std(values, ddof=1))
    return Number(float(np.mean(values)), error, least, "x 1000")


def median(values: Floats, subjects: NDArray[np.integer] | None = None, seed: int = 0) -> Number:
    """The median of values (n,); the bootstrap draws subjects (n,), or values where none are given.

    Raises ValueError where there are no values.
    """
    each = np.arange(len(values)) if subjects is None else subjects
    names, which = np.unique(each, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = [
        np.median(np.repeat(values, np.bincount(chosen, minlength=len(names))[which]))
        for chosen in rng.integers(len(names), size=(RESAMPLES, len(names)))
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    error = float(high - low) / 2 if len(names) > 1 else None
    return Number(float(np.median(values)), error, len(values))


def share(which: NDArray[np.bool_], subjects: NDArray[np.integer] | None = None) -> Number:
    """The share of faces (n,) for which something is true, by Wilson's interval.

    Scans of one subject are not independent: where subjects (n,) are given, each counts once, and
    the interval is normal. Raises ValueError where there are no faces.
    """
    n = len(which)
    if subjects is None:
        interval = stats.binomtest(int(np.sum(which)), n).proportion_ci(0.95, method="wilson")
        error = float(float(interval.high) - float(interval.low)) / 2
        return Number(float(np.mean(which)), error, n, "share")
    each = [np.mean(which[subjects == s]) for s in np.unique(subjects)]
    spread = float(1.96 * np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else None
    return Number(float(np.mean(each)), spread, n, "share")


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
) -> Scores:
    """Sliced Wasserstein distances x 1000 to one half of the scans, by row and level.

    real        (2 n, R, R, c) of scans
    generated   (n, R, R, c) or more
    masks       (2 n, R, R) of the scans, where there are some: see `as_scanned`
    components  k of each row of principal components, fitted to all scans; None for all components
    seed        of the halves, of the faces drawn from the components, and of the distance

    Rows are `generated`, `pca 200` and so on, and `real`, which is the other half. All compare n
    images with the same n scans: the distance depends on n.

    Raises `EvaluationError` and `ComponentsError`.
    """
    rng = np.random.default_rng(seed)
    half, other = rng.permutation(len(real) // 2 * 2).reshape(2, -1)
    n = len(half)

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
