"""How far generated images of faces are from scanned ones, beside principal components and scans.

Scans show no face whole: what they do not show is filled from around, which smooths it, and no
generator makes such patches. So every image that is compared, generated or not, is given the mask
of a scan and filled in the same way: what is measured is what scans show.
"""

import statistics

import numpy as np
from numpy.typing import NDArray

from facesynth.dataset.canonical import fill
from facesynth.evaluation.swd import sliced_wasserstein
from facesynth.morphable_model import ComponentsError, MorphableModel

Scores = dict[str, dict[int, float]]
Images = NDArray[np.uint8] | NDArray[np.floating]


def as_scanned(images: Images, masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill textures (n, R, R, 3) where masks (n, R, R) hide them, as `canonical_texture` does."""
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
    components  k of each row of principal components, fitted to all scans; None: all there are
    seed        of the halves, of the faces that the components are drawn with, and of the distance

    Rows are `generated`, `pca 200` and so on, and `real`: the other half. All compare n images
    with the same n scans: the distance depends on the number.

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
    """Which of others (k, R, R, c) is most similar to each image (n, R, R, c), and how far it is.

    The root mean square difference of the pixels, after both are shrunk to side x side by means,
    in the images' unit. Returns indices and distances (n,).
    """
    a, b = (small_rows(x, side) for x in (images, others))
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    which = squared.argmin(axis=1)
    return which, np.sqrt(np.maximum(squared.min(axis=1), 0) / a.shape[1])


def small_rows(images: Images | NDArray[np.bool_], side: int = 32) -> NDArray[np.float64]:
    """Shrink images (n, R, R, c) to side x side by means, a row each: (n, side² c)."""
    n, size, _, c = images.shape
    k = size // side
    blocks = images.reshape(n, side, k, side, k, c)
    return np.stack([block.mean(axis=(1, 3)).ravel() for block in blocks]).astype(np.float64)
