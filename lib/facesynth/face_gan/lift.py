r"""Faces from the coarse part of generated geometry images, with the morphable model as a prior.

A GAN soon learns how faces vary at 32 x 32 pixels; what it makes at finer levels is noise for long.
What belongs to a coarse image is known from the scans. With their mean face $\mu$ and components
$B$, times their standard deviations, coefficients $\alpha \sim N(0, I)$ (Eq. 2), and a coarse image
$y = A (\mu + B \alpha)$ with noise of variance $\lambda$, where A takes faces to coarse images,

$$\alpha \,|\, y \sim N(C (A B)^T (y - A \mu) / \lambda,\; C), \quad
  C = (I + (A B)^T A B / \lambda)^{-1}.$$

A draw of the coefficients is a face in every vertex. It is a hybrid of both of the paper's models:
the network decides what the face is, and the components what such a face looks like in detail.
"""

import functools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facesynth.evaluation.scores import small_rows
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.morphable_model import MorphableModel

SIDE = 32  # pixels along the side of the coarse images
COMPONENTS = 160
NOISE = 0.2  # lambda, in squares of the images' unit


@dataclass(frozen=True)
class Lift:
    """Takes geometry images (n, R, R, 3) to faces.

    to          makes images of faces
    mean        (m, 3) mm
    components  (k, m, 3) mm, times their standard deviations
    noise       lambda, of generated coarse images: more trusts the components more
    """

    to: GeometryImages
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    noise: float = NOISE

    @classmethod
    def fit(cls, to: GeometryImages, geometry: NDArray[np.floating], k: int = COMPONENTS) -> Self:
        """Find the components of faces (n, m, 3) mm, in which every vertex counts alike."""
        n = len(geometry)
        model = MorphableModel(min(k, n - 1)).fit(((geometry - to.mean) / to.unit).reshape(n, -1))
        deviations = np.sqrt(model.explained_variance_)[:, None]
        shape = geometry.shape[1:]
        mean = to.mean + to.unit * model.mean_.reshape(shape)
        components = to.unit * (deviations * model.components_).reshape(-1, *shape)
        return cls(to, mean.astype(np.float32), components.astype(np.float32))

    def faces(
        self, images: NDArray[np.floating], drawn: NDArray[np.floating] | None = None
    ) -> NDArray[np.float32]:
        """Faces (n, m, 3) mm of generated images (n, R, R, 3).

        drawn : (n, k) standard normal numbers, which choose one of the faces that belong to the
        coarse image. By default, the most likely one.
        """
        alpha = self.coefficients(images)
        if drawn is not None:
            alpha = alpha + drawn @ self._posterior[1]
        flat = alpha.astype(np.float32) @ self.components.reshape(len(self.components), -1)
        return np.asarray(self.mean + flat.reshape(-1, *self.mean.shape), np.float32)

    def coefficients(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """The most likely coefficients alpha (n, k) of generated images (n, R, R, 3)."""
        coarse_mean, coarse = self._coarse
        y = small_rows(images, self._side) - coarse_mean
        return np.asarray(y @ coarse.T @ self._posterior[0])

    @property
    def _side(self) -> int:
        return min(SIDE, self.to.mapping.resolution)

    @functools.cached_property
    def _coarse(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A mu (d,) and (A B)' (k, d)."""
        faces = np.concatenate([self.mean[None], self.mean + self.components])
        values = (faces - self.to.mean) / self.to.unit
        rows = small_rows(self.to.mapping.to_image(values), self._side)
        return rows[0], rows[1:] - rows[0]

    @functools.cached_property
    def _posterior(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """C / lambda (k, k), and a matrix (k, k) whose square is C."""
        _, coarse = self._coarse
        precision = np.eye(len(coarse)) + coarse @ coarse.T / self.noise
        values, vectors = np.linalg.eigh(precision)
        root = (vectors / np.sqrt(values)) @ vectors.T
        return (vectors / values) @ vectors.T / self.noise, root
