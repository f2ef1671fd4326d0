"""The skin's fine relief: one displacement field in mm for each face, in the canonical image.

Everything that a mesh of ten thousand vertices cannot carry is in this field: pores, creases,
wrinkles of age, and those that an expression makes. The same field shades the texture (`cavity`:
hollows see less light, and redder light) and bends the normals of a render, so that what is seen in
the texture is there in the shape. Positive is outwards.
"""

import functools
from collections.abc import Callable, Iterator
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
        self.lines = [_Lines(a, turn) for turn in _TURNS]
        nose = gaussian(a.x, 0, 13) * gaussian(a.y, a.nose_base + 12, 14)
        cheek = gaussian(a.side_x, 24, 12) * gaussian(a.y, -33, 15)
        brow = gaussian(a.x, 0, 22) * gaussian(a.y, 30, 18)
        self._porous = np.clip(0.45 + 0.75 * nose + 0.65 * cheek + 0.25 * brow, 0, 1.3)
        # Skin is thin and folds finely around the eyes and on the forehead; cheeks are cushions.
        eye = np.minimum(a.upper_lid, a.lower_lid)
        around_eye = smoothstep(22, 8, eye) * smoothstep(-28, -16, a.y)
        forehead = smoothstep(8, 22, a.y)
        self.thin = np.maximum(0.12, np.maximum(around_eye, forehead)).astype(np.float32)
        texel = float(np.median(a.texel[self.skin > 0.9]))
        self._blurs = [(mm / texel, weight / mm) for mm, weight in _CAVITY_SCALES]

    def subject(
        self, look: Appearance, noise: list[Floats], rng: np.random.Generator
    ) -> "SubjectRelief":
        """The relief of one subject, in all expressions.

        noise : fields (R²,) of unit variance, coarse to fine. rng : for the places of pores and
        wrinkles, which are the same in all of a subject's expressions.
        """
        ages = look.wrinkles
        of_pores, of_lines, of_wrinkles = rng.spawn(3)
        # pores of common size are small pits in flat skin
        pits = 0.066 * smoothstep(0.5, 2.1, self._pores.sample(of_pores))
        height = -look.pores * self._porous * pits
        _, _, n5, n2, n1, n04 = noise
        height += (0.05 + 0.05 * ages) * n5 + (0.018 + 0.022 * ages) * n2
        height += look.pores * (0.013 * n1 + 0.022 * n04)
        furrows = self._furrows.sample(of_pores)
        wander = 0.9 * noise[1] + 1.2 * noise[0]
        creases = [*self._folds(look, wander), *self._upper_face(ages, wander, of_wrinkles)]
        depth = np.float32(0.045 * (1 + 0.8 * ages)) * self.anatomy.lips
        lips = np.asarray(depth * (np.maximum(furrows, -0.3) - 0.27), dtype=np.float32)
        return SubjectRelief(self, ages, height, creases, lips, of_lines.spawn(len(_TURNS)))

    def cavity(self, height: Floats) -> Floats:
        """How hollow the relief (R²,) is at each pixel: depth over width, positive in hollows."""
        size = self.anatomy.resolution
        image = height.reshape(size, size)
        total = np.zeros_like(image)
        for sigma, weight in self._blurs:
            if sigma > 0.35:  # finer than a pixel otherwise
                total += weight * (gaussian_filter(image, sigma, truncate=2.5) - image)
        return total.ravel()

    def _folds(self, look: Appearance, wander: Floats) -> Iterator["_Crease"]:
        """The creases that all faces have in the same places; they wander off by mm (R²,)."""
        a, ages = self.anatomy, look.wrinkles
        # nose to mouth
        down = np.clip((a.nose_base + 14 - a.y) / 36, 0, 1.2)
        beside = a.side_x - (18.0 + 13.0 * down**0.9) + 0.9 * wander
        window = smoothstep(0, 0.25, down) * smoothstep(1.2, 0.75, down)
        yield _Crease(0.05 + 0.60 * ages, window, self._step(beside, 2.4), 0.25 * np.pi)
        # corners of the mouth, downwards
        below = smoothstep(a.lip_bottom + 10, a.lip_bottom + 2, a.y)
        below *= smoothstep(a.lip_bottom - 22, a.lip_bottom - 8, a.y)
        corner = a.side_x - 28 + 0.12 * (a.y - a.lip_bottom) + 0.5 * wander
        yield _Crease(0.55 * max(0.0, ages - 0.15), below, self._furrow(corner, 1.5))
        # lids and what lies below them
        above = smoothstep(0, 3, a.y - a.curve("left_upper_lid")[:, 1].mean() + 2)
        above *= smoothstep(0.02, 0.15, a.upper_lid_at) * smoothstep(1.0, 0.85, a.upper_lid_at)
        lid = self._furrow(a.upper_lid - 3.0 - 0.1 * wander, 0.7)
        yield _Crease(1.1 * look.lid_crease, above, lid)
        under = smoothstep(0, -2.5, a.y) * smoothstep(8, 14, a.side_x)
        under *= smoothstep(46, 36, a.side_x)
        for mm, depth, least in ((4.4, 0.26, 0.06), (7.6, 0.17, 0.02), (11.5, 0.12, 0.0)):
            line = self._furrow(a.lower_lid - mm + 0.07 * mm * wander, 0.6)
            yield _Crease(least + depth * ages, under, line, np.pi / 2, 0.5)

    def _upper_face(
        self, ages: float, wander: Floats, rng: np.random.Generator
    ) -> Iterator["_Crease"]:
        """Forehead, frown, and the outer corners of the eyes."""
        a = self.anatomy
        for height in _FOREHEAD_LINES:
            bow, shift = rng.normal(0, [3.0, 1.4])
            middle, share, width = rng.random(3)
            curve = a.y - height - 1.1 * wander - bow * (a.x / 35) ** 2 - shift
            window = gaussian(a.x, 16 * (middle - 0.5), 17 + 10 * width)
            still = (0.05 + 0.30 * share) * ages
            yield _Crease(still, window, self._furrow(curve, 0.75), np.pi / 2)
        out, up = a.side_x - 44, a.y + 1
        window = smoothstep(0, 4, out) * smoothstep(21, 9, out)
        for slope in _CROW_FEET:
            jitter, share = rng.normal(0, 0.06), rng.random()
            line = up - (slope + jitter) * out - 0.008 * out**2 * np.sign(slope) - 0.2 * wander
            still = (0.04 + 0.26 * share) * ages
            yield _Crease(still, window, self._furrow(line, 0.5), np.pi / 2, 0.8)
        for side in (-1, 1):
            slant, share = rng.normal(0.1, 0.08), rng.random()
            line = a.x - side * (5.0 + slant * (a.y - 20)) - 0.3 * wander
            still = (0.06 + 0.30 * share) * ages
            yield _Crease(still, gaussian(a.y, 23, 6.5), self._furrow(line, 0.75), 0.0)

    def _step(self, distance: NDArray[np.floating], width: float) -> Floats:
        """A fold of depth 1 where the skin beyond it, at positive distances, hangs over."""
        wide = np.hypot(np.float32(width), 0.6 * self.anatomy.texel)
        d = distance / wide
        hangs = 0.45 * np.exp(-(((d - 2.2) / 1.9) ** 2)) * smoothstep(0, 1.5, d)
        return np.asarray(width / wide * (np.exp(-(d**2)) - hangs), dtype=np.float32)

    def _furrow(self, distance: NDArray[np.floating], width: float) -> Floats:
        """A furrow of depth 1 with raised shoulders, `width` mm wide, at `distance` mm from it."""
        wide = np.hypot(np.float32(width), 0.6 * self.anatomy.texel)
        far = np.abs(distance) / wide
        profile = np.zeros(far.shape, dtype=np.float32)
        near = np.flatnonzero(far < 6)  # beyond, it is less than 1e-9
        d = far[near]
        profile[near] = np.exp(-(d**2)) - 0.16 * np.exp(-(((d - 1.9) / 0.9) ** 2))
        return np.asarray(width / wide * profile, dtype=np.float32)


@dataclass(frozen=True)
class SubjectRelief:
    """One subject's displacement fields, one for each expression."""

    relief: Relief
    ages: float  # how wrinkled
    skin: Floats  # (R²,) mm: pores and what else no expression changes
    creases: list["_Crease"]
    lips: Floats  # (R²,) mm of depth of the lips' furrows
    of_lines: list[np.random.Generator]

    def field(self, squeeze: Floats | None) -> Floats:
        """Displacement (R²,) in mm.

        squeeze : (R², 3) the tensor of `Compression`, None for a neutral face.
        """
        folds = functools.cache(functools.partial(_fold_depth, squeeze))
        height = self.skin.copy()
        for crease in self.creases:
            height -= crease.depth(folds) * crease.window * crease.profile
        height -= self._dynamic(squeeze, folds)
        height *= self.relief.skin
        height -= self.lips
        return height

    def _dynamic(self, squeeze: Floats | None, folds: "_Folds") -> Floats | float:
        """Depth (R²,) in mm of the wrinkles that an expression makes, and of old skin's fine ones.

        Skin folds into lines across the direction in which it is squeezed; where the lines lie is
        the subject's own.
        """
        total: Floats | float = 0.0
        stays = 0.022 * max(0.0, self.ages - 0.3)  # faint creases stay for good in old skin
        if squeeze is None and stays == 0:
            return total
        for lines, turn in zip(self._lines, _TURNS, strict=True):
            fold = self.relief.thin * folds(turn)
            total = total + (stays + (0.30 + 0.45 * min(self.ages, 1.2)) * fold) * lines
        return total

    @functools.cached_property
    def _lines(self) -> list[Floats]:
        fields = zip(self.relief.lines, self.of_lines, strict=True)
        return [lines.sample(rng) for lines, rng in fields]


_Folds = Callable[[float], "Floats | float"]  # of a direction, the depth of furrows across it


@dataclass(frozen=True)
class _Crease:
    """A crease of one face, and the expression's part in it."""

    still: float  # mm of depth without an expression
    window: Floats  # (R²,) where it is
    profile: Floats  # (R²,) its depth across, 1 in the middle
    across: float | None = None  # radians across it; a squeeze in this direction deepens it
    gain: float = 1.0

    def depth(self, folds: _Folds) -> Floats | float:
        """Depth in mm of its middle."""
        return self.still if self.across is None else self.still + self.gain * folds(self.across)


class _Lines:
    """Wandering lines across one direction: the zeros of a noise that is long along them."""

    def __init__(self, anatomy: Anatomy, across: float) -> None:
        c, s = np.cos(across), np.sin(across)
        place = np.stack([c * anatomy.s + s * anatomy.t, c * anatomy.t - s * anatomy.s], axis=1)
        cells = (*_WRINKLE_CELL, 1.0)
        self._noise = SolidNoise(np.c_[place, np.zeros(len(place))], cells, anatomy.texel)
        self._broad = SolidNoise(np.c_[place, np.zeros(len(place))], (9.0, 9.0, 1.0), anatomy.texel)

    def sample(self, rng: np.random.Generator) -> Floats:
        value = self._noise.sample(rng)
        uneven = np.clip(0.6 + 0.5 * self._broad.sample(rng), 0, 1.4)
        return np.asarray(uneven * (np.exp(-((value / 0.33) ** 2)) - 0.22), dtype=np.float32)


def _fold_depth(squeeze: Floats | None, across: float) -> Floats | float:
    """Depth (R²,) in mm that a squeeze (R², 3) gives to furrows across a direction."""
    if squeeze is None:
        return 0.0
    ss, st, tt = squeeze.T
    c, s = np.cos(across), np.sin(across)
    along = c * c * ss + 2 * c * s * st + s * s * tt  # nᵀ K n
    total = np.maximum(ss + tt, 1e-6)
    # only furrows that lie square to the squeeze fold: the share of it, once more
    depth = _FOLDING * np.maximum(along - 0.02, 0) * np.clip(along / total, 0, 1)
    return np.asarray(np.minimum(depth, _DEEPEST), dtype=np.float32)
