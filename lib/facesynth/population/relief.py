"""The skin's fine relief: one displacement field in mm for each face, in the canonical image.

Everything that a mesh of ten thousand vertices cannot carry is in this field: pores, creases,
wrinkles of age, and those that an expression makes. The same field shades the texture (`cavity`:
hollows see less light, and redder light) and bends the normals of a render, so that what is seen in
the texture is there in the shape. Positive is outwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import Appearance
from facesynth.population.noise import Floats, SolidNoise, gaussian, smoothstep

# Wrinkles by the direction across them, radians from the horizontal. An expression deepens those
# across which it squeezes the skin.
_TURNS = np.pi * np.array([0.0, 0.25, 0.5, 0.75])
_WRINKLE_CELL = (2.6, 15.0)  # mm across and along the lines that skin can fold into
_FOLDING = 4.5  # mm of depth for the share of length that the skin loses
_DEEPEST = 0.7  # mm that a squeeze can add
_FOREHEAD_LINES = (37.0, 43.5, 51.0, 58.0, 65.0)  # mm over the eyes
_CROW_FEET = (-0.62, -0.30, -0.02, 0.24, 0.5)  # slopes of the lines at the eyes' outer corners
_CAVITY_SCALES = ((0.45, 1.0), (1.3, 0.9), (4.0, 0.5))  # mm, weight: how wide hollows are


class Relief:
    """Displacement fields (R²,) of one subject after another."""

    def __init__(self, anatomy: Anatomy) -> None:
        a = self.anatomy = anatomy
        place = np.stack([a.x, a.y, a.z], axis=1)
        self.skin = ((1 - a.lips) * (1 - smoothstep(0.02, 0.4, a.eye))).astype(np.float32)
        self._pores = SolidNoise(place, 0.85, a.texel)
        # Furrows run across the lip: narrow along x, long along y and z.
        self._furrows = SolidNoise(place, (0.9, 7.0, 7.0), a.texel)
        self._lines = [_Lines(a, turn) for turn in _TURNS]
        nose = gaussian(a.x, 0, 13) * gaussian(a.y, a.nose_base + 12, 14)
        cheek = gaussian(a.side_x, 24, 12) * gaussian(a.y, -33, 15)
        brow = gaussian(a.x, 0, 22) * gaussian(a.y, 30, 18)
        self._porous = np.clip(0.45 + 0.75 * nose + 0.65 * cheek + 0.25 * brow, 0, 1.3)
        # Skin is thin and folds finely around the eyes and on the forehead; cheeks are cushions.
        eye = np.minimum(a.upper_lid, a.lower_lid)
        around_eye = smoothstep(22, 8, eye) * smoothstep(-28, -16, a.y)
        forehead = smoothstep(8, 22, a.y)
        self._thin = np.maximum(0.12, np.maximum(around_eye, forehead)).astype(np.float32)
        texel = float(np.median(a.texel[self.skin > 0.9]))
        self._blurs = [(mm / texel, weight / mm) for mm, weight in _CAVITY_SCALES]

    def field(
        self,
        look: Appearance,
        noise: list[Floats],
        squeeze: Floats | None,
        rng: np.random.Generator,
    ) -> Floats:
        """Displacement (R²,) in mm of one subject.

        noise : fields (R²,) of unit variance, coarse to fine. squeeze : (R², 3) the tensor of
        `Compression`, None for a neutral face. rng : for the places of pores and wrinkles, which
        are the same in all of a subject's expressions.
        """
        a = self.anatomy
        ages = look.wrinkles
        of_pores, of_lines, of_wrinkles = rng.spawn(3)
        # pores of common size are small pits in flat skin
        pits = 0.066 * smoothstep(0.5, 2.1, self._pores.sample(of_pores))
        height = -look.pores * self._porous * pits
        _, _, n5, n2, n1, n04 = noise
        height += (0.05 + 0.05 * ages) * n5 + (0.018 + 0.022 * ages) * n2
        height += look.pores * (0.013 * n1 + 0.022 * n04)
        furrows = self._furrows.sample(of_pores)
        folding = _Folding(0.9 * noise[1] + 1.2 * noise[0], squeeze)
        for depth in self._folds(look, folding, of_wrinkles):
            height -= depth
        height -= self._dynamic(look, squeeze, of_lines)
        height *= self.skin
        height -= 0.045 * (1 + 0.8 * ages) * a.lips * (np.maximum(furrows, -0.3) - 0.27)
        return height

    def cavity(self, height: Floats) -> Floats:
        """How hollow the relief (R²,) is at each pixel: depth over width, positive in hollows."""
        size = self.anatomy.resolution
        image = height.reshape(size, size)
        total = np.zeros_like(image)
        for sigma, weight in self._blurs:
            if sigma > 0.35:  # finer than a pixel otherwise
                total += weight * (gaussian_filter(image, sigma, truncate=2.5) - image)
        return total.ravel()

    def _dynamic(
        self, look: Appearance, squeeze: Floats | None, rng: np.random.Generator
    ) -> Floats | float:
        """Depth (R²,) in mm of the wrinkles that an expression makes, and of old skin's fine ones.

        Skin folds into lines across the direction in which it is squeezed; where the lines lie is
        the subject's own.
        """
        total: Floats | float = 0.0
        for lines, turn in zip(self._lines, _TURNS, strict=True):
            # faint creases stay for good in old skin
            stays = 0.022 * max(0.0, look.wrinkles - 0.3)
            if squeeze is None and stays == 0:
                rng.spawn(1)
                continue
            depth = stays
            if squeeze is not None:
                fold = self._thin * _fold_depth(squeeze, turn)
                depth = depth + (0.30 + 0.45 * min(look.wrinkles, 1.2)) * fold
            total = total + depth * lines.sample(rng)
        return total

    def _folds(
        self, look: Appearance, folding: "_Folding", rng: np.random.Generator
    ) -> Iterator[Floats]:
        """Depths (R²,) in mm of the creases that all faces have in the same places."""
        a, ages, wander = self.anatomy, look.wrinkles, folding.wander
        # nose to mouth
        down = np.clip((a.nose_base + 14 - a.y) / 36, 0, 1.2)
        beside = a.side_x - (18.0 + 13.0 * down**0.9) + 0.9 * wander
        window = smoothstep(0, 0.25, down) * smoothstep(1.2, 0.75, down)
        yield folding.depth(0.05 + 0.60 * ages, 0.25 * np.pi) * window * self._step(beside, 2.4)
        # corners of the mouth, downwards
        below = smoothstep(a.lip_bottom + 10, a.lip_bottom + 2, a.y)
        below *= smoothstep(a.lip_bottom - 22, a.lip_bottom - 8, a.y)
        corner = a.side_x - 28 + 0.12 * (a.y - a.lip_bottom) + 0.5 * wander
        yield 0.55 * max(0.0, ages - 0.15) * below * self._furrow(corner, 1.5)
        # lids and what lies below them
        above = smoothstep(0, 3, a.y - a.curve("left_upper_lid")[:, 1].mean() + 2)
        above *= smoothstep(0.02, 0.15, a.upper_lid_at) * smoothstep(1.0, 0.85, a.upper_lid_at)
        yield 1.1 * look.lid_crease * above * self._furrow(a.upper_lid - 3.0 - 0.1 * wander, 0.7)
        under = smoothstep(0, -2.5, a.y) * smoothstep(8, 14, a.side_x)
        under *= smoothstep(46, 36, a.side_x)
        for mm, depth, least in ((4.4, 0.26, 0.06), (7.6, 0.17, 0.02), (11.5, 0.12, 0.0)):
            line = a.lower_lid - mm + 0.07 * mm * wander
            folded = folding.depth(least + depth * ages, np.pi / 2, 0.5)
            yield folded * under * self._furrow(line, 0.6)
        yield from self._upper_face(ages, folding, rng)

    def _upper_face(
        self, ages: float, folding: "_Folding", rng: np.random.Generator
    ) -> Iterator[Floats]:
        """Forehead, frown, and the outer corners of the eyes."""
        a, wander = self.anatomy, folding.wander
        for height in _FOREHEAD_LINES:
            bow, shift = rng.normal(0, [3.0, 1.4])
            middle, share, width = rng.random(3)
            curve = a.y - height - 1.1 * wander - bow * (a.x / 35) ** 2 - shift
            window = gaussian(a.x, 16 * (middle - 0.5), 17 + 10 * width)
            still = (0.05 + 0.30 * share) * ages
            yield folding.depth(still, np.pi / 2) * window * self._furrow(curve, 0.75)
        out, up = a.side_x - 44, a.y + 1
        window = smoothstep(0, 4, out) * smoothstep(21, 9, out)
        for slope in _CROW_FEET:
            jitter, share = rng.normal(0, 0.06), rng.random()
            line = up - (slope + jitter) * out - 0.008 * out**2 * np.sign(slope) - 0.2 * wander
            still = (0.04 + 0.26 * share) * ages
            yield folding.depth(still, np.pi / 2, 0.8) * window * self._furrow(line, 0.5)
        for side in (-1, 1):
            slant, share = rng.normal(0.1, 0.08), rng.random()
            line = a.x - side * (5.0 + slant * (a.y - 20)) - 0.3 * wander
            still = (0.06 + 0.30 * share) * ages
            yield folding.depth(still, 0.0) * gaussian(a.y, 23, 6.5) * self._furrow(line, 0.75)

    def _step(self, distance: NDArray[np.floating], width: float) -> Floats:
        """A fold of depth 1 where the skin beyond it, at positive distances, hangs over."""
        wide = np.hypot(np.float32(width), 0.6 * self.anatomy.texel)
        d = distance / wide
        hangs = 0.45 * np.exp(-(((d - 2.2) / 1.9) ** 2)) * smoothstep(0, 1.5, d)
        return np.asarray(width / wide * (np.exp(-(d**2)) - hangs), dtype=np.float32)

    def _furrow(self, distance: NDArray[np.floating], width: float) -> Floats:
        """A furrow of depth 1 with raised shoulders, `width` mm wide, at `distance` mm from it."""
        wide = np.hypot(np.float32(width), 0.6 * self.anatomy.texel)
        d = np.abs(distance) / wide
        profile = np.exp(-(d**2)) - 0.16 * np.exp(-(((d - 1.9) / 0.9) ** 2))
        return np.asarray(width / wide * profile, dtype=np.float32)


@dataclass(frozen=True)
class _Folding:
    """What moves and deepens one face's creases."""

    wander: Floats  # (R²,) mm by which they leave their common places
    squeeze: Floats | None  # (R², 3) tensor of `Compression`

    def depth(self, still: float, across: float, gain: float = 1.0) -> Floats | float:
        """Depth in mm: `still` and what a squeeze adds to furrows across a direction."""
        if self.squeeze is None:
            return still
        return still + gain * _fold_depth(self.squeeze, across)


class _Lines:
    """Wandering lines across one direction: the zeros of a noise that is long along them."""

    def __init__(self, anatomy: Anatomy, across: float) -> None:
        c, s = np.cos(across), np.sin(across)
        place = np.stack([c * anatomy.s + s * anatomy.t, c * anatomy.t - s * anatomy.s], axis=1)
        cells = (*_WRINKLE_CELL, 1.0)
        self._noise = SolidNoise(np.c_[place, np.zeros(len(place))], cells, anatomy.texel)
        self._broad = SolidNoise(np.c_[place, np.zeros(len(place))], (9.0, 9.0, 1.0), anatomy.texel)

    def sample(self, rng: np.random.Generator) -> Floats:
        (own,) = rng.spawn(1)
        value = self._noise.sample(own)
        uneven = np.clip(0.6 + 0.5 * self._broad.sample(own), 0, 1.4)
        return np.asarray(uneven * (np.exp(-((value / 0.33) ** 2)) - 0.22), dtype=np.float32)


def _fold_depth(squeeze: Floats, across: float) -> Floats:
    """Depth (R²,) in mm that a squeeze (R², 3) gives to furrows across a direction."""
    ss, st, tt = squeeze.T
    c, s = np.cos(across), np.sin(across)
    along = c * c * ss + 2 * c * s * st + s * s * tt  # nᵀ K n
    total = np.maximum(ss + tt, 1e-6)
    # only furrows that lie square to the squeeze fold: the share of it, once more
    depth = _FOLDING * np.maximum(along - 0.02, 0) * np.clip(along / total, 0, 1)
    return np.asarray(np.minimum(depth, _DEEPEST), dtype=np.float32)
