"""The file of a data set that holds some aligned scans: ten times smaller than their arrays.

textures  are WebP images of high quality, empty for scans without,
valid     are bits, and
geometry  is high-pass quantised (Sorkine, Cohen-Or and Toledo 2003): what a vertex's deviation
          from the template differs from its neighbours' mean, in steps of 0.03 mm, and some
          vertices' deviations themselves. Smooth deviations give small numbers, and what
          rounding does to them is smooth, too: some 0.02 mm that nobody sees in a render.
displacement  is rounded to steps of 0.04 mm, a scanner's noise being twice that, in WebP images of
          the same quality, which at 95 is half a step off; or its means over 2 x 2 pixels are.
"""

import functools
import io
import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import SuperLU
from threadpoolctl import threadpool_limits

from facesynth.surface.mesh import factorize, graph_laplacian
from facesynth.template import Template

Arrays = dict[str, NDArray[Any]]

STEP = 0.03  # mm, of the differences from the neighbours and of the vertices that are kept
KEPT_EVERY = 20  # vertices
LOSSLESS = 100  # the quality at which WebP keeps every pixel
DISPLACEMENT = {"full": 1, "half": 2, "none": 0}  # pixels along the side that share one value
DISPLACEMENT_STEP = 0.04  # mm
# of an image of steps that loses nothing: more takes 30 times as long, for nothing
_EXACT = {"lossless": True, "quality": 50, "method": 4}
_ZERO = 128  # what a byte holds for no displacement: 5 mm to both sides are more than is looked for


def pack(
    scans: Sequence[Arrays], template: Template, quality: int, displacement: str = "full"
) -> Arrays:
    """What a file holds of n scans: `geometry` (m, 3) mm, `valid` (R, R), and what else there is.

    That is, `texture` (R, R, 3), and `displacement` (R, R) mm: every pixel's, or less, as
    `DISPLACEMENT` says.
    """
    packed = pack_geometry(np.stack([scan["geometry"] for scan in scans]), template)
    geometry = {"geometry": np.frombuffer(packed, np.uint8)}
    return geometry | pack_images(scans, quality, displacement)


def pack_images(scans: Sequence[Arrays], quality: int, displacement: str) -> Arrays:
    """What a file holds of the images of n scans."""
    options = {"quality": quality, "lossless": quality == LOSSLESS, "method": 6}
    images = [_webp(scan["texture"], **options) if "texture" in scan else b"" for scan in scans]
    content = {
        "textures": np.frombuffer(b"".join(images), np.uint8),
        "ends": np.cumsum([len(image) for image in images]),
        "valid": np.packbits([scan["valid"] for scan in scans]),
    }
    if every := DISPLACEMENT[displacement]:
        steps = [_steps(scan["displacement"], scan["valid"], every) for scan in scans]
        images = [_webp(image, **(_EXACT if quality == LOSSLESS else options)) for image in steps]
        content["displacements"] = np.frombuffer(b"".join(images), np.uint8)
        content["displacement_ends"] = np.cumsum([len(image) for image in images])
    return content


def textures(content: Arrays) -> list[NDArray[np.uint8] | None]:
    """The textures (R, R, 3) sRGB of a file's scans; None for one without."""
    return _images(content["textures"], content["ends"])


def displacement(content: Arrays, resolution: int) -> NDArray[np.float32]:
    """The displacements (n, R, R) mm of a file; 0 where they are not valid."""
    steps = _whole(_images(content["displacements"], content["displacement_ends"]))[..., 0]
    mm = DISPLACEMENT_STEP * (steps.astype(np.float32) - _ZERO)
    mask = valid(content, resolution)
    every = resolution // steps.shape[1]
    if every > 1:  # linear between the means, of which those without a valid pixel do not count
        share = (_blocks(mask, every).max(axis=(2, 4))).astype(np.float32)
        zoom = functools.partial(
            ndimage.zoom, zoom=(1, every, every), order=1, mode="nearest", grid_mode=True
        )
        mm = zoom(mm * share) / np.maximum(zoom(share), 1e-6)
    return np.asarray(np.where(mask, mm, 0), np.float32)


def valid(content: Arrays, resolution: int) -> NDArray[np.bool_]:
    """What is valid (n, R, R) of a file."""
    shape = len(content["ends"]), resolution, resolution
    return np.unpackbits(content["valid"], count=np.prod(shape)).reshape(shape).astype(bool)


def pack_geometry(geometry: NDArray[np.floating], template: Template) -> bytes:
    """Compress faces (n, m, 3) mm in a template's topology."""
    deviation = np.moveaxis(geometry - template.vertices, 0, 1)  # (m, n, 3)
    differences, kept, _ = _operators(template)
    flat = deviation.reshape(len(deviation), -1)
    steps = np.concatenate([differences @ flat, kept @ flat]) / STEP
    return lzma.compress(np.round(steps).T.astype("<i2").tobytes(), preset=9)


@threadpool_limits.wrap(limits=1)  # threads would change the last bits, and do not help
def unpack_geometry(packed: bytes, template: Template) -> NDArray[np.float32]:
    """Faces (n, m, 3) mm from what `pack_geometry` made of them, to about 0.02 mm.

    The deviations whose differences and kept vertices come closest to the rounded ones.
    """
    differences, kept, normal = _operators(template)
    m = differences.shape[0]
    rows = np.frombuffer(lzma.decompress(packed), "<i2").reshape(-1, m + kept.shape[0])
    steps = STEP * rows.T.astype(np.float64)
    flat = normal.solve(differences.T @ steps[:m] + kept.T @ steps[m:])
    deviation = np.moveaxis(flat.reshape(m, -1, 3), 1, 0)
    return (template.vertices + deviation).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _operators(template: Template) -> tuple[csr_array, csr_array, SuperLU]:
    """Vertex minus mean of its neighbours, the vertices that are kept, and the normal equations."""
    laplacian = graph_laplacian(template.faces)
    m = laplacian.shape[0]
    differences = csr_array(diags_array(1 / laplacian.diagonal()) @ laplacian)
    kept = csr_array(eye_array(m, format="csr")[::KEPT_EVERY])
    return differences, kept, factorize(differences.T @ differences + kept.T @ kept)


def _steps(
    displacement: NDArray[np.floating], valid: NDArray[np.bool_], every: int
) -> NDArray[np.uint8]:
    """Means over the valid ones (R, R) of every x every pixels (R, R) mm, as bytes."""
    number = _blocks(valid[None], every).sum(axis=(2, 4))[0]
    total = _blocks(np.where(valid, displacement, 0)[None], every).sum(axis=(2, 4))[0]
    steps = np.rint(total / np.maximum(number, 1) / DISPLACEMENT_STEP) + _ZERO
    return np.asarray(np.clip(steps, 0, 255), np.uint8)


def _blocks(images: NDArray[Any], every: int) -> NDArray[Any]:
    """Images (n, R, R) as (n, R / every, every, R / every, every)."""
    n, size, _ = images.shape
    return images.reshape(n, size // every, every, size // every, every)


def _whole(images: list[NDArray[np.uint8] | None]) -> NDArray[np.uint8]:
    """Images (n, h, w, 3), all of which are there."""
    return np.stack([image for image in images if image is not None])


def _images(joined: NDArray[np.uint8], ends: NDArray[np.integer]) -> list[NDArray[np.uint8] | None]:
    """Images (h, w, 3) one after another in a file; None for an empty one."""
    parts = np.split(joined, ends[:-1])
    return [np.asarray(Image.open(io.BytesIO(p.tobytes()))) if p.size else None for p in parts]


def _webp(image: NDArray[np.uint8], **options: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "WEBP", **options)
    return content.getvalue()
