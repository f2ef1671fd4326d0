"""Geometries as images: the faces of Section 8, in which X, Y and Z take the place of colours.

"The same methodology can be used for producing new geometries as well": the universal mapping takes
a face's coordinates to an image, a GAN learns from such images, and what it makes is taken back.
Networks make errors in proportion to the range of what they make, so images hold what a face
differs from a mean face, divided by the largest such difference along each axis and then some.

The paper's augmentation mirrors each of the three coordinates on its own, eight variants in all.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesynth.mesh import MeshArrayError
from facesynth.population import template
from facesynth.universal_mapping import UniversalMapping

MARGIN = 1.25  # range of the images, in parts of the training set's: GANs make faces beyond it
AXES = ("X", "Y", "Z")


class GeometryRangeError(ValueError):
    """A face that is too far from the mean for images of this range."""


@dataclass(frozen=True)
class GeometryImages:
    """Takes faces to images in [-1, 1] and back.

    mapping  between vertices and images of R x R pixels
    mean     (m, 3) mm, of faces and their mirror images: it is its own
    reach    (3,) mm, the difference from the mean that an image shows as 1, along each axis
    """

    mapping: UniversalMapping
    mean: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def fit(cls, mapping: UniversalMapping, geometry: NDArray[np.floating]) -> "GeometryImages":
        """Measure mean and range of faces (n, m, 3) mm. Raises `MeshArrayError`."""
        _check_geometry(geometry)
        mean = geometry.mean(axis=0, dtype=np.float64)
        mean = (mean + mean[template().mirror] * [-1, 1, 1]) / 2
        largest = np.abs(geometry - mean).max(axis=(0, 1))
        reach = MARGIN * np.maximum(largest, 1.0)  # mm: a single face differs from nothing
        return cls(mapping, mean.astype(np.float32), reach.astype(np.float32))

    def to_images(self, geometry: NDArray[np.floating]) -> NDArray[np.float32]:
        """Faces (n, m, 3) mm to images (n, R, R, 3) in [-1, 1].

        Raises `MeshArrayError` for faces that do not fit, and `GeometryRangeError` for those that
        are outside of the range.
        """
        _check_geometry(geometry)
        values = (geometry - self.mean) / self.reach
        beyond = np.abs(values).max(axis=1)  # (n, 3)
        if beyond.max() > 1:
            face, axis = np.unravel_index(beyond.argmax(), beyond.shape)
            reach = self.reach[axis]
            raise GeometryRangeError(
                f"face {face} is {beyond[face, axis] * reach:.1f} mm from the mean along "
                f"{AXES[axis]}, and the images hold {reach:.1f} mm: is it moved onto the template, "
                "and in mm? If so, fit with it"
            )
        return self.mapping.to_image(values).astype(np.float32)

    def to_geometry(self, images: NDArray[np.floating]) -> NDArray[np.float32]:
        """Images (n, R, R, 3) to faces (n, m, 3) mm. Raises `MeshArrayError`."""
        if images.ndim != 4 or images.shape[3] != 3:
            raise MeshArrayError(f"images must be (n, R, R, 3), not {images.shape}")
        if not np.isfinite(images).all():
            raise MeshArrayError("images come with NaN or infinite pixels")
        return (self.mean + self.reach * self.mapping.to_vertices(images)).astype(np.float32)


class MirroredImages:
    """Images (n, R, R, c) and their mirror images, which are made when they are asked for.

    Reads like an array (2^g n, R, R, c), for `gan.Images`.

    Parameters
    ----------
    images : (n, R, R, c) floating
        Of faces whose mirror plane is the image's middle column.
    groups : sequence of g sequences of channels
        Those that are mirrored together: `EACH` for the eightfold augmentation of Section 8.
    negated : sequence of channels
        That change their sign when they are mirrored, as X does: "one should perform C - X", and C
        is 0 where X is counted from the mirror plane.
    """

    def __init__(
        self, images: NDArray[np.floating], groups: Sequence[Sequence[int]], negated: Sequence[int]
    ) -> None:
        self.images, self.groups, self.negated = images, groups, negated
        self.variants = list(itertools.product((False, True), repeat=len(groups)))
        self.shape = (len(self.variants) * len(images), *images.shape[1:])
        self.ndim, self.dtype = images.ndim, images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: NDArray[np.integer]) -> NDArray[np.floating]:
        """Images (b, R, R, c) by their numbers (b,): the first n are not mirrored."""
        variant, number = np.divmod(index, len(self.images))
        chosen: NDArray[Any] = self.images[number].copy()
        for k, mirrored in enumerate(np.array(self.variants)[variant].T):
            for channel in self.groups[k]:
                sign = -1 if channel in self.negated else 1
                chosen[mirrored, ..., channel] = sign * chosen[mirrored, :, ::-1, channel]
        return chosen


EACH = ((0,), (1,), (2,))  # X, Y and Z on their own


def eightfold(images: NDArray[np.floating]) -> MirroredImages:
    """Geometry images (n, R, R, 3) in all eight variants of Section 8."""
    return MirroredImages(images, EACH, negated=(0,))


def _check_geometry(geometry: NDArray[np.floating]) -> None:
    shape = template().vertices.shape
    if geometry.ndim != 3 or geometry.shape[1:] != shape or not len(geometry):
        raise MeshArrayError(f"faces must be (n, {shape[0]}, 3), not {geometry.shape}")
    bad = np.flatnonzero(~np.isfinite(geometry).all(axis=(1, 2)))
    if len(bad):
        raise MeshArrayError(f"{len(bad)} faces hold NaN or infinite numbers, the first {bad[0]}")
