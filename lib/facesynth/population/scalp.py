"""The scalp's hair, as far as it grows into the face, and the colours of hair."""

from collections.abc import Callable

import numpy as np

from facesynth.population.anatomy import Anatomy, skin
from facesynth.population.appearance import Appearance
from facesynth.population.noise import Floats, gaussian, smoothstep, streaks
from facesynth.population.strokes import Plane, Strands, blend, scatter

GREY = np.array([0.33, 0.300, 0.265], dtype=np.float32)  # linear RGB of hair without melanin

# Absorption of the hair's pigments in linear RGB, and the colour of a tress that scatters light
# many times: d'Eon et al. 2011 and Chiang et al., "A practical and controllable hair and fur model
# for production path tracing" (CGF 2016), at their azimuthal roughness 0.3.
_EUMELANIN = np.array([0.419, 0.697, 1.370])
_PHEOMELANIN = np.array([0.187, 0.400, 1.050])
_MULTIPLE_SCATTERING = 5.888
_SHEEN = 0.018  # light that the hair's surface reflects


def hair_colour(melanin: float, red: float = 0.0) -> Floats:
    """Linear RGB (3,) of hair by melanin (0.1 is blond, 0.5 brown, 1 black) and red, 0 to 0.5."""
    concentration = 0.06 * np.exp(4.2 * melanin)
    absorption = concentration * _EUMELANIN + (0.08 + 0.8 * red) * _PHEOMELANIN
    colour = np.exp(-_MULTIPLE_SCATTERING * np.sqrt(absorption)) + _SHEEN
    return colour.astype(np.float32)


class Scalp:
    """Paints the hairline and what lies above it of one subject after another."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.plane = Plane(anatomy, (-160, 160), (-125, 175), grid=0.35)
        self._near = np.flatnonzero((anatomy.y > 5) | (anatomy.side_x > 45))

    def paint(self, rgb: Floats, look: Appearance, rng: np.random.Generator) -> Floats:
        """Draw the hair over the texture, in place; how far (R²,) it covers the skin."""
        a, near = self.anatomy, self._near
        of_edge, of_tone, of_locks, of_fuzz = rng.spawn(4)
        wander = _wander(of_edge)
        density = scalp_density(a.x[near], a.y[near], look, wander)
        tone = self._tone(look, of_tone)[near]
        colour = hair_colour(look.hair_melanin, look.hair_red)
        colour = colour * (1 - 0.7 * look.grey) + 0.75 * GREY * 0.7 * look.grey
        here = rgb[near]
        blend(here, 0.94 * density, 0.42 * colour * tone[:, None])
        rgb[near] = here
        x, y, _ = skin().places.T.astype(np.float32)
        roots = scalp_density(x, y, look, wander)
        self._draw_locks(rgb, look, roots, of_locks)
        self._draw_fuzz(rgb, look, roots, of_fuzz)
        covered = np.zeros_like(a.x)
        covered[near] = density
        return covered

    def _tone(self, look: Appearance, rng: np.random.Generator) -> Floats:
        """Light and dark (R²,) of locks that lie along the way the hair is combed."""
        a = self.anatomy
        if look.combed == "back":
            across, along = np.arctan2(a.t + 25, a.s) * 90, np.hypot(a.s, a.t + 25)  # mm
        else:
            lean = _LEAN[look.combed]
            across = a.s * np.cos(lean) + a.t * np.sin(lean)
            along = a.t * np.cos(lean) - a.s * np.sin(lean)
        bend = 0.06 * along * np.sin(along / 17)
        tone = 1.0 + 0.55 * streaks(rng, across / 3.5 + bend, along / 45)
        fine = streaks(rng, across / 0.9 + 3 * bend, along / 22)
        resolved = np.clip(1.2 / a.texel - 1, 0, 1)  # one that is finer than a pixel fades
        return np.clip(tone + 0.45 * resolved * fine, 0.25, 2.4).astype(np.float32)

    def _draw_locks(
        self, rgb: Floats, look: Appearance, density: Floats, rng: np.random.Generator
    ) -> None:
        each = 7  # hairs of a lock lie side by side
        locks = scatter(density, 2300, rng)
        roots = np.repeat(locks, each, axis=0)
        n = len(roots)
        roots += rng.normal(0, 0.8, (n, 2))
        lean = np.repeat(rng.normal(0, 0.20, len(locks)), each) + rng.normal(0, 0.09, n)
        bend = np.repeat(rng.normal(0, 0.35, len(locks)), each) + rng.normal(0, 0.2, n)
        length = rng.uniform(5, 16, n)
        grey = rng.random(n) < 0.9 * look.grey
        angle = _growth(look, roots) + lean
        colour = hair_colour(look.hair_melanin, look.hair_red)
        dark = rng.random(n) < 0.5
        for which, shade in ((dark, 0.55), (~dark, 1.25)):
            strands = Strands(roots[which], angle[which], bend[which], length[which], grey[which])
            composite(rgb, self.plane, strands, shade * colour)

    def _draw_fuzz(
        self, rgb: Floats, look: Appearance, density: Floats, rng: np.random.Generator
    ) -> None:
        """Short single hairs before the hairline, which has no edge."""
        edge = density * (1 - density) + 0.25 * smoothstep(0.0, 0.05, density) * (density < 0.3)
        if not edge.any():
            return
        roots = scatter(edge.astype(np.float32), 900, rng)
        n = len(roots)
        angle = _growth(look, roots) + rng.normal(0, 0.45, n)
        length = rng.uniform(2.5, 11, n)
        strands = Strands(
            roots, angle, rng.normal(0, 0.6, n), length, rng.random(n) < 0.9 * look.grey
        )
        composite(rgb, self.plane, strands, hair_colour(look.hair_melanin, look.hair_red))


# Radians by which locks lean from straight down, by the way the hair is combed.
_LEAN = {"left": -0.9, "right": 0.9, "forward": 0.05}


def _growth(look: Appearance, roots: Floats) -> Floats:
    """Direction (n,) in radians in which hairs lie at their roots (n, 2)."""
    s, t = roots.T
    if look.combed == "forward":
        return np.asarray(-np.pi / 2 + 0.012 * s)
    away = np.arctan2(t + 25, s)  # from the face
    over = away if look.combed == "back" else np.pi / 2 + _LEAN[look.combed] * 1.2
    down = -np.pi / 2 + 0.12 * np.sign(s)
    hangs = smoothstep(45, 25, t) * smoothstep(48, 56, np.abs(s)) > 0.5  # beside the face
    return np.where(hangs, down, over)


def _wander(rng: np.random.Generator) -> Callable[[Floats], Floats]:
    """A wandering (n,) of the hairline in mm at places x (n,), of a few mm up and down."""
    at = np.arange(-160, 161, 1.0)
    parts = [
        mm * np.interp(at / cell, np.arange(-200, 201), rng.standard_normal(401))
        for mm, cell in ((2.2, 13.0), (1.3, 5.0), (0.5, 2.0))
    ]
    total = np.sum(parts, axis=0)
    return lambda x: np.interp(x, at, total).astype(np.float32)


def scalp_density(
    x: Floats, y: Floats, look: Appearance, wander: Callable[[Floats], Floats]
) -> Floats:
    """How dense the scalp's hair is (n,), in [0, 1], at places in mm.

    The hairline is an arch over the forehead that comes down before the ears; where it recedes, its
    corners deepen. Long hair frames the face on both sides, a fringe hangs over the forehead.
    """
    reach = np.abs(x)
    arch = np.sqrt(np.maximum(1 - np.minimum(reach / 68, 1) ** 3.2, 0))
    recession = max(0.0, look.hairline - 3)
    line = (67 + look.hairline) * arch + recession * gaussian(reach, 38, 13)
    line = line - look.fringe * arch * gaussian(x, 4, 46) + (1 + 0.06 * look.fringe) * wander(x)
    top = smoothstep(-2, 8, y - line) * smoothstep(-10, 15, y)
    if look.frame <= 0:
        return np.asarray(top)
    inwards = 71 - look.frame + 0.0005 * (y + 20) ** 2 + 0.7 * wander(0.4 * y)
    return np.maximum(top, smoothstep(-2, 3, reach - inwards))


def composite(rgb: Floats, plane: Plane, strands: Strands, colour: Floats) -> None:
    """Draw strands over the texture (R², 3), in place; those that are grey in `GREY`."""
    pigmented, grey = plane.draw(strands)
    seen = np.flatnonzero(pigmented + grey > 1e-3)
    pixels, pigmented, grey = plane.pixels[seen], pigmented[seen, None], grey[seen, None]
    rgb[pixels] = rgb[pixels] * (1 - pigmented - grey) + pigmented * colour + grey * GREY
