"""The eyes: iris, pupil, white, lid margins and lashes, at a subject's own place.

The eyeball is a patch of the surface. Its iris is round and central when seen from the front, so
it is painted by the frontal distance, in mm on the subject, from the middle of the subject's eye.
"""

import numpy as np
from numpy.typing import NDArray

from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import IRIS_COLOURS, Appearance
from facesynth.population.noise import Floats, gaussian, smoothstep, streaks
from facesynth.population.strokes import blend, line

_SCLERA = np.array([0.42, 0.365, 0.345], dtype=np.float32)
_VEIN = np.array([0.05, 0.24, 0.22], dtype=np.float32)  # light that a blood vessel takes
_CARUNCLE = np.array([0.42, 0.17, 0.14], dtype=np.float32)  # the pink inner corner
_WATERLINE = np.array([0.48, 0.24, 0.19], dtype=np.float32)  # the lower lid's wet edge
_LASH = np.array([0.018, 0.012, 0.010], dtype=np.float32)
_EYE_SHADOW = np.array([0.10, 0.060, 0.055], dtype=np.float32)
_PUPIL = 0.36  # of the iris' radius


class Eyes:
    """Paints the eyes of one subject after another onto textures (R², 3)."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        near = np.minimum(anatomy.upper_lid, anatomy.lower_lid) < 9
        ball = anatomy.eye > 0.02
        self._around = np.flatnonzero(near | ball)  # lids, lashes
        place = np.stack([anatomy.side_x, anatomy.y, anatomy.z], axis=1)[self._around]
        inner_corner = anatomy.curve("left_upper_lid")[0].astype(np.float32)
        self._from_corner = np.linalg.norm(place - inner_corner, axis=1)  # mm
        self._balls = {
            side: np.flatnonzero(ball & (np.sign(anatomy.x) == sign))
            for side, sign in (("left", 1), ("right", -1))
        }

    def paint(
        self,
        rgb: Floats,
        look: Appearance,
        vertices: NDArray[np.floating],
        frontal: Floats,
        rng: np.random.Generator,
    ) -> None:
        """Draw eyes, lid margins and lashes over the texture, in place.

        vertices : (m, 3) the subject, mm. frontal : (R², 2) x and y of the pixels on the subject.
        """
        for side, pixels in self._balls.items():
            centre = self._iris_centre(vertices, side, look.iris_radius)
            colour = self._ball(look, frontal[pixels] - centre, self.anatomy.texel[pixels], rng)
            member = smoothstep(0.15, 0.55, self.anatomy.eye[pixels])[:, None]
            shadow = 0.32 + 0.68 * smoothstep(-0.5, 5.0, self.anatomy.upper_lid[pixels])
            shadow = shadow * (0.65 + 0.35 * smoothstep(0, 2.2, self.anatomy.lower_lid[pixels]))
            rgb[pixels] += member * (colour * shadow[:, None] - rgb[pixels])
        self._paint_margins(rgb, look, rng)

    def _iris_centre(
        self, vertices: NDArray[np.floating], side: str, radius: float
    ) -> NDArray[np.floating]:
        """Place (2,) in mm: the upper lid covers the iris' top, the lower one just touches it."""
        curves = self.anatomy.template.curves
        upper, lower = vertices[curves[f"{side}_upper_lid"]], vertices[curves[f"{side}_lower_lid"]]
        x = (upper[0, 0] + upper[-1, 0]) / 2
        top, bottom = upper[:, 1].max(), lower[:, 1].min()
        # the upper lid covers a little of every iris; below one, wide eyes show white
        return np.array([x, max(bottom + 0.54 * (top - bottom), top - radius + 0.7)])

    def _ball(
        self, look: Appearance, offset: Floats, texel: Floats, rng: np.random.Generator
    ) -> Floats:
        """Colours (p, 3) of an eyeball at offsets (p, 2) in mm from the iris' centre."""
        dx, dy = offset.T.astype(np.float32)
        r = np.hypot(dx, dy) / look.iris_radius
        turn = np.arctan2(dy, dx) / (2 * np.pi)  # in turns
        soft = 0.04 + 0.5 * texel / look.iris_radius

        veins = smoothstep(0.7, 1.6, streaks(rng, turn * 90, r * 4)) * smoothstep(1.2, 2.2, r)
        white = _SCLERA * (1 - 0.7 * veins[:, None] * _VEIN)
        white *= 1 - smoothstep(1.3, 2.6, r)[:, None] * np.array([0.12, 0.26, 0.30], np.float32)

        fibres = streaks(rng, turn * 128, r * 2.2) + 0.6 * streaks(rng, turn * 64, r * 3)
        tone = 1 + 0.28 * fibres * smoothstep(0.35, 0.5, r) + 0.35 * smoothstep(0.8, 0.45, r)
        tone *= 1 - 0.6 * smoothstep(0.72, 1.0, r)  # the dark ring around it
        iris = np.array(IRIS_COLOURS[look.iris], np.float32) * look.iris_shade * tone[:, None]
        pupil = _coverage(_PUPIL - r, soft)
        iris = iris + pupil[:, None] * (0.003 - iris)

        return white + _coverage(1 - r, soft)[:, None] * (iris - white)

    def _paint_margins(self, rgb: Floats, look: Appearance, rng: np.random.Generator) -> None:
        a, pixels = self.anatomy, self._around
        upper, lower, texel = a.upper_lid[pixels], a.lower_lid[pixels], a.texel[pixels]
        at, ball = a.upper_lid_at[pixels], a.eye[pixels]
        here = rgb[pixels]

        shadow = smoothstep(0.5, 2.5, upper) * smoothstep(9, 3, upper) * (a.y[pixels] > 0)
        blend(here, 0.32 * look.makeup * shadow * (ball < 0.5), _EYE_SHADOW)
        corner = gaussian(self._from_corner, 1.0, 1.3) * smoothstep(0.02, 0.3, ball)
        blend(here, 0.8 * corner, _CARUNCLE)
        blend(here, 0.45 * line(lower - 0.5, 0.45, texel) * (ball < 0.5), _WATERLINE)

        # Lashes: a dark root line, and hairs that fan out over the skin beyond it.
        tufts = 0.55 + 0.8 * streaks(rng, at * 150, upper * 0.25)
        outwards = smoothstep(0.05, 0.5, at)
        roots = line(upper, 1.05, texel) * (0.65 + 0.35 * outwards) * min(1.0, 0.95 * look.lashes)
        fan = np.exp(-((upper / (1.9 * look.lashes)) ** 2)) * (ball < 0.5)
        fan = fan * 0.5 * np.clip(tufts, 0, 1.2) * outwards * look.lashes
        below = 0.45 * line(lower, 0.5, texel) * np.clip(0.7 + 0.5 * tufts, 0, 1) * look.lashes
        mascara = 1 + 0.6 * look.makeup
        blend(here, np.clip((roots + 0.6 * fan + 0.6 * below) * mascara, 0, 0.95), _LASH)
        rgb[pixels] = here


def _coverage(inside: Floats, soft: Floats) -> Floats:
    """Anti-aliased membership of a disk: `inside` is the distance from its edge, in radii."""
    return np.clip(0.5 + 0.5 * inside / soft, 0, 1)
