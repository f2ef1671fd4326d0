"""The geometry of a generated texture, by least squares: Section 7.2.4, kept beside a generator.

The paper's own way from a texture to a face: the generator makes the texture, and the map that
`geometry_fitting.LeastSquaresFit` has learned from scans says which geometry belongs to it.
"""

import os
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from facesynth.dataset.dataset import Dataset
from facesynth.evaluation.scores import shrunk
from facesynth.gan.run_folder import load_tensors, save_tensors
from facesynth.geometry_fitting import LeastSquaresFit
from facesynth.surface.mesh import MeshArrayError

SIDE = 64  # pixels of the textures that the fit looks at: finer detail says little of geometry
COMPONENTS = 200  # the paper's k, for as many scans as it has
SCANS_A_COMPONENT = 5  # fewer scans carry fewer components


@dataclass(frozen=True)
class TextureFit:
    """A linear map from textures to geometries, of d = 3 s² and 3 m numbers.

    mean_t, basis_t  (d,) and (k, d): mu_t and V_t of textures in [0, 1]
    weights          (k, k): W*
    mean_g, basis_g  (3 m,) and (k, 3 m): mu_g in mm and V_g
    """

    mean_t: NDArray[np.float32]
    basis_t: NDArray[np.float32]
    weights: NDArray[np.float32]
    mean_g: NDArray[np.float32]
    basis_g: NDArray[np.float32]

    @classmethod
    def fit(cls, faces: Dataset, side: int = SIDE) -> "TextureFit":
        """Learn from scans' textures of side x side pixels.

        Raises what `predict` and `LeastSquaresFit` do.
        """
        k = max(1, min(COMPONENTS, len(faces) // SCANS_A_COMPONENT))
        found = LeastSquaresFit(k, k).fit(
            _rows(faces.textures, side), faces.geometry.reshape(len(faces), -1)
        )
        t, g = found.texture_model_, found.geometry_model_
        return cls(t.mean_, t.components_, found.coef_, g.mean_, g.components_)

    def predict(self, textures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Geometries (n, m, 3) mm of textures (n, R, R, 3) sRGB, R a multiple of `side`.

        Raises `MeshArrayError` for other textures.
        """
        alpha_t = (_rows(textures, self.side) - self.mean_t) @ self.basis_t.T  # Eq. 20
        alpha_g = alpha_t @ self.weights  # Eq. 21, as it must read
        geometry = self.mean_g + alpha_g @ self.basis_g  # Eq. 22
        return geometry.reshape(len(textures), -1, 3).astype(np.float32)

    @property
    def side(self) -> int:
        """Pixels along the side of the textures that it looks at."""
        return int(np.sqrt(len(self.mean_t) / 3))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map, the bases in half precision. Raises `WriteError`."""
        arrays = {field.name: torch.from_numpy(getattr(self, field.name)) for field in fields(self)}
        halved = {k: a.half() if k.startswith("basis") else a for k, a in arrays.items()}
        save_tensors(halved, {}, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TextureFit":
        """Read what `save` wrote. Raises `gan.DamagedFileError`."""
        return cls(**{name: of.float().numpy() for name, of in load_tensors(path)[0].items()})


def _rows(textures: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    n, R = len(textures), textures.shape[1]
    if textures.dtype != np.uint8 or textures.shape != (n, R, R, 3) or R % side or not R:
        raise MeshArrayError(
            f"textures are {textures.shape}, {textures.dtype}; expected (n, R, R, 3), uint8, where "
            f"R is {side} pixels, or a multiple"
        )
    rows = shrunk(textures, side).reshape(n, -1)
    return (rows / np.float32(255)).astype(np.float32)
