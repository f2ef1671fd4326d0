"""The photometry of a face: texture and fine relief in the canonical image, for one subject.

Skin is a mixture of two pigments whose concentrations vary over the face (flushed cheeks, tanned
forehead, freckles, blotches); `skin` turns them into colour. Pores and wrinkles are a relief that
shades it, hair covers it, and the subject's own geometry darkens it where it sees little of the
sky. In an expression the skin folds where the geometry squeezes it.
"""

import copy
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import Appearance
from facesynth.population.complexion import Complexion
from facesynth.population.compression import Compression
from facesynth.population.eyes import Eyes
from facesynth.population.hair import Hair
from facesynth.population.mouth import Mouth
from facesynth.population.noise import Floats, SolidNoise, smoothstep
from facesynth.population.occlusion import ambient_occlusion, neighbour_mean
from facesynth.population.pigments import Pigments
from facesynth.population.relief import Relief, SubjectRelief
from facesynth.population.skin import skin_colour
from facesynth.population.strokes import blend
from facesynth.surface.mesh import MeshArrayError, check_arrays
from facesynth.template import Template

RESOLUTIONS = (64, 1024)  # pixels along a side, least and most
_OPEN = 0.82  # share of the sky that a cheek sees; what sees more is as light
_CAROTENE = np.array([0.0, 0.12, 1.0], dtype=np.float32)  # its absorption in RGB
_NOSTRIL = np.array([0.030, 0.012, 0.010], dtype=np.float32)  # linear RGB of the dark in it
_CAVITY_SHADE = 1.1  # logarithm of the light lost, by a hollow's depth over its width
NOISE_CELLS = (30.0, 13.0, 5.5, 2.2, 0.9, 0.4)  # mm, coarse blotches to pores


def check_resolution(resolution: int) -> None:
    """Raise ValueError for a resolution outside of `RESOLUTIONS`."""
    low, high = RESOLUTIONS
    if not low <= resolution <= high:
        raise ValueError(f"resolution must lie between {low} and {high}, not {resolution}")


@dataclass(frozen=True)
class Subject:
    """What all pictures of one subject share."""

    look: Appearance
    noise: list[Floats]  # fields (R²,) of unit variance, coarse to fine
    pigments: tuple[Floats, Floats]  # logarithms (R²,) of the melanin and blood fractions
    tint: tuple[Floats, Floats]  # factors (3,) and (R², 3) of the skin's linear RGB
    relief: SubjectRelief
    of_hair: np.random.Generator
    of_eyes: np.random.Generator


class Photometry:
    """Paints textures for one template at one resolution.

    What does not depend on the subject is computed once, here, and what does not depend on the
    expression once for each subject; `paint` is then fast.

    resolution : pixels along a side of the square textures, 64 to 1024.
    """

    def __init__(self, template: Template, resolution: int) -> None:
        check_resolution(resolution)
        self.template = template
        self.resolution = resolution
        self.mapping = UniversalMapping(template, resolution)
        self.anatomy = Anatomy(template, self.mapping, resolution)
        place = np.stack([self.anatomy.x, self.anatomy.y, self.anatomy.z], axis=1)
        self._noise = [SolidNoise(place, cell, self.anatomy.texel) for cell in NOISE_CELLS]
        self._pigments = Pigments(self.anatomy)
        self._complexion = Complexion(self.anatomy)
        self._relief = Relief(self.anatomy)
        self._compression = Compression(template.vertices, self.anatomy.unrolled, template.faces)
        self._hair = Hair(self.anatomy)
        self._eyes = Eyes(self.anatomy)
        self._mouth = Mouth(self.anatomy)
        self._nostrils = _nostrils(self.anatomy)
        beside = neighbour_mean(template.faces, len(template.vertices))
        self._nearby = sp.csr_array(beside @ beside)

    def subject(self, look: Appearance, rng: np.random.Generator | int) -> Subject:
        """What all pictures of one subject share.

        rng : generator or seed of what varies beyond the appearance: where blotches, moles,
        wrinkles and hairs lie. The same seed gives the same face at any resolution.
        """
        # A generator for each part: what one draws does not change what another sees.
        of_noise, of_marks, of_hair, of_eyes, of_relief = np.random.default_rng(rng).spawn(5)
        noise = [field.sample(of_noise) for field in self._noise]
        pigments = self._pigments.fields(look, noise, of_marks)
        tint = np.exp(-look.yellow * _CAROTENE), np.exp(self._complexion.fields(look))
        relief = self._relief.subject(look, noise, of_relief)
        return Subject(look, noise, pigments, tint, relief, of_hair, of_eyes)

    def paint(
        self, subject: Subject, vertices: ArrayLike, neutral: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The texture (R, R, 3), linear RGB in [0, 1], and relief (R, R), mm, of one subject.

        vertices  (m, 3) mm, the subject's geometry: occludes light, opens the mouth, places irises
        neutral   (m, 3) mm, the subject's neutral geometry, where `vertices` is an expression: skin
                  that it squeezes folds into wrinkles

        Raises `MeshError` for vertices of another shape than the template's, or not finite.
        """
        points = self._check(vertices)
        squeeze = None
        if neutral is not None:
            tensor = self._compression.tensor(self._check(neutral), points)
            squeeze = self.mapping.to_image(tensor).astype(np.float32).reshape(-1, 3)
        of_hair, of_eyes = copy.deepcopy((subject.of_hair, subject.of_eyes))  # drawn from again
        relief = subject.relief.field(squeeze)
        cavity = self._relief.cavity(relief)
        (log_melanin, log_blood), (carotene, complexion) = subject.pigments, subject.tint
        rgb = skin_colour(log_melanin + 0.2 * cavity, log_blood + 0.45 * cavity)
        rgb *= hollow_light(cavity) * carotene
        rgb *= complexion
        covered = self._hair.paint(rgb, subject.look, subject.noise, of_hair)
        relief *= 1 - covered  # hair lies over it
        frontal = self._shade(rgb, points)
        blend(rgb, self._nostrils, _NOSTRIL)
        self._eyes.paint(rgb, subject.look, points, frontal, of_eyes)
        self._mouth.paint(rgb, points)
        size = self.resolution
        return np.clip(rgb, 0, 1).reshape(size, size, 3), relief.reshape(size, size)

    def _check(self, vertices: ArrayLike) -> NDArray[np.float64]:
        expected = self.template.vertices.shape
        if np.shape(vertices) != expected:
            raise MeshArrayError(
                f"vertices have shape {np.shape(vertices)}; the template's are {expected}"
            )
        return check_arrays(vertices, self.template.faces)[0]

    def _shade(self, rgb: Floats, points: NDArray[np.floating]) -> Floats:
        """Darken by ambient occlusion, in place; x and y (R², 2) of the pixels on the subject."""
        sky = ambient_occlusion(points, self.template.faces, rays=128, over=self._nearby)
        at_vertices = np.column_stack([points[:, :2], sky])
        image = self.mapping.to_image(at_vertices).astype(np.float32).reshape(-1, 3)
        open_sky = np.minimum(image[:, 2] / _OPEN, 1)
        rgb *= _redder(0.30 + 0.70 * np.maximum(open_sky, 0.05))
        return image[:, :2]


def hollow_light(cavity: Floats) -> Floats:
    """Linear RGB (n, 3) of the light that reaches hollows of the relief, by depth over width."""
    return _redder(np.exp(-_CAVITY_SHADE * np.clip(cavity, -0.25, 1.2)))


def _nostrils(a: Anatomy) -> Floats:
    """Where (R²,) the surface stands for the holes of the nose, in [0, 1]."""
    depth = float(a.vertices[a.template.landmarks[33 - 17], 2])  # z of the columella's foot
    place = np.stack([a.side_x - 7.3, a.y - a.nose_base - 6.2, a.z - depth - 0.8])  # mm
    from_middle = np.sqrt(np.sum((place / np.array([[3.0], [3.2], [3.6]])) ** 2, axis=0))
    return np.asarray(0.65 * smoothstep(1.35, 0.5, from_middle), dtype=np.float32)


def _redder(light: Floats) -> Floats:
    """RGB (n, 3) of a share (n,) of light: in a hollow it has met skin, and lost its blue first."""
    return np.asarray(light[:, None] ** np.array([0.75, 1.05, 1.15], dtype=np.float32))
