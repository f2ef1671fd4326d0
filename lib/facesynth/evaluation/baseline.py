"""What generated faces are compared with: 3DMMs, as the paper draws one, and a fairer one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesynth.dataset.dataset import Dataset
from facesynth.evaluation.copula import Copula
from facesynth.files import arrays
from facesynth.morphable_model import Floats, MorphableModel

AT_A_TIME = 1000  # geometries
FEW = 100  # textures
KINDS = ("3DMM", "copula 3DMM")


@dataclass(frozen=True)
class Faces:
    """n faces of a generator.

    geometry  (n, m, 3) mm
    textures  (n, R, R, 3) sRGB
    valid     (n, R, R) masks to compare them by; None: those of training scans, drawn at random
    """

    geometry: NDArray[np.float32]
    textures: NDArray[np.uint8]
    valid: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Baseline:
    """Morphable models of textures and of geometries, and how their coefficients are distributed.

    skin, shape  the models
    joint        of both models' coefficients, in this order
    side         R of the textures
    """

    skin: MorphableModel
    shape: MorphableModel
    joint: Copula
    side: int

    @classmethod
    def fit(cls, train: Faces | Dataset, n_components: int) -> "Baseline":
        """Learn from scans: k components, or all there are. Raises ValueError if all are alike."""
        k = None if n_components >= len(train.geometry) - 1 else n_components
        textures = train.textures.reshape(len(train.textures), -1).astype(np.float32)
        geometry = train.geometry.reshape(len(train.geometry), -1)
        skin, shape = MorphableModel(k).fit(textures), MorphableModel(k).fit(geometry)
        both = np.hstack([skin.transform(textures), shape.transform(geometry)])
        return cls(skin, shape, Copula().fit(both), train.textures.shape[1])

    def coefficients(self, faces: Faces | Dataset) -> tuple[Floats, Floats]:
        """Coefficients (n, k) of textures and (n, k) of geometries: the projections of Eq. 1.

        Textures of fewer pixels than the models' are enlarged, each pixel to a square.
        """
        n, side = faces.textures.shape[:2]
        times = max(self.side // side, 1)
        of_skin = [
            self.skin.transform(
                part.repeat(times, 1).repeat(times, 2).reshape(len(part), -1).astype(np.float32)
            )
            for part in np.split(faces.textures, range(FEW, n, FEW))
        ]
        return np.concatenate(of_skin), self.shape.transform(faces.geometry.reshape(n, -1))

    def sample(self, n: int, seed: int) -> Faces:
        """The paper's baseline: n faces whose texture and geometry are normal and independent."""
        of_skin = self.skin.sample_coefficients(n, seed)
        of_shape = self.shape.sample_coefficients(n, seed + 1)
        return self._faces(of_skin, of_shape)

    def sample_jointly(self, n: int, seed: int) -> Faces:
        """The fair rival: n faces with the training scans' own distribution of coefficients."""
        drawn = self.joint.sample(n, seed).astype(np.float32)
        return self._faces(*np.split(drawn, [self.skin.n_components_], axis=1))

    def of_kinds(self, n: int, seed: int) -> dict[str, Faces]:
        """Faces of both, by `KINDS`."""
        return dict(
            zip(KINDS, (self.sample(n, seed), self.sample_jointly(n, seed + 2)), strict=True)
        )

    def _faces(self, of_skin: Floats, of_shape: Floats) -> Faces:
        n = len(of_skin)
        textures = arrays.scratch((n, self.side, self.side, 3), np.uint8)
        for row, alpha in zip(textures, of_skin, strict=True):
            levels = self.skin.inverse_transform(alpha[None])[0].clip(0, 255)
            row[...] = np.rint(levels).reshape(row.shape)
        geometry = arrays.scratch((n, self.shape.mean_.size // 3, 3), np.float32)
        for some in np.split(np.arange(n), range(AT_A_TIME, n, AT_A_TIME)):
            geometry[some] = self.shape.inverse_transform(of_shape[some]).reshape(len(some), -1, 3)
        return Faces(geometry, textures)
