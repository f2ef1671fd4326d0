"""Reads images of shapes: corruption, and shapes by kind, colour and number (Section 6).

The paper judges by eye that its GAN has learned the shapes and left out the red circles. Here both
are measured, by a reader that is calibrated on drawings whose contents are known:

    reader = Reader().fit(draw(4000, 32, corrupted=0.25, seed=1))
    data, made = reader.read(draw(2000, 32, corrupted=0, seed=2).images), reader.read(images)
    intervals.share(made.corrupted)                           # how many still show red
    overlap(data.colour_shares(), made.colour_shares())       # and the control

A GAN with mode collapse that generates one clean image shows no red either, nor does one that
generates grey noise. The rate of corruption is meaningful only together with the variety of
colours, kinds and counts, and with the share of shapes that are recognised at all.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist
from sklearn.base import BaseEstimator
from sklearn.metrics import pairwise_distances_argmin_min, precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from .shape_finding import PALETTE, Floats, Integers, Picture, find, redness
from .shapes import COLOURS, KINDS, MOST_SHAPES, Shapes

# No shape can be this near to two colours. Drawings come ten times nearer than that, for they are
# of exact colours; a limit set by them would recognise nothing that is not drawn.
NEAR = pdist(PALETTE).min() / 2  # of 255
SPECK = 0.25  # of the smallest drawn shape's area


class DrawingsError(ValueError):
    """The drawings are not sufficient to calibrate a reader."""


class UnreadableError(ValueError):
    """The images differ in size or type from those that the reader was calibrated on."""


class SharesError(ValueError):
    """The numbers are not valid shares of a whole."""


@dataclass(frozen=True)
class Reading:
    """What n images show, and the m shapes in them."""

    corrupted: NDArray[np.bool_]  # (n,)
    score: Floats  # (n,) in [0, 1], redness
    counts: Integers  # (n,) shapes in each image, recognised or not
    specks: Integers  # (n,) spots too small for a shape
    image: Integers  # (m,) number of the image, ascending
    kind: Integers  # (m,) number in KINDS, or -1: not recognised
    colour: Integers  # (m,) number in COLOURS, or -1: not recognised
    distance: Floats  # (m,) from the nearest kind's average; above 1 it is not recognised

    @property
    def recognised(self) -> float:
        """Share of the shapes whose kind and colour are both recognised; 0 without shapes."""
        both = (self.kind >= 0) & (self.colour >= 0)
        return float(both.sum() / max(len(both), 1))

    def kind_shares(self) -> Floats:
        """Share of each of KINDS (3,) among the shapes whose kind is recognised."""
        return _shares(self.kind, len(KINDS))

    def colour_shares(self) -> Floats:
        """Share of each of COLOURS (5,) among the shapes whose colour is recognised."""
        return _shares(self.colour, len(COLOURS))

    def count_shares(self) -> Floats:
        """Share of the images with 0, 1, ... MOST_SHAPES and with more shapes."""
        return _shares(np.minimum(self.counts, MOST_SHAPES + 1), MOST_SHAPES + 2)


class Reader(BaseEstimator):
    """Reads images like those of `shapes.draw`, of the one size that it was calibrated for.

    An image is corrupted if any neighbourhood in it is red. The threshold lies in the middle
    between the reddest clean and the least red corrupted drawing.

    Shapes are what stands out from the background, without the red. A shape has the palette's
    nearest colour if the root mean square difference from it, over the shape's inside, is below
    `NEAR`: one that is of two colours has none. Its kind is the one whose average picture is
    nearest to its own, which is scaled to unit area about its centroid. It is recognised if it is
    as near to that as most drawings are, or nearer than halfway between the closest two averages.
    The first decides in images of 16 pixels. In larger ones, drawings are ever more like their
    averages, and it alone would reject what is blurred by a hair.

    Red circles cut into the shapes below them, and shapes that are cut are mostly not recognised:
    compare readings of images without corruption.

    recognised : share of the drawn shapes, in (0, 1], that are near enough to an average, at least

    After `fit` it has

    resolution_          R, the side of an image in pixels
    red_threshold_       images that score more are corrupted
    averages_            (3, GRID^2), the average picture of each of KINDS, in [0, 1]
    kind_threshold_      Euclidean distance from the nearest average that is still recognised
    speck_area_          pixels that a shape must have
    precision_, recall_  of the corruption on the held-out drawings
    recognised_          share of the shapes in held-out clean drawings that are recognised
    accuracy_            of these, the share whose kind is right. Shapes of one colour but different
                         kinds in one image are left out: drawings do not tell which is which
    counted_             share of the held-out clean drawings with the right number of shapes
    """

    def __init__(self, recognised: float = 0.95):
        self.recognised = recognised

    def fit(self, drawn: Shapes) -> Self:
        """Calibrate on one half of drawings and measure the errors on the other.

        Raises `DrawingsError` if fewer than two drawings are corrupted or clean, or a kind is never
        seen, and `UnreadableError` if the drawings are not (n, R, R, 3) uint8.
        """
        _check_images(drawn.images)
        red = int(drawn.corrupted.sum())
        if min(red, len(drawn.images) - red) < 2:
            raise DrawingsError(
                f"{red} of {len(drawn.images)} drawings are corrupted: calibration needs at least "
                "two corrupted and two clean ones; draw more, with a share between 0 and 1"
            )
        every = np.arange(len(drawn.images))
        first, second = train_test_split(
            every, test_size=0.5, random_state=0, stratify=drawn.corrupted
        )
        self.resolution_ = drawn.images.shape[1]
        self._calibrate(drawn, first)
        self._validate(drawn, second)
        return self

    def _calibrate(self, drawn: Shapes, half: Integers) -> None:
        score, corrupted = redness(drawn.images[half]), drawn.corrupted[half]
        self.red_threshold_ = float(score[~corrupted].max() + score[corrupted].min()) / 2

        clean = half[~corrupted]  # where no shape is hidden
        seen = find(drawn.images[clean], speck_area=0)
        kinds = _drawn_kinds(drawn, clean[seen.image], seen.colour)
        missing = [name for k, name in enumerate(KINDS) if not (kinds == k).any()]
        if missing:
            raise DrawingsError(
                f"the clean drawings show no {' and no '.join(missing)} distinguishable from the "
                f"others, in {len(clean)} images of {self.resolution_} pixels; draw more, or larger"
            )
        self.speck_area_ = SPECK * float(seen.area.min())
        self.averages_ = np.stack(
            [seen.pictures[kinds == k].mean(axis=0) for k in range(len(KINDS))]
        )
        _, distance = pairwise_distances_argmin_min(seen.pictures, self.averages_)
        halfway = pdist(self.averages_).min() / 2
        self.kind_threshold_ = float(max(np.quantile(distance, self.recognised), halfway))

    def _validate(self, drawn: Shapes, half: Integers) -> None:
        found, truth = self.read(drawn.images[half]), drawn.corrupted[half]
        self.precision_ = float(precision_score(truth, found.corrupted, zero_division=0))
        self.recall_ = float(recall_score(truth, found.corrupted))
        clean = half[~truth]
        found = self.read(drawn.images[clean])
        kinds = _drawn_kinds(drawn, clean[found.image], found.colour)
        self.recognised_ = found.recognised
        known = (kinds >= 0) & (found.kind >= 0)
        self.accuracy_ = float((kinds == found.kind)[known].mean()) if known.any() else 0.0
        self.counted_ = float((found.counts == (drawn.kinds[clean] >= 0).sum(axis=1)).mean())

    def read(self, images: Picture) -> Reading:
        """Read images (n, R, R, 3), sRGB.

        Raises sklearn's `NotFittedError` if the reader is not calibrated, and `UnreadableError` if
        the images are not (n, R, R, 3) uint8 of the calibrated size.
        """
        check_is_fitted(self)
        _check_images(images)
        if images.shape[1] != self.resolution_:
            raise UnreadableError(
                f"the images have {images.shape[1]} pixels a side, but the reader is calibrated "
                f"for {self.resolution_}: fit another reader on drawings of this size"
            )
        seen, score = find(images, self.speck_area_), redness(images)
        kind, distance = np.zeros(0, np.intp), np.zeros(0)
        if len(seen.image):
            kind, distance = pairwise_distances_argmin_min(seen.pictures, self.averages_)
            distance /= self.kind_threshold_
        return Reading(
            corrupted=score > self.red_threshold_,
            score=score,
            counts=np.bincount(seen.image, minlength=len(images)),
            specks=seen.specks,
            image=seen.image,
            kind=np.where(distance <= 1, kind, -1),
            colour=np.where(seen.off_colour <= NEAR, seen.colour, -1),
            distance=distance,
        )


def overlap(reference: ArrayLike, found: ArrayLike) -> float:
    """How alike two histograms of shares (k,) are: sum min(p, q) / sum p, in [0, 1].

    It is 1 for equal ones, and 1/5 for a single colour where the reference has five equally often.
    Shapes that are not recognised count on neither side: how many they are is another question,
    which `Reading.recognised` answers.

    Raises `SharesError` if these are not two rows of as many shares, or the reference is empty.
    """
    p, q = _two_shares(reference, found)
    return float(np.minimum(p, q).sum() / p.sum())


def coverage(reference: ArrayLike, found: ArrayLike, least: float = 0.5) -> float:
    """How much of what the reference shows is found at all, in [0, 1].

    What is found at least `least` times as often as in the reference is covered: this tells a mode
    that was lost from one that is made too seldom. Parameters and errors are those of `overlap`.
    """
    p, q = _two_shares(reference, found)
    return float(p[q >= least * p].sum() / p.sum())


def _two_shares(reference: ArrayLike, found: ArrayLike) -> tuple[Floats, Floats]:
    p, q = np.asarray(reference, float), np.asarray(found, float)
    if p.ndim != 1 or p.shape != q.shape:
        raise SharesError(f"shares of shapes {p.shape} and {q.shape} must be equal and (k,)")
    for name, shares in (("reference", p), ("found", q)):
        if not (shares >= 0).all() or shares.sum() > 1 + 1e-6:
            raise SharesError(
                f"the {name} shares {shares} must not be negative or sum to more than 1"
            )
    if not p.any():
        raise SharesError("the reference has no positive share to cover")
    return p, q


def _drawn_kinds(drawn: Shapes, image: Integers, colour: Integers) -> Integers:
    """The kind (m,) drawn in an image and colour; -1 where there is none or more than one."""
    kinds = drawn.kinds[image]
    same = (kinds >= 0) & (drawn.colours[image] == colour[:, None])
    least = np.where(same, kinds, len(KINDS)).min(axis=1)
    return np.where(np.where(same, kinds, -1).max(axis=1) == least, least, -1)


def _shares(numbers: Integers, k: int) -> Floats:
    """Share of each number below k among those that are not -1; zeros without any."""
    known = numbers[numbers >= 0]
    return np.bincount(known, minlength=k) / max(len(known), 1)


def _check_images(images: Picture) -> None:
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[1] != array.shape[2] or array.shape[3] != 3 or not array.size:
        raise UnreadableError(f"images must be (n, R, R, 3) with n > 0, not {array.shape}")
    if array.dtype != np.uint8:
        raise UnreadableError(f"images must be uint8 sRGB in 0 ... 255, not {array.dtype}")
