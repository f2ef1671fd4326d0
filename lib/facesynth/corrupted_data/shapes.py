"""The synthetic images of Section 6: coloured shapes, of which red circles are the corruption.

The paper's has 10,000 images of 256 x 256 pixels. It does not say how many shapes there are, of
which kinds, colours and sizes, or how they are placed; here, one or two circles, squares and
triangles in five colours lie apart from each other. Red circles come last and anywhere, so that
where the damage is tells nothing about what lies under it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

KINDS = ("circle", "square", "triangle")
# Okabe and Ito's, which stay apart for colour-blind readers; none is near the red.
COLOURS = {
    "yellow": (240, 228, 66),
    "sky blue": (86, 180, 233),
    "green": (0, 158, 115),
    "blue": (0, 114, 178),
    "purple": (204, 121, 167),
}
RED = (213, 26, 26)
BACKGROUND = (26, 28, 32)
MOST_SHAPES = 2
RADII = (0.17, 0.22)  # of a circle, in sides of the image
REACH = {"circle": 1.0, "square": 0.9 * 2**0.5, "triangle": 1.45}  # to the corners, in radii
GAP = 0.05  # between shapes, at least, in sides of the image


@dataclass(frozen=True)
class Shapes:
    """Images of shapes and what is in them.

    Places and radii are in sides of the image, y downwards; unused places hold -1 as their kind.
    """

    images: NDArray[np.uint8]  # (n, R, R, 3) sRGB
    masks: NDArray[np.bool_]  # (n, R, R), False under red circles
    kinds: NDArray[np.intp]  # (n, MOST_SHAPES), numbers of KINDS
    colours: NDArray[np.intp]  # (n, MOST_SHAPES), numbers of COLOURS

    @cached_property
    def corrupted(self) -> NDArray[np.bool_]:
        """Which images show a red circle."""
        return np.logical_not(self.masks.all((1, 2)))

    @property
    def clean(self) -> NDArray[np.uint8]:
        """The images that show none."""
        return self.images[~self.corrupted]


def draw(n: int, resolution: int, corrupted: float, seed: int) -> Shapes:
    """Draw `n` images of which a share is corrupted by one or two red circles each.

    The shapes under the red circles depend on `seed` alone, not on the share. Raises ValueError if
    the share is not in [0, 1] or there are no pixels.
    """
    if not 0 <= corrupted <= 1:
        raise ValueError(f"the share of corrupted images must be in [0, 1], got {corrupted}")
    if n < 1 or resolution < 1:
        raise ValueError(
            f"n and resolution must be at least 1, got {n} images of {resolution} pixels"
        )
    rng = np.random.default_rng((seed, 0))
    kinds = np.full((n, MOST_SHAPES), -1)
    colours = np.zeros((n, MOST_SHAPES), int)
    places = np.zeros((n, MOST_SHAPES, 3))  # x, y, radius
    for i, count in enumerate(rng.integers(1, MOST_SHAPES + 1, n)):
        kinds[i, :count] = rng.integers(len(KINDS), size=count)
        colours[i, :count] = rng.integers(len(COLOURS), size=count)
        places[i, :count] = _apart(rng, kinds[i, :count])

    rng = np.random.default_rng((seed, 1))
    reds = np.where(rng.random(n) < corrupted, rng.integers(1, 3, n), 0)  # circles in each
    radii = rng.uniform(*RADII, (n, 2))
    centres = radii[..., None] + rng.random((n, 2, 2)) * (1 - 2 * radii[..., None])

    palette = np.array(list(COLOURS.values()), float)
    images = np.empty((n, resolution, resolution, 3), np.uint8)
    masks = np.ones((n, resolution, resolution), bool)

    def paint(part: NDArray[np.intp]) -> None:
        canvas = np.full((len(part), resolution, resolution, 3), BACKGROUND, float)
        for k in range(MOST_SHAPES):
            cover = _coverage(kinds[part, k], places[part, k], resolution)[..., None]
            canvas += cover * (palette[colours[part, k], None, None] - canvas)
        for k in range(2):
            there = np.where(reds[part] > k, 0, -1)
            place = np.concatenate([centres[part, k], radii[part, k, None]], axis=1)
            cover = _coverage(there, place, resolution)
            canvas += cover[..., None] * (np.array(RED) - canvas)
            masks[part] &= cover == 0
        images[part] = canvas + 0.5

    parts = np.array_split(np.arange(n), max(1, n * resolution**2 // 2**20))
    with ThreadPoolExecutor() as pool:
        list(pool.map(paint, parts))
    return Shapes(images, masks, kinds, colours)


def _apart(rng: np.random.Generator, kinds: NDArray[np.intp]) -> NDArray[np.float64]:
    """Places (count, 3) at which shapes touch neither each other nor the image's border.

    Large shapes rarely lie apart. Many places are tried at a time, and random numbers after those
    of the first that will do are given back, so that they do not depend on how many that is.
    """
    count, tries = len(kinds), 4
    while True:
        before, tries = rng.bit_generator.state, min(2 * tries, 512)
        drawn = rng.random((tries, 3 * count))
        radius = RADII[0] + (RADII[1] - RADII[0]) * drawn[:, :count]
        reach = radius * [REACH[KINDS[k]] for k in kinds]  # (tries, count)
        free = drawn[:, count:].reshape(tries, count, 2)
        centre = reach[..., None] + free * (1 - 2 * reach[..., None])
        distance = np.linalg.norm(centre[:, :, None] - centre[:, None], axis=-1)
        gap = distance - reach[:, :, None] - reach[:, None] + np.eye(count)
        good = np.flatnonzero((gap >= GAP).all(axis=(1, 2)))
        if len(good):
            rng.bit_generator.state = before
            rng.random((good[0] + 1, 3 * count))
            return np.column_stack([centre[good[0]], radius[good[0]]])


def _coverage(
    kinds: NDArray[np.intp], places: NDArray[np.float64], resolution: int
) -> NDArray[np.float64]:
    """How much of each pixel a shape covers: (n, R, R), from the signed distance to its outline."""
    axis = (np.arange(resolution) + 0.5) / resolution
    x = axis[None, None, :] - places[:, None, None, 0]
    y = axis[None, :, None] - places[:, None, None, 1]
    r = places[:, 2, None, None]
    half = 0.5 * REACH["triangle"]  # from a triangle's centre to its sides
    outside = {
        "circle": lambda: np.hypot(x, y) - r,
        "square": lambda: np.maximum(abs(x), abs(y)) - 0.9 * r,
        "triangle": lambda: np.maximum(y, 0.75**0.5 * abs(x) - 0.5 * y) - half * r,
    }
    cover = np.zeros((len(kinds), resolution, resolution))
    for number, kind in enumerate(KINDS):
        some = kinds == number
        if some.any():
            cover[some] = np.clip(0.5 - outside[kind]()[some] * resolution, 0, 1)
    return cover


def misfit(masks: NDArray[np.bool_], grow: int = 0, shift: int = 0) -> NDArray[np.bool_]:
    """Make masks inaccurate, as careless annotation would.

    masks : (n, R, R), True where a pixel is valid, as in the result
    grow  : pixels by which the invalid regions grow on all sides, or shrink where it is negative
    shift : pixels by which they move to the right; what comes in at the left is valid
    """
    invalid = ~masks
    disc = np.hypot(*np.mgrid[-abs(grow) : abs(grow) + 1, -abs(grow) : abs(grow) + 1]) <= abs(grow)
    if grow > 0:
        invalid = ndimage.binary_dilation(invalid, disc[None])
    elif grow < 0:
        invalid = ndimage.binary_erosion(invalid, disc[None], border_value=1)
    return np.logical_not(ndimage.shift(invalid, (0, 0, shift), order=0))
