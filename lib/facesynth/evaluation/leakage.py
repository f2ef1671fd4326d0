"""How much a mask tells of the image that it hides.

Section 6 shows masks to the discriminator. If they depend on what they hide, an image that does not
fit its mask must be generated, and a generator that does not see the mask cannot avoid that. A
linear model that predicts images from masks alone measures it, on images that it has not seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.evaluation.scores import Images, small_rows

COMPONENTS = 100  # of the masks, at most
SIDE = 32  # pixels of masks and images, which are averaged
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Leakage:
    """Squared errors (n, SIDE, SIDE) of images: of what masks predict, and of the mean image."""

    left: NDArray[np.float64]
    about: NDArray[np.float64]

    @property
    def share(self) -> float:
        """The share of the variance that masks predict; below 0 if the mean image does better."""
        return float(1 - self.left.sum() / self.about.sum())

    @property
    def by_pixel(self) -> NDArray[np.float64]:
        """The same (SIDE, SIDE), pixel by pixel."""
        return np.asarray(1 - self.left.sum(axis=0) / self.about.sum(axis=0))

    def beyond(self, other: "Leakage", subjects: NDArray[np.integer], seed: int = 0) -> Measured:
        """How much more of the same images' variance is predicted than by other masks.

        With an interval over the images' subjects (n,).
        """
        gained = (other.left - self.left).sum(axis=(1, 2))
        whole = self.about.sum(axis=(1, 2))
        return intervals.statistic(
            lambda rows: float(gained[rows].sum() / whole[rows].sum()), subjects, seed
        )


def leakage(masks: Masks, images: Images, new_masks: Masks, new_images: Images) -> Leakage:
    """Predict new images (n, R, R, c) from their masks (n, R, R), as others' (k, ...) let expect.

    By ridge regression on principal components of the masks, whose weight is chosen by
    cross-validation.
    """
    known, truth = small_rows(images, SIDE), small_rows(new_images, SIDE)
    k = min(COMPONENTS, len(masks) // 4)
    model = make_pipeline(PCA(k, random_state=0), RidgeCV(np.logspace(0, 5, 11)))
    model.fit(small_rows(masks[..., None], SIDE), known)
    predicted = model.predict(small_rows(new_masks[..., None], SIDE))
    left, about = (
        np.square(error).reshape(len(truth), SIDE, SIDE, -1).sum(axis=3)
        for error in (truth - predicted, truth - known.mean(axis=0))
    )
    return Leakage(left, about)


def dark_masks(images: Images) -> Masks:
    """Masks (n, R, R) that tell of their images (n, R, R, c): what is darker than in the mean."""
    grey = images.mean(axis=-1)
    return np.asarray(grey < grey.mean())
