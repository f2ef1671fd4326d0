"""Drawing on the face: hairs, spots and lines that are as large at any resolution.

Hairs and spots are drawn in the unrolled plane of the face (`anatomy.unroll`), on a grid finer
than themselves. The drawing is filtered to the size of the image's pixels and looked up where each
pixel lies: what is finer than a pixel blends into a tint.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facesynth.population.anatomy import Anatomy, skin
from facesynth.population.lookup import LookUp
from facesynth.population.noise import Floats

_HAIR_WIDTH = 0.11  # mm at the root: a hair with its sheen
_WIDEST = 1.0  # mm, radius of the largest spots


def blend(rgb: Floats, coverage: Floats, colour: Floats) -> None:
    """Cover pixels of a texture (p, 3) by a colour (3,) or (p, 3) to the share given (p,)."""
    rgb += coverage[:, None] * (colour - rgb)


def line(distance: Floats, width: float, texel: Floats | float) -> Floats:
    """Coverage of a line of Gaussian profile, `width` mm wide, at `distance` mm from its middle.

    A line thinner than a pixel is drawn a pixel wide and fainter by as much: what an area-sampling
    camera would see.
    """
    wide = np.hypot(np.float32(width), np.float32(0.6) * texel)
    profile = width / wide * np.exp(-((distance / wide) ** 2))
    return np.asarray(profile, dtype=np.float32)


def scatter(density: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Draw n places (n, 2) in the unrolled plane, as dense as given at the head's vertices (m,)."""
    head = skin()
    share = np.cumsum(density[head.faces].mean(axis=1) * head.area)
    triangle = np.searchsorted(share, rng.random(n) * share[-1]).clip(max=len(head.faces) - 1)
    u, v = rng.random((2, n))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)
    return np.einsum("nk,nkc->nc", weights, head.plane[head.faces[triangle]])


@dataclass
class Strands:
    """Hairs in the unrolled plane; arrays (n,) unless said otherwise."""

    roots: NDArray[np.floating]  # (n, 2) mm
    angle: NDArray[np.floating]  # radians, direction at the root; 0 is +s, ½π is +t
    bend: NDArray[np.floating]  # radians that the hair turns over its length
    length: NDArray[np.floating]  # mm
    grey: NDArray[np.bool_]  # which have lost their pigment


class Plane:
    """A window of the unrolled plane: where hairs are drawn, and which pixels see it.

    s, t : (low, high) of the window, mm. grid : distance of the drawing's samples, mm.
    """

    def __init__(
        self, anatomy: Anatomy, s: tuple[float, float], t: tuple[float, float], grid: float
    ) -> None:
        self.grid = grid
        inside = (anatomy.s > s[0]) & (anatomy.s < s[1]) & (anatomy.t > t[0]) & (anatomy.t < t[1])
        self.pixels = np.flatnonzero(inside)
        texel = float(np.median(anatomy.texel[self.pixels])) if self.pixels.size else grid
        self._blur = 0.45 * texel / grid
        at = np.stack([anatomy.t, anatomy.s])[:, self.pixels]
        at = (at - np.array([[t[0]], [s[0]]])) / grid
        # of the window, no more than the pixels see, and filters reach
        reach = int(3 * np.hypot(_WIDEST / grid, self._blur)) + 2
        whole = [int((t[1] - t[0]) / grid), int((s[1] - s[0]) / grid)]
        first = np.maximum(at.min(axis=1, initial=np.inf).clip(max=whole).astype(int) - reach, 0)
        last = np.minimum(at.max(axis=1, initial=0).astype(int) + 1 + reach, whole)
        self.low = np.array([s[0], t[0]]) + grid * first[::-1]
        self.shape = tuple(np.maximum(last - first + 1, 2).tolist())
        self._look_up = LookUp(at - first[:, None], self.shape)

    def draw(self, strands: Strands) -> tuple[Floats, Floats]:
        """Coverage by pigmented and by grey hairs, each (p,) in [0, 1], of the window's pixels."""
        depth = [self._deposit(strands, strands.grey == grey) for grey in (False, True)]
        total = depth[0] + depth[1]
        cover = (1 - np.exp(-total)) / np.maximum(total, 1e-6)
        return self._seen(depth[0] * cover), self._seen(depth[1] * cover)

    def dots(self, places: Floats, strength: NDArray[np.floating], radius: float) -> Floats:
        """Sum (p,) at the window's pixels of Gaussian spots, `radius` mm wide, at places (n, 2)."""
        cell = np.round((places - self.low) / self.grid).astype(int)
        h, w = self.shape
        inside = ((cell >= 0) & (cell < [w, h])).all(axis=1)
        column, row = cell[inside].T
        image = np.bincount(row * w + column, strength[inside], minlength=h * w)
        sigma = np.hypot(radius / self.grid, self._blur)
        image = gaussian_filter(image.reshape(h, w).astype(np.float32), sigma, truncate=3)
        image *= 2 * np.pi * (radius / self.grid) ** 2  # the filter made volumes of one
        return self._look_up(image)

    def _deposit(self, strands: Strands, which: NDArray[np.bool_]) -> Floats:
        """Area of hair on each grid cell, over the cell's area."""
        h, w = self.shape
        if not which.any():
            return np.zeros((h, w), dtype=np.float32)
        length = strands.length[which].astype(np.float32)
        pace = self.grid * max(1, 2 * self._blur)  # what is blurred needs no finer steps
        k = max(2, int(np.ceil(length.max() / pace)))
        u = ((np.arange(k) + 0.5) / k).astype(np.float32)
        angle = strands.angle[which, None] + strands.bend[which, None] * u  # (n, k)
        angle = angle.astype(np.float32)
        step = (length / k / self.grid)[:, None]
        root = ((strands.roots[which] - self.low) / self.grid).astype(np.float32)
        column = (root[:, :1] + np.cumsum(np.cos(angle), axis=1) * step).ravel()
        row = (root[:, 1:] + np.cumsum(np.sin(angle), axis=1) * step).ravel()
        width = _HAIR_WIDTH / self.grid * (1 - 0.75 * u * u)  # tapers to the tip
        weight = (width * step).ravel()
        inside = (column >= 0) & (column < w - 1) & (row >= 0) & (row < h - 1)
        column, row, weight = column[inside], row[inside], weight[inside]
        i, j = row.astype(np.int32), column.astype(np.int32)
        a, b = row - i, column - j
        cell = i * w + j
        # splat on the four grid points around
        cells = np.concatenate([cell, cell + 1, cell + w, cell + w + 1])
        shares = [(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b]
        area = np.bincount(cells, np.concatenate(shares) * np.tile(weight, 4), minlength=h * w)
        return area.reshape(h, w).astype(np.float32)

    def _seen(self, image: Floats) -> Floats:
        if not image.any():
            return np.zeros(len(self.pixels), dtype=np.float32)
        if self._blur > 0.3:
            image = gaussian_filter(image, self._blur, truncate=2.5)
        return self._look_up(image)
