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


EACH = ((0,), (1,), (2,))  # X, Y and Z, mirrored on their own
NEGATED = (0,)  # "one should perform C - X", and C is 0 where X is counted from the mirror plane


def mirrored(images: NDArray[np.floating], channels: Sequence[int]) -> NDArray[np.floating]:
    """Mirror some channels of geometry images (n, R, R, 3): X changes its sign."""
    turned = images.copy()
    for channel in channels:
        sign = -1 if channel in NEGATED else 1
        turned[..., channel] = sign * images[:, :, ::-1, channel]
    return turned


def eightfold(images: NDArray[np.floating]) -> NDArray[np.floating]:
    """Geometry images (n, R, R, 3) in all variants of Section 8: (8, n, R, R, 3).

    The first is as it was, the last the faces in a mirror.
    """
    chosen = itertools.chain.from_iterable(itertools.combinations(range(3), k) for k in range(4))
    return np.stack([mirrored(images, channels) for channels in chosen])


def _check_geometry(geometry: NDArray[np.floating]) -> None:
    shape = template().vertices.shape
    if geometry.ndim != 3 or geometry.shape[1:] != shape or not len(geometry):
        raise MeshArrayError(f"faces must be (n, {shape[0]}, 3), not {geometry.shape}")
    bad = np.flatnonzero(~np.isfinite(geometry).all(axis=(1, 2)))
    if len(bad):
        raise MeshArrayError(f"{len(bad)} faces hold NaN or infinite numbers, the first {bad[0]}")
