"""The light on a face: a portrait studio, its soft shadows, and how skin answers.

The lamps are fixed to the camera: yaw and pitch turn the head, and the light stays where it was.
"""

from dataclasses import dataclass

import numpy as np
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import ArrayLike

from facesynth.surface.mesh import Floats

Triple = tuple[float, float, float]

WET = 4.0  # the gloss of eyes
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # turns of it cover a disk or a sphere evenly
_GRAZING = 0.45  # of a mirror's rise of reflectance at grazing angles: skin is rough (Lagarde 2012)
_CLEARANCE = 0.4  # mm: rays start off the surface; nearer, and a coarse mesh shadows itself


@dataclass(frozen=True)
class Light:
    """A soft key light, a fill from the other side, sky and ground.

    Directions point towards the lamps in the camera's frame; colours are RGB irradiances.
    """

    key: Triple = (-0.6, 0.6, 0.8)
    key_colour: Triple = (0.98, 0.95, 0.91)
    key_radius: float = 12.0  # degrees that the lamp's radius spans: the softness of its shadows
    fill: Triple = (0.75, 0.1, 0.65)
    fill_colour: Triple = (0.17, 0.18, 0.195)
    sky_colour: Triple = (0.31, 0.315, 0.325)
    ground_colour: Triple = (0.13, 0.12, 0.115)
    # Skin scatters light, red the most: the lit side reaches a little beyond the terminator, and
    # fine relief is blurred (hybrid normals: Ma et al. 2007, "Rapid acquisition of specular and
    # diffuse normal maps").
    wrap: Triple = (0.30, 0.18, 0.14)
    blurred: Triple = (0.60, 0.30, 0.15)  # share of the relief that does not show
    specular: float = 0.028  # skin's reflectance at its surface, seen along the normal
    shininess: float = 13.0  # exponent of the sheen of dry skin (Blinn and Phong)
    oil: float = 0.35  # share of the sheen that a film of oil makes sharper, where gloss is 1
    oil_shininess: float = 70.0
    wet_shininess: float = 500.0  # exponent of what wet eyes reflect, where gloss is `WET`


STUDIO = Light()


def shade(
    albedo: Floats,  # (k, 3)
    normals: Floats,  # (k, 3), of any length, bent by a relief
    smooth: Floats,  # (k, 3), the same without it
    rays: Floats,  # (k, 3), unit vectors from the camera
    shadow: Floats,  # (k,), share of the key light that arrives
    open_sky: Floats,  # (k,), share of the sky that is seen
    light: Light,
    gloss: Floats | float = 1.0,  # (k,), how oily the skin is against the light's `oil`
) -> Floats:
    """Linear RGB (k, 3) that a surface sends to the camera."""
    normals, smooth, key, fill = unit(normals), unit(smooth), unit(light.key), unit(light.fill)
    lit = np.empty_like(albedo, shape=normals.shape)
    for c, (wrap, blurred) in enumerate(zip(light.wrap, light.blurred, strict=True)):
        seen = unit(normals + blurred * (smooth - normals))
        at_key, at_fill = (
            np.clip((seen @ lamp + wrap) / (1 + wrap), 0, None) for lamp in (key, fill)
        )
        up = 0.5 + 0.5 * seen[:, 1]
        sky = up * light.sky_colour[c] + (1 - up) * light.ground_colour[c]
        lit[:, c] = light.key_colour[c] * at_key * shadow
        lit[:, c] += (light.fill_colour[c] * at_fill + sky) * open_sky

    sheen = _sheen(normals, unit(key - rays), rays, light, gloss)
    sheen *= np.clip(normals @ key, 0, None) * shadow
    wet = np.broadcast_to(np.clip(np.asarray(gloss) - (WET - 1), 0, 1), len(rays))
    shining = albedo * lit + np.outer((1 - wet) * sheen, light.key_colour)
    eyes = np.flatnonzero(wet)  # few pixels, if any
    lamps = (key, light.key_colour, shadow), (fill, light.fill_colour, open_sky)
    for lamp, colour, arrives in lamps:
        # the lamp's image in the eye is small and bright, however large the lamp
        at = _cosine(normals[eyes], unit(lamp - rays[eyes]))
        glint = light.specular * _lobe(light.wet_shininess, at)
        shining[eyes] += np.outer((wet * arrives)[eyes] * glint, colour)
    return shining


def _sheen(
    normals: Floats, half: Floats, rays: Floats, light: Light, gloss: Floats | float
) -> Floats:
    """Light (k,) from the surface, against what a white wall would send: dry or oily.

    half : (k, 3) unit vectors midway between the lamp and the camera.
    """
    cosine = _cosine(normals, half)
    share = np.clip(light.oil * np.asarray(gloss), 0, 1)
    exponents = [_softened(n, light) for n in (light.shininess, light.oil_shininess)]
    lobes = [_lobe(n, cosine) for n in exponents]
    grazing = np.clip(1 + np.sum(rays * half, axis=1), 0, 1) ** 5  # Schlick's Fresnel term
    fresnel = light.specular + _GRAZING * (1 - light.specular) * grazing
    return fresnel * ((1 - share) * lobes[0] + share * lobes[1])


def _lobe(exponent: float, cosine: Floats) -> Floats:
    """Blinn and Phong's reflection (k,), normalised, by the cosine of normal and half vector."""
    return (exponent + 8) / 8 * cosine**exponent


def _cosine(normals: Floats, half: Floats) -> Floats:
    return np.clip(np.sum(normals * half, axis=1), 1e-4, None)


def _softened(exponent: float, light: Light) -> float:
    """Exponent of a lobe that a lamp of the light's size makes wider: variances add up."""
    lamp = np.tan(np.radians(light.key_radius)) / 2  # half vectors turn by half as much
    return 1 / (1 / exponent + lamp**2 / 4)


def soft_shadow(
    scene: EmbreeScene, points: Floats, normals: Floats, light: Light, rays: int = 16
) -> Floats:
    """Share (m,) of the key light's disk that each point (m, 3) of the scene sees."""
    turn = np.arange(rays) * _GOLDEN_ANGLE
    radius = np.tan(np.radians(light.key_radius)) * np.sqrt((np.arange(rays) + 0.5) / rays)
    key = unit(light.key)
    side = unit(np.cross(key, np.eye(3)[np.argmin(np.abs(key))]))  # any direction across the key
    disk = np.outer(radius * np.cos(turn), side)
    disk += np.outer(radius * np.sin(turn), np.cross(key, side))
    return _unblocked(scene, points, normals, unit(key + disk)[None])


def ambient_occlusion(
    scene: EmbreeScene, points: Floats, normals: Floats, rays: int = 48
) -> Floats:
    """Share (m,) of the sky, weighted by the cosine, that each point (m, 3) of the scene sees."""
    turn = np.arange(rays) * _GOLDEN_ANGLE
    z = 1 - 2 * (np.arange(rays) + 0.5) / rays
    across = np.sqrt(1 - z**2)
    sphere = np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)
    # The unit normal plus a point of the unit sphere is distributed as Lambert's cosine.
    return _unblocked(scene, points, normals, unit(1.001 * normals[:, None] + sphere))


def _unblocked(scene: EmbreeScene, points: Floats, normals: Floats, directions: Floats) -> Floats:
    """Share (m,) of the rays (m or 1, r, 3) from each point (m, 3) that leave the scene."""
    m, r = len(points), directions.shape[1]
    origins = np.repeat(points + _CLEARANCE * normals, r, axis=0)  # (m r, 3)
    towards = np.broadcast_to(directions, (m, r, 3)).reshape(-1, 3)
    hit = scene.run(origins.astype(np.float32), towards.astype(np.float32), query="OCCLUDED") >= 0
    return 1 - hit.reshape(m, r).mean(axis=1)


def unit(vectors: ArrayLike) -> Floats:
    """Vectors (..., 3) at unit length; zero stays zero."""
    array = np.asarray(vectors)
    return array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)
