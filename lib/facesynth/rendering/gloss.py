"""How oily or wet the surface of a face is: what a lamp's reflection on it looks like."""

import numpy as np
from numpy.typing import NDArray

from facesynth.rendering.light import WET
from facesynth.surface.mesh import Floats
from facesynth.template import Template


def gloss(template: Template) -> NDArray[np.float32]:
    """How oily the skin is at a template's vertices (m,), 1 on average over the face.

    Sebaceous glands are dense on forehead, nose and chin, the T-zone; eyes are wet, `WET`. All of a
    template without landmarks of eyes and nose is alike, 1.
    """
    if not np.isin([*range(19, 31), 33 - 17], template.known).all():
        return np.ones(len(template.vertices), np.float32)
    eyes = template.vertices[template.landmarks[19:31]].mean(axis=0)
    x, y, _ = (template.vertices - eyes).T
    base = float((template.vertices - eyes)[template.landmarks[33 - 17], 1])
    zone = _gaussian(x, 0, 26) * _gaussian(y, 46, 20) + _gaussian(x, 0, 11) * _smoothstep(
        30, 5, y
    ) * (_smoothstep(base - 6, base + 4, y))
    chin = _gaussian(x, 0, 13) * _gaussian(y, -96, 8)
    cheek = _gaussian(np.abs(x), 38, 12) * _gaussian(y, -22, 12)
    none = np.zeros(len(x))
    left, right, lips = (template.regions.get(r, none) for r in ("left_eye", "right_eye", "lips"))
    wet = np.clip(2 * (left + right) - 0.5, 0, 1)
    oily = 0.55 + 1.3 * np.minimum(zone, 1) + 0.6 * chin + 0.7 * cheek
    oily += 0.5 * lips
    return np.asarray(oily + wet * (WET - oily), dtype=np.float32)


def _smoothstep(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _gaussian(x: Floats, centre: float, width: float) -> Floats:
    return np.asarray(np.exp(-0.5 * ((x - centre) / width) ** 2))
