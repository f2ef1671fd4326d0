"""The skin's relief as shading: wrinkles, folds, pores and the lips' furrows."""

import numpy as np

from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import Appearance
from facesynth.population.noise import Floats, SolidNoise, gaussian, smoothstep

# Static wrinkles of the forehead: heights in mm over the eyes.
_FOREHEAD_LINES = (36.0, 44.0, 52.0, 60.0)
_CROW_FEET = (-0.50, -0.18, 0.12, 0.42)  # slopes of the lines at the eyes' outer corners


class Marks:
    """Factors by which the relief of one subject after another darkens or lightens the skin."""

    def __init__(self, anatomy: Anatomy) -> None:
        a = self.anatomy = anatomy
        self._skin = (1 - a.lips) * (1 - smoothstep(0.02, 0.4, a.eye))
        place = np.stack([a.x, a.y, a.z], axis=1)
        # Furrows run across the lip: narrow along x, long along y and z.
        self._furrows = SolidNoise(place, (0.9, 7.0, 7.0), a.texel)
        self._lips = np.flatnonzero(a.lips > 0.05)

    def relief(self, look: Appearance, noise: list[Floats], rng: np.random.Generator) -> Floats:
        """Factor (R²,) of the skin's colour."""
        _, _, _, n2, n1, n04 = noise
        wrinkles = self._folds(look, noise) + look.wrinkles * self._wrinkles(noise, rng)
        fine = look.pores * (0.035 * n1 + 0.040 * n04) + 0.02 * look.wrinkles * n2
        factor = 1 - self._skin * (0.42 * wrinkles + fine)
        furrows = self._furrows.sample(rng)[self._lips]
        factor[self._lips] *= 1 - 0.07 * self.anatomy.lips[self._lips] * furrows
        return np.clip(factor, 0.35, 1.2).astype(np.float32)

    def _folds(self, look: Appearance, noise: list[Floats]) -> Floats:
        """Creases of every age, deeper with it: beside the mouth, above and below the eyes."""
        a = self.anatomy
        wander = 0.6 * noise[1]  # mm
        down = np.clip((a.nose_base + 14 - a.y) / 36, 0, 1.2)
        beside = self._fold(a.side_x - (17.5 + 10.5 * down**1.1) + wander, 1.6)
        beside *= smoothstep(0, 0.15, down) * smoothstep(1.2, 0.8, down)
        total = (0.14 + 0.42 * look.wrinkles) * beside
        above = smoothstep(0, 3, a.y - a.curve("left_upper_lid")[:, 1].mean() + 2)
        crease = self._fold(a.upper_lid - 3.0 - 0.2 * wander, 0.5) * above
        crease *= smoothstep(0.02, 0.15, a.upper_lid_at) * smoothstep(1.0, 0.85, a.upper_lid_at)
        total += look.lid_crease * crease
        bag = self._fold(a.lower_lid - 5.0 + 0.3 * wander, 0.6) * smoothstep(0, -2.5, a.y)
        bag *= smoothstep(8, 14, a.side_x) * smoothstep(45, 38, a.side_x)
        total += 0.40 * look.wrinkles * bag
        return total

    def _wrinkles(self, noise: list[Floats], rng: np.random.Generator) -> Floats:
        """Wrinkles of age, at full strength: forehead, frown, outer corners of the eyes."""
        a = self.anatomy
        wander = 1.8 * noise[1] + 3.0 * noise[0]  # mm
        total = np.zeros_like(a.x)
        for height in _FOREHEAD_LINES:
            bow, shift, middle, depth = rng.normal(0, [3, 1]).tolist() + rng.random(2).tolist()
            curve = a.y - height - 0.4 * wander - bow * (a.x / 35) ** 2 - shift
            total += (
                self._fold(curve, 0.8)
                * (0.22 + 0.33 * depth)
                * gaussian(a.x, 12 * (middle - 0.5), 24)
            )
        for slope in _CROW_FEET:
            out, up = a.side_x - 45, a.y
            line = self._fold(up - slope * out - 0.15 * wander, 0.6) * (0.18 + 0.27 * rng.random())
            total += line * smoothstep(0, 3, out) * smoothstep(17, 10, out)
        for side in (-1, 1):
            line = self._fold(a.x - side * (4.5 + 0.1 * (a.y - 20)) - 0.2 * wander, 0.7)
            total += 0.4 * line * gaussian(a.y, 23, 6)
        return total

    def _fold(self, distance: Floats, width: float) -> Floats:
        """A furrow's shading: a dark middle between lighter shoulders."""
        wide = np.hypot(np.float32(width), 0.6 * self.anatomy.texel)
        d = np.abs(distance) / wide
        profile = np.exp(-(d**2)) - 0.45 * np.exp(-(((d - 1.9) / 0.9) ** 2))
        return width / wide * profile
