"""Geometries as images: the faces of Section 8, in which X, Y and Z take the place of colours.

"The same methodology can be used for producing new geometries as well": the universal mapping takes
a face's coordinates to an image, a GAN learns from such images, and what it makes is taken back.
A network's errors are the same all over an image, but jaws move by centimetres and eyelids do not.
So images hold what a face differs from the mean face, in parts of how much faces differ at that
point along that axis: three standard deviations there are 1.

The paper's augmentation mirrors each of the three coordinates on its own, eight variants in all.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.surface.mesh import MeshArrayError

DEVIATIONS = 3.0  # standard deviations from the mean that an image shows as 1
LEAST = 0.2  # mm, of a standard deviation: a single face differs from nothing
FARTHEST = 5.0  # in images; where faces are aligned, and in mm, they stay below 3
AXES = ("X", "Y", "Z")


class GeometryRangeError(ValueError):
    """A face that is too far from the mean for images of this range."""


@dataclass(frozen=True)
class GeometryImages:
    """Takes faces to images, most of them in [-1, 1], and back.

    mapping  between vertices and images of R x R pixels
    mean     (m, 3) mm, of faces and their mirror images: it is its own
    unit     (m, 3) mm, the difference from the mean that an image shows as 1; as symmetric
    """

    mapping: UniversalMapping
    mean: NDArray[np.float32]
    unit: NDArray[np.float32]

    @classmethod
    def fit(cls, mapping: UniversalMapping, geometry: NDArray[np.floating]) -> "GeometryImages":
        """Measure how faces (n, m, 3) mm vary, with their mirror images if there is a mirror.

        Raises `MeshArrayError`.
        """
        _check_geometry(geometry, mapping)
        mean = geometry.mean(axis=0, dtype=np.float64)
        mirror = mapping.template.mirror
        if mirror is not None:
            mean = (mean + mean[mirror] * [-1, 1, 1]) / 2
        variance = np.square(geometry - mean).mean(axis=0)
        if mirror is not None:
            variance = (variance + variance[mirror]) / 2
        deviation = np.sqrt(variance)
        unit = DEVIATIONS * np.maximum(deviation, LEAST)
        return cls(mapping, mean.astype(np.float32), unit.astype(np.float32))

    def to_images(self, geometry: NDArray[np.floating]) -> NDArray[np.float32]:
        """Faces (n, m, 3) mm to images (n, R, R, 3).

        Raises `MeshArrayError` for faces that do not fit, and `GeometryRangeError` for those that
        are too far from the mean.
        """
        _check_geometry(geometry, self.mapping)
        values = (geometry - self.mean) / self.unit
        beyond = np.abs(values).max(axis=1)  # (n, 3)
        if beyond.max() > FARTHEST:
            face, axis = np.unravel_index(beyond.argmax(), beyond.shape)
            vertex = int(np.abs(values[face, :, axis]).argmax())
            away = abs(float((geometry[face] - self.mean)[vertex, axis]))
            raise GeometryRangeError(
                f"face {face} is {away:.1f} mm from the mean along {AXES[axis]} at vertex {vertex},"
                f" {DEVIATIONS * beyond[face, axis]:.0f} standard deviations: is it moved onto the "
                "template, and in mm? If so, fit with it"
            )
        return self.mapping.to_image(values).astype(np.float32)

    def to_geometry(self, images: NDArray[np.floating]) -> NDArray[np.float32]:
        """Images (n, R, R, 3) to faces (n, m, 3) mm. Raises `MeshArrayError`."""
        if images.ndim != 4 or images.shape[3] != 3:
            raise MeshArrayError(f"images must be (n, R, R, 3), not {images.shape}")
        if not np.isfinite(images).all():
            raise MeshArrayError("images come with NaN or infinite pixels")
        return (self.mean + self.unit * self.mapping.to_vertices(images)).astype(np.float32)


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


def _check_geometry(geometry: NDArray[np.floating], mapping: UniversalMapping) -> None:
    shape = mapping.template.vertices.shape
    if geometry.ndim != 3 or geometry.shape[1:] != shape or not len(geometry):
        raise MeshArrayError(f"faces must be (n, {shape[0]}, 3), not {geometry.shape}")
    bad = np.flatnonzero(~np.isfinite(geometry).all(axis=(1, 2)))
    if len(bad):
        raise MeshArrayError(f"{len(bad)} faces hold NaN or infinite numbers, the first {bad[0]}")
