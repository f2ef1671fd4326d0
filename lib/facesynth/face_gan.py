"""GANs of faces: textures (Section 7.1), geometries (Section 8), and both as one image.

The paper trains a generator of textures and another of geometries, and finds afterwards which
geometry goes with a texture (Section 7.2). Of both in six channels, the two belong together.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from facesynth import gan
from facesynth.geometry_images import GeometryImages, MirroredImages, eightfold
from facesynth.training_set import TrainingSet

Model = Literal["textures", "geometries", "faces"]
CHANNELS: dict[Model, int] = {"textures": 3, "geometries": 3, "faces": 6}
X = 3  # channel of `faces` that changes its sign in a mirror


class UnknownModelError(ValueError):
    """No model has this name."""


def training_images(model: Model, faces: TrainingSet, to: GeometryImages) -> gan.Images:
    """Images that a model learns from, at the resolution of `to`, with their mirror images.

    model  "textures" (n, R, R, 3), in both variants, with the masks of what the scans show;
           "geometries" (n, R, R, 3), in all eight variants, of which alignment knows every point;
           "faces" (n, R, R, 6), textures and then geometries, in both variants, with the masks

    Raises `UnknownModelError`, `gan.ImageSizeError` where textures are smaller than R x R,
    `MeshArrayError` and `GeometryRangeError`.
    """
    if model not in get_args(Model):
        raise UnknownModelError(f"unknown model {model!r}; there are {', '.join(get_args(Model))}")
    if model == "geometries":
        return gan.Images(eightfold(to.to_images(faces.geometry)))
    textures = shrunk(faces.textures, to.mapping.resolution)
    pixels = (
        textures
        if model == "textures"
        else np.concatenate([textures, to.to_images(faces.geometry)], axis=3)
    )
    channels = range(CHANNELS[model])
    both = MirroredImages(pixels, (channels,), negated=(X,) if model == "faces" else ())
    masks = _valid(faces.valid, to.mapping.resolution)
    return gan.Images(both, np.concatenate([masks, masks[:, :, ::-1]]))


def shrunk(textures: NDArray[np.uint8], resolution: int) -> NDArray[np.float32]:
    """Textures (n, R, R, 3) by means of their pixels' values to (n, r, r, 3) in [-1, 1]."""
    blocks = _blocks(textures, resolution)
    means = np.stack([block.mean(axis=(1, 3), dtype=np.float32) for block in blocks])
    return np.asarray(means / 127.5 - 1, np.float32)


def _valid(valid: NDArray[np.bool_], resolution: int) -> NDArray[np.bool_]:
    """Masks (n, r, r): a pixel is valid if all that went into it are."""
    return np.stack([block.all(axis=(1, 3)) for block in _blocks(valid, resolution)])


def _blocks(images: NDArray[np.generic], resolution: int) -> NDArray[np.generic]:
    """Images (n, R, R, ...) as (n, r, R / r, r, R / r, ...)."""
    n, side = images.shape[:2]
    if side % resolution:
        raise gan.ImageSizeError(
            f"textures of {side} x {side} pixels do not shrink to {resolution} x {resolution}: "
            f"build the training set with --resolution {resolution} or a multiple"
        )
    k = side // resolution
    return images.reshape(n, resolution, k, resolution, k, *images.shape[3:])
