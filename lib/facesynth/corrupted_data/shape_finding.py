"""Detection of shapes and redness in images (Section 6), before classification.

What `shape_reading` decides from: connected components that stand out from the background without
being red, with their nearest colour and a picture of their outline at unit area.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_erosion,
    distance_transform_edt,
    generate_binary_structure,
    label,
    map_coordinates,
    uniform_filter,
)

from .shapes import BACKGROUND, COLOURS

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.intp]
Picture = NDArray[np.uint8]

PALETTE = np.array(list(COLOURS.values()), np.float32) - BACKGROUND  # above the background
VISIBLE = 64  # of 255, above the background: half of what green has, the darkest colour
GRID = 12  # cells along a side of the window that a shape's kind is recognised by,
WINDOW = 2.0  # whose side is this many square roots of the shape's area: a triangle's corners fit
_IN_PLANE = np.zeros((3, 3, 3), bool)  # neighbours in a stack (n, R, R): four, none across images
_IN_PLANE[1] = generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Found:
    """The m shapes of n images, before classification."""

    specks: Integers  # (n,)
    image: Integers  # (m,)
    area: Integers  # (m,) pixels
    colour: Integers  # (m,) the nearest in COLOURS
    off_colour: Floats  # (m,) root mean square difference from it, of 255
    pictures: Floats  # (m, GRID^2) coverage in [0, 1]


def redness(images: Picture) -> Floats:
    """Score (n,) in [0, 1] of images (n, R, R, 3): how red their reddest neighbourhood is.

    A pixel's redness is R - max(G, B); the neighbourhood is smaller than any red circle, and large
    enough that a few pixels do not matter.
    """
    side = max(3, images.shape[1] // 16 | 1)  # pixels, odd
    scores = []
    for part in _parts(images):
        red = np.maximum(_red(part.astype(np.float32)), 0) / 255
        scores.append(uniform_filter(red, (1, side, side), mode="constant").max(axis=(1, 2)))
    return np.concatenate(scores)


def find(images: Picture, speck_area: float) -> Found:
    """Find the shapes in images (n, R, R, 3); spots of fewer pixels than given are specks."""
    start, parts = 0, []
    for part in _parts(images):
        specks, image, *others = _find_in_part(part, speck_area)
        parts.append((specks, image + start, *others))
        start += len(part)
    return Found(*map(np.concatenate, zip(*parts, strict=True)))


def _find_in_part(images: Picture, speck_area: float) -> tuple[NDArray[Any], ...]:
    """The fields of `Found`; sums over components are made by bincount with their numbers."""
    n = len(images)
    pixels = images.astype(np.float32)
    red = _red(pixels)
    pixels -= np.array(BACKGROUND, np.float32)
    # More than half of what these show is red. Rims of circles are dark: no fixed limit finds them.
    pixels[red > 0.5 * _largest(pixels)] = 0
    shown = _largest(np.abs(pixels)) > VISIBLE
    labels, count = label(shown, _IN_PLANE)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    first = np.zeros(count + 1, np.intp)  # the image that a component is in
    first[labels[shown]] = np.nonzero(shown)[0]
    large = area >= speck_area
    large[0] = False
    specks = np.bincount(first[1:][~large[1:]], minlength=n)
    number = np.where(large, np.cumsum(large) - 1, -1)  # of the shapes, from 0 on
    owner = number[labels]  # (n, R, R)
    m = int(large.sum())
    if not m:
        nothing = np.zeros(0, np.intp)
        return specks, nothing, nothing, nothing, np.zeros(0), np.zeros((0, GRID**2))

    inside = binary_erosion(owner >= 0, _IN_PLANE)
    shape, colours = owner[owner >= 0], pixels[owner >= 0]
    # the rim's soft pixels count only where a shape is too thin to have an inside
    weight = np.where(inside[owner >= 0], 1, 1e-3)
    total = np.bincount(shape, weight, m)
    mean = np.stack([np.bincount(shape, weight * c, m) for c in colours.T], axis=1) / total[:, None]
    squares = [np.bincount(shape, weight * ((colours - c) ** 2).sum(axis=1), m) for c in PALETTE]
    off = np.sqrt(np.stack(squares, axis=1) / total[:, None])  # (m, colours)
    pictures = _pictures(pixels, owner, first[large], mean)
    return specks, first[large], area[large], off.argmin(axis=1), off.min(axis=1), pictures


def _pictures(pixels: Floats, owner: Integers, image: Integers, colour: Floats) -> Floats:
    """Sample the coverage of shapes about their centroids, at unit area: (m, GRID^2).

    pixels : (n, R, R, 3) above the background; owner : (n, R, R) numbers of shapes or -1;
    image : (m,); colour : (m, 3) of the shapes' insides, above the background.
    """
    m, R = len(image), owner.shape[1]
    # Soft rims belong to the nearest shape. Images lie further apart than a pixel's reach.
    far, nearest = distance_transform_edt(owner < 0, sampling=(2 * R, 1, 1), return_indices=True)
    owner = np.where(far <= max(1.5, R / 16), owner[tuple(nearest)], -1)
    z, y, x = np.nonzero(owner >= 0)
    shape = owner[z, y, x]
    along = (pixels[z, y, x] * colour[shape]).sum(axis=1) / (colour**2).sum(axis=1)[shape]
    cover = np.zeros(owner.shape, np.float32)
    cover[z, y, x] = part = np.clip(along, 0, 1)
    area = np.bincount(shape, part, m)
    middle = np.stack([np.bincount(shape, part * axis, m) / area for axis in (y, x)])  # (2, m)

    cells = ((np.arange(GRID) + 0.5) / GRID - 0.5) * WINDOW
    offsets = np.stack(np.meshgrid(cells, cells, indexing="ij")).reshape(2, 1, -1)
    places = middle[..., None] + np.sqrt(area)[:, None] * offsets  # (2, m, GRID^2), y and x
    places = np.concatenate([np.broadcast_to(image[:, None], (1, *places.shape[1:])), places])
    own = map_coordinates(owner, places, order=0, cval=-1) == np.arange(m)[:, None]
    return map_coordinates(cover, places, order=1) * own


def _red(pixels: Floats) -> Floats:
    return pixels[..., 0] - _largest(pixels[..., 1:])


def _largest(pixels: Floats) -> Floats:
    """The largest channel; ten times as fast as `max` along so short an axis."""
    return reduce(np.maximum, np.moveaxis(pixels, -1, 0))


def _parts(images: Picture) -> list[Picture]:
    """A stack in parts of about a million pixels, so that memory does not grow with n."""
    return np.array_split(images, max(1, images[..., 0].size >> 20))
