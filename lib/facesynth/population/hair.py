"""Hair on the face, drawn hair by hair: brows, beard and stubble; `scalp` draws the rest.

Where hair is dense, an undercoat in shadow lies below the single hairs.
"""

import numpy as np
from scipy.interpolate import CubicSpline

from facesynth.population.anatomy import Anatomy, skin
from facesynth.population.appearance import Appearance
from facesynth.population.noise import Floats, gaussian, smoothstep
from facesynth.population.scalp import GREY, Scalp, composite, hair_colour
from facesynth.population.strokes import Plane, Strands, blend, scatter

_BROW_GREY = 0.35  # of the scalp's share of grey hairs
_BROW_START = -0.04  # where brows begin, from the inner landmark (0) to the outer one (1)


class Hair:
    """Paints the hair of one subject after another onto textures (R², 3)."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.brow_plane = Plane(anatomy, (-75, 75), (-5, 55), grid=0.15)
        self.beard_plane = Plane(anatomy, (-125, 125), (-125, 25), grid=0.35)
        self._scalp = Scalp(anatomy)
        self.beard_area = beard_area(anatomy, anatomy.x, anatomy.y, anatomy.z)
        self.beard_area *= (1 - anatomy.lips) * (1 - anatomy.mouth)
        self._vertex_beard = beard_area(anatomy, *skin().places.T.astype(np.float32))
        brow = anatomy.unrolled[anatomy.template.landmarks[5:10]]  # left, inner to outer end
        self._brow_ends = brow[0], brow[-1]
        self._brow = CubicSpline(*brow.T, bc_type="natural")

    def paint(
        self, rgb: Floats, look: Appearance, noise: list[Floats], rng: np.random.Generator
    ) -> Floats:
        """Draw scalp, beard and brows over the texture, in place; how far (R²,) they cover it.

        noise : fields (R²,) of unit variance, coarse to fine, by which edges wander.
        """
        of_scalp, of_beard, of_brows = rng.spawn(3)
        covered = self._scalp.paint(rgb, look, of_scalp)
        covered = np.maximum(covered, self._paint_beard(rgb, look, noise, of_beard))
        self._paint_brows(rgb, look, of_brows)
        return covered

    def _paint_brows(self, rgb: Floats, look: Appearance, rng: np.random.Generator) -> None:
        strands = [self._brow_strands(look, side, rng) for side in (-1, 1)]
        self._shade_brows(rgb, look)
        fields = zip(*(vars(s).values() for s in strands), strict=True)
        both = Strands(*map(np.concatenate, fields))
        composite(rgb, self.brow_plane, both, _brow_colour(look))

    def _shade_brows(self, rgb: Floats, look: Appearance) -> None:
        """Darken the skin below the hairs, where they are dense and out of focus."""
        pixels = self.brow_plane.pixels
        s, t = np.abs(self.anatomy.s[pixels]), self.anatomy.t[pixels]
        inner, outer = self._brow_ends
        along = ((s - inner[0]) / (outer[0] - inner[0]) - _BROW_START) / (
            (1 - _BROW_START) * look.brow_length
        )
        place, _ = self._brow_line(np.clip(along, 0, 1), look)
        across = (t - place[:, 1]) / self._brow_half(np.clip(along, 0, 1), look)
        within = smoothstep(-0.06, 0.06, along) * smoothstep(1.08, 0.7, along)
        cover = 0.68 * min(1.0, look.brow_density) * within * np.exp(-1.3 * across**2)
        here = rgb[pixels]
        blend(here, cover * (1 - _BROW_GREY * look.grey), 0.7 * _brow_colour(look))
        rgb[pixels] = here

    def _brow_half(self, along: Floats, look: Appearance) -> Floats:
        """Half (n,) as thick as the brow is: grows over the first fifth, thins to the tail."""
        half = 4.0 * look.brow_thickness * (0.75 + 0.25 * smoothstep(0, 0.2, along))
        return half * (1 - 0.72 * smoothstep(0.3, 1.05, along))

    def _brow_strands(self, look: Appearance, side: int, rng: np.random.Generator) -> Strands:
        n = int(1100 * look.brow_density * look.brow_thickness)
        along = rng.beta(1.1, 1.3, n).astype(np.float32)  # 0 at the inner end, 1 at the outer
        across = rng.normal(0, 0.50, n)  # 1 is the upper edge; few hairs stand beyond it
        half = self._brow_half(along, look)
        place, slope = self._brow_line(along, look)
        place[:, 1] += half * across + rng.normal(0, 0.25, n) + rng.normal(0, 0.5)
        # Inner hairs stand up, outer ones follow the brow; upper and lower rows lean together.
        angle = np.arctan(slope) + (1.25 - 1.05 * smoothstep(0, 0.45, along))
        angle += rng.normal(0, 0.18, n) - 0.30 * np.clip(across, -1.2, 1.2) * smoothstep(
            0.05, 0.3, along
        )
        bend = -0.55 * (1 - along) - 0.2 + rng.normal(0, 0.15, n)
        length = (4.5 + 2.5 * smoothstep(0.1, 0.5, along)) * rng.uniform(0.45, 1.15, n)
        length *= 0.75 + 0.25 * look.brow_thickness
        if side < 0:
            place[:, 0], angle, bend = -place[:, 0], np.pi - angle, -bend
        return Strands(place, angle, bend, length, rng.random(n) < _BROW_GREY * look.grey)

    def _brow_line(self, along: Floats, look: Appearance) -> tuple[Floats, Floats]:
        """Middle (n, 2) and slope (n,) of the left brow, from the template's landmarks."""
        inner, outer = self._brow_ends
        s = inner[0] + (outer[0] - inner[0]) * (
            _BROW_START + (1 - _BROW_START) * along * look.brow_length
        )
        chord = inner[1] + (outer[1] - inner[1]) * along
        flatter = 0.45 + 0.40 * look.brow_arch
        bow = flatter * (self._brow(s) - chord) + (1 - flatter) * 4.0 * (1 - 0.4 * along)
        tilt = look.brow_tilt * (along - 0.5)
        t = chord + bow + tilt + look.brow_height
        return np.stack([s, t], axis=1), flatter * self._brow(s, 1)

    def _paint_beard(
        self, rgb: Floats, look: Appearance, noise: list[Floats], rng: np.random.Generator
    ) -> Floats:
        area = self.beard_area
        if look.stubble + look.beard + look.moustache == 0:
            return np.zeros_like(area)
        # Beards thin out unevenly towards their edges.
        area = area * smoothstep(0.0, 0.75, area + 0.16 * noise[1] + 0.16 * noise[2])
        colour = hair_colour(min(1.0, look.hair_melanin + 0.05), look.hair_red)
        # Hairs below the surface of shaven skin tint it bluish grey.
        shadow = area**1.5 * look.stubble * (0.07 + 0.16 * look.hair_melanin)
        shadow *= 1 - 0.8 * look.grey
        tint = 0.5 * colour + np.array([0.020, 0.026, 0.034], dtype=np.float32)
        blend(rgb, shadow, tint)
        roots = scatter(self._vertex_beard, int(9000 * look.stubble), rng)
        short = self._beard_strands(roots, (0.45, 0.95), look, rng)
        composite(rgb, self.beard_plane, short, 0.8 * colour)

        x, y, _ = skin().places.T
        over_lip = (y > self.anatomy.lip_top - 4) & (np.abs(x) < 24)
        grown = np.where(over_lip, look.moustache, look.beard).astype(np.float32)
        grown = self._vertex_beard * grown
        if not grown.any():
            return 0.3 * shadow
        density = float(grown.max())
        undercoat = 0.50 * density * area**1.5 * self._grown_share(look)
        blend(rgb, undercoat, 0.75 * colour * (1 - 0.6 * look.grey) + 0.4 * GREY * look.grey)
        share = float(grown.sum() / self._vertex_beard.sum())  # of a full, dense beard
        roots = scatter(grown**1.5, int(8000 * share), rng)
        lips = np.flatnonzero(self.anatomy.lips > 0.05)
        bare = rgb[lips]
        composite(
            rgb, self.beard_plane, self._beard_strands(roots, (2.5, 8), look, rng), 0.9 * colour
        )
        # moustaches are trimmed: few hairs hang over the lip
        rgb[lips] += 0.8 * self.anatomy.lips[lips, None] * (bare - rgb[lips])
        return undercoat

    def _grown_share(self, look: Appearance) -> Floats:
        """Density (R²,) of the grown beard, against that of its densest part."""
        a = self.anatomy
        upper = smoothstep(a.lip_top - 8, a.lip_top - 3, a.y) * smoothstep(27, 22, a.side_x)
        most = max(look.beard, look.moustache)
        return upper * (look.moustache / most) + (1 - upper) * (look.beard / most)

    def _beard_strands(
        self, roots: Floats, span: tuple[float, float], look: Appearance, rng: np.random.Generator
    ) -> Strands:
        """Hairs of a length in mm within the span that hang down from the roots (n, 2)."""
        n = len(roots)
        s, t = roots.T
        down = -np.pi / 2 + 0.012 * np.clip(s, -40, 40)  # outwards on both sides
        above_lip = t > self.anatomy.lip_top - 3
        down = np.where(above_lip, -np.pi / 2 + 0.05 * np.clip(s, -18, 18), down)
        length = rng.uniform(*span, n) * np.where(above_lip, 0.75, 1)
        grey = rng.random(n) < 0.85 * look.grey
        return Strands(roots, down + rng.normal(0, 0.28, n), rng.normal(0, 0.5, n), length, grey)


def _brow_colour(look: Appearance) -> Floats:
    """Brows are darker than the scalp's hair, the more so the lighter it is."""
    return hair_colour(min(1.0, 0.35 + 0.72 * look.hair_melanin), 0.6 * look.hair_red)


def beard_area(anatomy: Anatomy, x: Floats, y: Floats, z: Floats) -> Floats:
    """Where beards grow (n,), in [0, 1], at places in mm: jaw, chin, upper lip, before the ears."""
    side = np.abs(x)
    lip_top, lip_bottom, nose = anatomy.lip_top, anatomy.lip_bottom, anatomy.nose_base
    edge = lip_top - 1 + 0.60 * np.maximum(side - 33, 0) - 0.25 * np.maximum(20 - side, 0)
    jaw = smoothstep(9, -9, y - edge)
    sideburn = smoothstep(58, 65, side) * smoothstep(20, -5, y)
    bare = 0.6 * gaussian(y, lip_bottom - 5, 3) * smoothstep(2, 8, side) * smoothstep(24, 12, side)
    centre, height = (nose + lip_top) / 2, max(nose - lip_top, 6.0)
    off = np.abs(y - centre + 0.20 * np.maximum(side - 7, 0))  # it droops, and ends in points
    moustache = smoothstep(0.68, 0.28, off / (height * np.clip(1.1 - (side / 28) ** 2, 0.15, 1)))
    moustache *= smoothstep(28, 20, side) * (1 - 0.25 * gaussian(side, 0, 2.2))
    neck = smoothstep(-60, -25, z)
    return np.clip(np.maximum(jaw * (1 - bare), sideburn) * neck + moustache, 0, 1)
