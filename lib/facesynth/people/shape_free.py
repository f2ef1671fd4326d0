"""Shape-free textures of photographs with landmarks, after Cootes, Edwards and Taylor (1998).

If landmarks are available instead of a geometry, they replace it: after Procrustes alignment
they are the shape of a face. The photograph, warped so that its landmarks coincide with those of
the mean shape, is a texture that carries information about the shape only through the skin and its
shading. The methods of Section 7.2 can be applied to these pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import Delaunay
from tqdm import tqdm

from facesynth.mapping.image_mapping import ImageMapping, rasterize
from facesynth.people.real_data import Portrait
from facesynth.scans.scanned_surface import bilinear
from facesynth.surface.mesh import FloatArray, MeshArrayError

ROUNDS = 5  # of bringing shapes to their mean
MARGIN = 0.02  # of the image's side, around the mean shape
REDUCED = 6  # photographs' pixels that are averaged, along each side, before they are warped
PUPILS = 62.0  # mm: what the mean distance between the pupils is taken to be


@dataclass(frozen=True)
class ShapeFree:
    """n people."""

    shapes: NDArray[np.float64]  # (n, p, 2) mm, y up, aligned; scaled by their mean's pupils
    textures: NDArray[np.float32]  # (n, R, R, 3) sRGB in [0, 1]
    mask: NDArray[np.bool_]  # (R, R), True within the landmarks


def shape_free(portraits: list[Portrait], resolution: int = 64, progress: bool = True) -> ShapeFree:
    """Split portraits with landmarks into shapes and shape-free textures.

    The first two landmarks are the pupils. Raises `MeshArrayError` where there are no landmarks.
    """
    if not portraits or any(person.landmarks is None for person in portraits):
        raise MeshArrayError("shape-free textures need portraits, all with landmarks")
    pixels = np.stack([person.landmarks for person in portraits])  # type: ignore[misc]
    shapes = procrustes(pixels * [1, -1])
    mean = shapes.mean(axis=0)
    shapes *= PUPILS / np.linalg.norm(mean[0] - mean[1])
    mapping = _onto_mean(shapes.mean(axis=0), resolution)
    textures = np.empty((len(portraits), resolution, resolution, 3), np.float32)
    people = tqdm(portraits, unit=" faces", desc="shape-free", disable=not progress)
    for row, person, landmarks in zip(textures, people, pixels, strict=True):
        image = _reduced(person.read())
        at = (mapping.to_image(landmarks) + 0.5) / REDUCED - 0.5  # column and row
        row[...] = bilinear(image, at.reshape(-1, 2)).reshape(row.shape)
    return ShapeFree(shapes, textures, mapping.mask)


def procrustes(shapes: ArrayLike) -> NDArray[np.float64]:
    """Align shapes (n, p, d) with their mean by translation, scale and rotation.

    Their centroids are at 0, and the size of each is 1.
    """
    centred = np.array(shapes, np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    mean = centred[0]
    for _ in range(ROUNDS):
        centred = np.stack([shape @ orthogonal_procrustes(shape, mean)[0] for shape in centred])
        mean = centred.mean(axis=0) / np.linalg.norm(centred.mean(axis=0))
    return centred


def _onto_mean(mean: FloatArray, resolution: int) -> ImageMapping:
    """From landmarks (p, 2) to the pixels of an image in which the mean shape lies."""
    low, high = mean.min(axis=0), mean.max(axis=0)
    side = (high - low).max() / (1 - 2 * MARGIN)
    uv = (mean - (low + high) / 2) / side + 0.5
    faces = Delaunay(uv).simplices.astype(np.int64)
    return ImageMapping(uv, faces, *rasterize(uv, faces, resolution))


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The photograph (h, w, 3) by means of its pixels, in [0, 1]."""
    h, w = (s // REDUCED for s in image.shape[:2])
    blocks = image[: h * REDUCED, : w * REDUCED].reshape(h, REDUCED, w, REDUCED, 3)
    return np.asarray(blocks.mean(axis=(1, 3)) / 255, np.float32)
