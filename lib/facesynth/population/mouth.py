"""The lips' contact line, and what an open mouth shows: teeth and the dark behind them.

How far the mouth is open is measured on the subject's own geometry. A closed mouth shows a thin
dark line and nothing else.
"""

import numpy as np
from numpy.typing import NDArray

from facesynth.population.anatomy import Anatomy
from facesynth.population.noise import Floats, smoothstep
from facesynth.population.strokes import blend, line

CLOSED = 1.0  # mm: a larger gap between the lips than the template's shows what is behind
_CONTACT = np.array([0.14, 0.052, 0.048], dtype=np.float32)
_CORNER, _CORNER_SHADE = 2.6, 0.42  # mm around the corners, and the light they lose
_REDDER = np.array([0.8, 1.05, 1.1], dtype=np.float32)  # of which less is red
_CAVITY = np.array([0.045, 0.013, 0.012], dtype=np.float32)
_TOOTH = np.array([0.50, 0.44, 0.36], dtype=np.float32)
_INCISOR = 8.5  # mm, width of the upper front teeth
_TEETH = (0.6, 8.0)  # mm under the upper lip: between which heights teeth are seen


class Mouth:
    """Paints the mouths of one subject after another onto textures (R², 3)."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._line = np.flatnonzero((anatomy.contact < 3) & (anatomy.lips > 0.05))
        self._patch = np.flatnonzero(anatomy.mouth > 0)
        # the line fades towards the corners, which lie in a shade of their own
        ends = anatomy.curve("lower_lip").max(axis=0)[0]
        self._fades = smoothstep(1.02, 0.75, anatomy.side_x[self._line] / ends)
        corner = anatomy.curve("lower_lip")[-1]
        place = np.stack([anatomy.side_x, anatomy.y, anatomy.z], axis=1) - corner
        near = np.linalg.norm(place / [1.3, 0.9, 2.0], axis=1) / _CORNER
        self._corner = np.flatnonzero(near < 3)
        shade = _CORNER_SHADE * np.exp(-(near[self._corner] ** 2))
        self._corner_light = (1 - shade).astype(np.float32)
        self._closed = lip_gap(anatomy.template.vertices, anatomy)

    def opening(self, vertices: NDArray[np.floating]) -> NDArray[np.float64]:
        """How far (k,) in mm the lips stand apart along the upper lip, beyond the template's."""
        return np.maximum(lip_gap(vertices, self.anatomy) - self._closed, 0)

    def paint(self, rgb: Floats, vertices: NDArray[np.floating]) -> None:
        """Draw the contact line and, in proportion to the opening, teeth and cavity, in place."""
        a = self.anatomy
        dark = 0.35 * line(a.contact[self._line], 0.6, a.texel[self._line])
        here = rgb[self._line]
        blend(here, dark * a.lips[self._line] * self._fades, _CONTACT)
        rgb[self._line] = here
        rgb[self._corner] *= self._corner_light[:, None] ** _REDDER

        patch = rgb[self._patch]
        blend(patch, 0.65 * a.mouth[self._patch], _CONTACT)
        lip = a.curve("upper_lip")[:, 0]
        gap = np.interp(a.x[self._patch], lip, self.opening(vertices)).astype(np.float32)
        if gap.max() > CLOSED:
            blend(patch, a.mouth[self._patch] * smoothstep(CLOSED, 3, gap), _CAVITY)
            blend(patch, a.mouth[self._patch] * self._teeth(gap), _TOOTH)
        rgb[self._patch] = patch

    def _teeth(self, gap: Floats) -> Floats:
        """Coverage (p,) by the upper teeth; a pixel can be millimetres high where lips part."""
        height = gap / np.maximum(self.anatomy.lips_apart[self._patch], 0.5)  # mm of a pixel
        below = np.clip(self.anatomy.between_lips[self._patch], 0, 1) * gap  # mm from the lip
        ends = np.clip([below - height / 2, below + height / 2], *_TEETH)
        upper = (ends[1] - ends[0]) / np.maximum(height, 1e-3)
        x = self.anatomy.side_x[self._patch]
        between = np.abs((x / _INCISOR) % 1 - 0.5) * _INCISOR  # mm from the gaps between teeth
        shade = 1 - 0.35 * line(_INCISOR / 2 - between, 0.4, self.anatomy.texel[self._patch])
        shade *= 0.7 + 0.3 * smoothstep(0, 4, below)  # in the upper lip's shadow
        return upper * smoothstep(2, 6, gap) * smoothstep(20, 8, x) * np.clip(shade, 0, 1)


def lip_gap(vertices: NDArray[np.floating], anatomy: Anatomy) -> NDArray[np.float64]:
    """Height (k,) in mm of each point of the upper lip's contact line over the lower lip's."""
    curves = anatomy.template.curves
    upper, lower = vertices[curves["upper_lip"]], vertices[curves["lower_lip"]]
    return upper[:, 1] - np.interp(upper[:, 0], lower[:, 0], lower[:, 1])
