"""How much melanin and blood the skin holds at each place of a face."""

import numpy as np

from facesynth.population.anatomy import Anatomy, skin
from facesynth.population.appearance import Appearance
from facesynth.population.noise import Floats, gaussian, smoothstep
from facesynth.population.strokes import Plane, scatter


class Pigments:
    """Fields of the two pigments, in natural logarithms of their volume fractions."""

    def __init__(self, anatomy: Anatomy) -> None:
        a = self.anatomy = anatomy
        x, y = a.side_x, a.y
        outside = 1 - smoothstep(0.02, 0.4, a.eye)
        below_eye = outside * smoothstep(0, -2.5, y) * smoothstep(6, 12, x)
        # Places where a pigment gathers, each (R²,) in [0, 1].
        self._cheek = gaussian(x, 36, 16) * gaussian(y, -34, 17)
        self._nose = gaussian(x, 0, 7.5) * gaussian(y, a.nose_base + 12, 9)
        self._ring = below_eye * gaussian(a.lower_lid, 3.0, 2.8)
        self._plane = Plane(a, (-110, 110), (-100, 120), grid=0.35)
        # How many freckles there are (m,), against the cheeks' most.
        at_x, at_y = skin().places[:, :2].T.astype(np.float32)
        cheeks = gaussian(np.abs(at_x), 24, 24) * gaussian(at_y, -22, 17)
        self._freckled = 0.12 + cheeks + 0.35 * gaussian(at_y, 46, 25)
        self._lip_edge = gaussian(y, a.lip_top, 2.5) + gaussian(y, a.lip_bottom, 2.5)

    def fields(
        self, look: Appearance, noise: list[Floats], rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Logarithms (R²,) of the melanin and blood fractions of one subject.

        noise : fields (R²,) of unit variance, coarse to fine. rng : for the places of the moles.
        """
        n30, n13, n5, n2, n1, n04 = noise
        skin = np.float32(np.log(look.melanin)), np.float32(np.log(look.blood))
        rough = look.mottling
        melanin = skin[0] + rough * (
            0.07 * n30 + 0.05 * n13 + 0.050 * n5 + 0.07 * n2 + 0.20 * n1 + 0.34 * n04
        )
        melanin += look.tan
        # Flushes are blotchy and end where they like: their strength follows the coarse noise.
        blood = skin[1] + rough * (
            0.13 * n30 + 0.10 * n13 + 0.100 * n5 + 0.10 * n2 + 0.18 * n1 + 0.28 * n04
        )
        uneven = 1 + 0.10 * n30 + 0.10 * n13 + 0.08 * n5
        blood += look.cheek_flush * self._cheek * uneven + look.nose_flush * self._nose * uneven
        melanin += look.under_eye * self._ring
        blood += look.under_eye * self._ring
        melanin += self._spots(look, noise, rng)
        return self._colour_lips(look, noise, melanin, blood)

    def _spots(self, look: Appearance, noise: list[Floats], rng: np.random.Generator) -> Floats:
        """Melanin (R²,) that freckles, age spots and moles add, log units."""
        _, _, n5, n2, _, _ = noise
        a = self.anatomy
        total = np.zeros_like(n2)
        if look.freckles > 0.02:
            self._add_freckles(total, min(look.freckles, 1.3), rng)
        if look.age_spots > 0.02:
            sides = smoothstep(12, 30, a.side_x)
            total += 1.1 * look.age_spots * smoothstep(1.3, 2.1, n5 + 0.4 * n2) * sides
        for _ in range(look.moles):
            x, y = rng.uniform(-55, 55), rng.uniform(-95, 62)
            radius, strength = rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.4)
            near = np.flatnonzero((np.abs(a.x - x) < 6) & (np.abs(a.y - y) < 6))
            seen = np.hypot(radius, 0.5 * a.texel[near])
            squared = ((a.x[near] - x) ** 2 + (a.y[near] - y) ** 2) / seen**2
            total[near] += strength * (radius / seen) ** 2 * np.exp(-(squared**1.5))
        return total * (1 - a.lips)

    def _add_freckles(self, total: Floats, strength: float, rng: np.random.Generator) -> None:
        for radius, share in ((0.35, 1.0), (0.6, 0.6), (1.0, 0.12)):  # mm
            places = scatter(self._freckled, int(1400 * share * strength), rng)
            depth = (0.45 + 0.55 * strength) * rng.uniform(0.3, 1.1, len(places))
            total[self._plane.pixels] += self._plane.dots(places, depth, radius)

    def _colour_lips(
        self, look: Appearance, noise: list[Floats], melanin: Floats, blood: Floats
    ) -> tuple[Floats, Floats]:
        _, n13, n5, n2, _, _ = noise
        lips = np.clip(self.anatomy.lips + 0.06 * n5 * self._lip_edge * self.anatomy.lips, 0, 1)
        lip_melanin = np.log(look.melanin) * 0.92 - 0.50 + look.lip_melanin + 0.05 * n5
        lip_melanin = lip_melanin + 0.15
        lip_blood = np.log(look.lip_blood) + 0.10 * n13 + 0.12 * n2 + 0.7 * look.makeup
        return melanin + lips * (lip_melanin - melanin), blood + lips * (lip_blood - blood)
