"""The file of a data set that holds some aligned scans: ten times smaller than their arrays.

textures  are WebP images of high quality,
valid     are bits, and
geometry  is high-pass quantised (Sorkine, Cohen-Or and Toledo 2003): what a vertex's deviation
          from the template differs from its neighbours' mean, in steps of 0.03 mm, and some
          vertices' deviations themselves. Smooth deviations give small numbers, and what
          rounding does to them is smooth, too: some 0.02 mm that nobody sees in a render.
"""

import functools
import io
import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import SuperLU
from threadpoolctl import threadpool_limits

from facesynth.surface.mesh import factorize, graph_laplacian
from facesynth.template import Template

Arrays = dict[str, NDArray[Any]]

STEP = 0.03  # mm, of the differences from the neighbours and of the vertices that are kept
KEPT_EVERY = 20  # vertices
LOSSLESS = 100  # the quality at which WebP keeps every pixel


def pack(scans: Sequence[Arrays], template: Template, quality: int) -> Arrays:
    """What a file holds of n scans: `geometry` (m, 3) mm, `texture` (R, R, 3), `valid` (R, R)."""
    images = [_webp(scan["texture"], quality) for scan in scans]
    packed = pack_geometry(np.stack([scan["geometry"] for scan in scans]), template)
    return {
        "geometry": np.frombuffer(packed, np.uint8),
        "textures": np.frombuffer(b"".join(images), np.uint8),
        "ends": np.cumsum([len(image) for image in images]),
        "valid": np.packbits([scan["valid"] for scan in scans]),
    }


def textures(content: Arrays) -> NDArray[np.uint8]:
    """The textures (n, R, R, 3) sRGB of a file."""
    images = np.split(content["textures"], content["ends"][:-1])
    return np.stack([np.asarray(Image.open(io.BytesIO(image.tobytes()))) for image in images])


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


def _webp(image: NDArray[np.uint8], quality: int) -> bytes:
    content = io.BytesIO()
    lossless = quality == LOSSLESS
    Image.fromarray(image).save(content, "WEBP", quality=quality, lossless=lossless, method=6)
    return content.getvalue()
