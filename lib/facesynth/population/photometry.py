"""The photometry of a face: a texture in the canonical image, painted for one subject.

Skin is a mixture of two pigments whose concentrations vary over the face (flushed cheeks, tanned
forehead, freckles, blotches); `skin` turns them into colour. Wrinkles and pores shade it, hair
covers it, and the subject's own geometry darkens it where it sees little of the sky.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesynth.mesh import MeshArrayError, check_arrays
from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import Appearance
from facesynth.population.eyes import Eyes
from facesynth.population.hair import Hair
from facesynth.population.marks import Marks
from facesynth.population.mouth import Mouth
from facesynth.population.noise import Floats, SolidNoise
from facesynth.population.occlusion import ambient_occlusion, neighbour_mean
from facesynth.population.pigments import Pigments
from facesynth.population.skin import skin_colour
from facesynth.population.template import Template
from facesynth.universal_mapping import UniversalMapping

RESOLUTIONS = (64, 1024)  # pixels along a side, least and most
NOISE_CELLS = (30.0, 13.0, 5.5, 2.2, 0.9, 0.4)  # mm, coarse blotches to pores


class Photometry:
    """Paints textures for one template at one resolution.

    What does not depend on the subject is computed once, here; `paint` is then fast.

    Parameters
    ----------
    template : Template
    resolution : int
        Pixels along a side of the square textures, 64 to 1024.
    mapping : UniversalMapping, optional
        The mapping to the canonical image, at the same resolution; made here if not given.
    """

    def __init__(
        self, template: Template, resolution: int, mapping: UniversalMapping | None = None
    ) -> None:
        if not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
            low, high = RESOLUTIONS
            raise ValueError(f"resolution must lie between {low} and {high}, not {resolution}")
        self.template = template
        self.resolution = resolution
        self.mapping = mapping or UniversalMapping(template, resolution)
        self.anatomy = Anatomy(template, self.mapping, resolution)
        place = np.stack([self.anatomy.x, self.anatomy.y, self.anatomy.z], axis=1)
        self._noise = [SolidNoise(place, cell, self.anatomy.texel) for cell in NOISE_CELLS]
        self._pigments = Pigments(self.anatomy)
        self._marks = Marks(self.anatomy)
        self._hair = Hair(self.anatomy)
        self._eyes = Eyes(self.anatomy)
        self._mouth = Mouth(self.anatomy)
        self._smooth = neighbour_mean(template.faces, len(template.vertices))

    def paint(
        self, appearance: Appearance, vertices: ArrayLike, rng: np.random.Generator | int
    ) -> NDArray[np.float32]:
        """The texture (R, R, 3), linear RGB in [0, 1], of one subject.

        Parameters
        ----------
        appearance : Appearance
            The subject's pigments, hair, eyes and marks of age.
        vertices : (m, 3) array
            The subject's geometry, mm. It occludes light, opens the mouth and places the irises.
        rng : numpy.random.Generator or int
            Generator or seed of what varies beyond the appearance: where blotches, moles and hairs
            lie. The same seed gives the same face at any resolution.

        Raises
        ------
        MeshError
            If the vertices have another shape than the template's, or are not finite.
        """
        expected = self.template.vertices.shape
        if np.shape(vertices) != expected:
            raise MeshArrayError(
                f"vertices have shape {np.shape(vertices)}; the template's are {expected}"
            )
        points, _ = check_arrays(vertices, self.template.faces)
        # A generator for each part: what one draws does not change what another sees.
        of_noise, of_marks, of_hair, of_eyes = np.random.default_rng(rng).spawn(4)
        noise = [field.sample(of_noise) for field in self._noise]
        log_melanin, log_blood = self._pigments.fields(appearance, noise, of_marks)
        rgb = skin_colour(log_melanin, log_blood)
        rgb *= self._marks.relief(appearance, noise, of_marks)[:, None]
        self._hair.paint(rgb, appearance, of_hair)
        frontal = self._shade(rgb, points)
        self._eyes.paint(rgb, appearance, points, frontal, of_eyes)
        self._mouth.paint(rgb, points)
        return np.clip(rgb, 0, 1).reshape(self.resolution, self.resolution, 3)

    def _shade(self, rgb: Floats, points: NDArray[np.floating]) -> Floats:
        """Darken by ambient occlusion, in place; x and y (R², 2) of the pixels on the subject."""
        sky = ambient_occlusion(points, self.template.faces)
        sky = self._smooth @ (self._smooth @ sky)
        at_vertices = np.column_stack([points[:, :2], sky])
        image = self.mapping.to_image(at_vertices).astype(np.float32).reshape(-1, 3)
        light = 0.35 + 0.65 * np.maximum(image[:, 2], 0.05)
        # Light that reaches a hollow has met skin before: it loses its blue first.
        rgb *= light[:, None] ** np.array([0.75, 1.05, 1.15], dtype=np.float32)
        return image[:, :2]
