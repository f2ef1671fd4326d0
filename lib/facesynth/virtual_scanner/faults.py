"""Faults of a scan at each place of a face: holes in hair, larger dropouts, specular eyes.

All of them are defined in the canonical image, in mm on the template, so that the invalid pixels
of a scan are known exactly.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesynth.mapping.image_mapping import ImageMapping
from facesynth.population.anatomy import Anatomy
from facesynth.population.hair import beard_area
from facesynth.population.head import head
from facesynth.population.noise import SolidNoise, smoothstep
from facesynth.rendering import colour
from facesynth.surface.mesh import FloatArray, Floats
from facesynth.virtual_scanner.settings import Scanner

_CELLS = (13.0, 4.5, 1.8)  # mm: sizes of the noise that makes holes' outlines ragged
_UNLIKE = (0.25, 0.9)  # how far, in logarithms, hair's colour lies from the skin's
_HAIRLINE = 67.0  # mm of the hairline over the eyes, at the midline
_BROW_REACH = (4.0, 9.0)  # mm around the brows' landmarks in which hair counts as brow
_OPEN = (2.0, 7.0)  # mm between lips that touch, and between those of an open mouth
_GLINT = 1.1  # mm of the dent where a flash is mirrored in the eye


@dataclass(frozen=True)
class Faults:
    """Images (R, R) of one scan."""

    hair: Floats  # how much each place is hair, in [0, 1]
    hole: Floats  # nothing is measured where this is positive
    bump: Floats  # mm along the normal by which the measured surface is wrong, on the eyeballs


class Places:
    """Static maps (R²,) of the canonical image that faults refer to; made once for a mapping."""

    def __init__(self, mapping: ImageMapping) -> None:
        a = self.anatomy = Anatomy(head(), mapping, mapping.resolution)
        self.points = np.stack([a.x, a.y, a.z], axis=1)
        self.noise = [SolidNoise(self.points, cell, a.texel) for cell in _CELLS]
        brow = a.vertices[a.template.landmarks[:10]]
        apart = np.linalg.norm(self.points[:, None] - brow, axis=2).min(axis=1)
        # above an arch over the forehead that comes down before the ears
        arch = _HAIRLINE * np.sqrt(np.maximum(1 - np.minimum(a.side_x / 68, 1) ** 3.2, 0))
        self.scalp = smoothstep(-4, 8, a.y - arch) * smoothstep(-10, 15, a.y)
        self.brow = smoothstep(*_BROW_REACH[::-1], apart)
        self.beard = beard_area(a, a.x, a.y, a.z) * (1 - a.lips) * (1 - a.mouth)
        cheek = np.hypot(a.side_x - 32, a.y + 28) < 14
        self.cheek = cheek if cheek.any() else self.scalp < 0.5
        self.eye = smoothstep(0.5, 0.95, a.eye)
        on = self.on_eye = np.flatnonzero(self.eye)
        self.eye_noise = [SolidNoise(self.points[on], cell, a.texel[on]) for cell in _CELLS]


@functools.lru_cache(maxsize=4)
def places(mapping: ImageMapping) -> Places:
    """The static maps of a mapping."""
    return Places(mapping)


def sample_faults(
    vertices: FloatArray,
    texture: NDArray[np.uint8],
    mapping: ImageMapping,
    settings: Scanner,
    rng: np.random.Generator,
) -> Faults:
    """The faults of one scan of a face (m, 3), in mm, with a canonical texture (R, R, 3)."""
    where = places(mapping)
    coarse, middle, fine = (noise.sample(rng) for noise in where.noise)
    hair = hairiness(texture, where)
    # What a scan loses in hair differs a lot from scan to scan, and from lock to lock.
    loss = settings.hair_loss * rng.uniform(0.4, 1.2)
    hole = (
        hair * (loss + 0.35)
        - 1.35
        + 0.45 * hair * coarse
        + 0.35 * middle * (0.3 + hair)
        + 0.2 * fine
    )
    hole = np.maximum(hole, _mouth(vertices, where, middle, fine))
    for _ in range(rng.poisson(settings.dropouts)):
        hole = np.maximum(hole, _dropout(where, settings, middle, fine, rng))
    bump = _eye_bumps(where, settings.eye_noise, rng)
    return Faults(*(image.reshape(texture.shape[:2]) for image in (hair, hole, bump)))


def hairiness(texture: NDArray[np.uint8], where: Places) -> Floats:
    """How much each pixel (R²,) is hair: where hair grows and the colour is not the skin's."""
    log = np.log(colour.from_uint8(texture).reshape(-1, 3) + 0.02)
    skin = np.median(log[where.cheek], axis=0)
    unlike = smoothstep(*_UNLIKE, np.abs(log - skin).mean(axis=1))
    grows = np.maximum(np.maximum(where.scalp, 0.4 * where.brow), 0.6 * where.beard)
    return np.asarray(grows * (0.15 * where.scalp + (1 - 0.15 * where.scalp) * unlike))


def _mouth(vertices: FloatArray, where: Places, middle: Floats, fine: Floats) -> Floats:
    """Where nothing is measured between the lips (R²,).

    A narrow slit shows nothing, and triangles will close it; an open mouth is dark and wet.
    """
    lips = [head().curves[name] for name in ("upper_lip", "lower_lip")]
    upper, lower = (vertices[curve[len(curve) // 2]] for curve in lips)
    wide = smoothstep(*_OPEN, np.linalg.norm(upper - lower))
    loss = 4 * (1 - wide) + wide * (1.4 + 0.8 * middle + 0.4 * fine)
    return np.asarray(where.anatomy.mouth * loss - 1)


def _dropout(
    where: Places, settings: Scanner, middle: Floats, fine: Floats, rng: np.random.Generator
) -> Floats:
    """A larger loss: positive within some mm of a place drawn by area, with a ragged outline."""
    area = where.anatomy.texel.astype(np.float64) ** 2
    centre = where.points[rng.choice(len(area), p=area / area.sum())]
    radius = rng.uniform(*settings.dropout)
    stretch = np.exp(rng.normal(0, 0.25, 3))
    away = np.linalg.norm((where.points - centre) * stretch, axis=1)
    return np.asarray((radius - away) / radius + 0.3 * middle + 0.12 * fine)


def _eye_bumps(where: Places, deviation: float, rng: np.random.Generator) -> Floats:
    """Displacement (R²,) in mm of the eyeballs: bumps, and a dent where the flash is mirrored."""
    on = where.on_eye
    _, broad, narrow = (noise.sample(rng) for noise in where.eye_noise)
    bump = deviation * (0.8 * broad + 0.6 * narrow)
    for side in ("left", "right"):
        lids = [where.anatomy.curve(f"{side}_{lid}_lid") for lid in ("upper", "lower")]
        middle = np.concatenate(lids).mean(axis=0) + rng.normal(0, [2.5, 0.8, 0])
        apart = np.linalg.norm((where.points[on] - middle)[:, :2], axis=1)
        near = np.exp(-0.5 * (apart / 1.6) ** 2)
        bump = bump - deviation * _GLINT / 0.6 * rng.normal(1, 0.4) * near
    everywhere = np.zeros(len(where.eye))
    everywhere[on] = where.eye[on] * bump
    return everywhere
