"""The finest levels of generated faces, texture and displacement, by `gan.Detailer`."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facesynth import gan
from facesynth.dataset.canonical import fill
from facesynth.dataset.dataset import Dataset
from facesynth.dataset.packing import DISPLACEMENT_STEP
from facesynth.evaluation.scores import shrunk, small_rows
from facesynth.gan.detail import AMPLIFIED, MARGIN, SCALE, SMALL, enlarged, places

NOISE = 16  # latent numbers that choose a face's fine detail: a code, and fields of noise
ZERO = 128  # of a displacement, in images


def training_tiles(faces: Dataset, resolution: int) -> gan.Tiles:
    """Tiles of the scans' textures, and displacements where they are known, to learn from.

    resolution : R of the whole images. Invalid pixels are taken as they are filled.
    """
    channels = SMALL + faces.has_displacement
    images = np.empty((len(faces), resolution, resolution, channels), np.uint8)
    done = 0
    for part in faces.parts():
        rows = images[done : done + len(part)]
        rows[..., :SMALL] = shrunk(part.textures, resolution)
        if faces.has_displacement:
            for row, mm, valid in zip(rows, part.displacement, part.valid, strict=True):
                whole = fill(mm[..., None], valid)[None]
                mean = small_rows(whole, resolution).reshape(resolution, resolution)
                row[..., SMALL] = np.clip(np.rint(mean / DISPLACEMENT_STEP) + ZERO, 0, 255)
        done += len(part)
    return gan.Tiles(gan.Images(images))


def detailed(
    network: gan.Detailer, images: NDArray[np.floating], latents: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Images (n, r, r, 3) in [-1, 1] with twice as many pixels a side, and displacement in mm.

    latents : (n, `NOISE`) standard normal numbers, by which one fine detail changes continuously
    into another.
    """
    small = torch.from_numpy(np.ascontiguousarray(images, np.float32)).permute(0, 3, 1, 2)
    noise = noise_of(network, small.shape[-1], latents)
    with torch.no_grad():
        pairs = zip(small.split(1), noise.split(1), strict=True)
        whole = torch.cat([refined(network, low, z) for low, z in pairs])
    found = whole.permute(0, 2, 3, 1).contiguous().numpy()
    if network.channels == SMALL:
        return found, None
    steps = (found[..., SMALL] + 1) * np.float32(127.5) - np.float32(ZERO)
    return np.ascontiguousarray(found[..., :SMALL]), np.float32(DISPLACEMENT_STEP) * steps


def noise_of(network: gan.Detailer, side: int, latents: Tensor) -> Tensor:
    """What the network adds to small images of this side is chosen by (n, k): its code, and noise.

    latents : (n, `NOISE`) standard normal numbers.
    """
    around = side + 2 * MARGIN
    fields = _fields(network.n_noise(around, around) - network.code, NOISE - network.code)
    code, mixture = latents[:, : network.code], latents[:, network.code :]
    return torch.cat([code, mixture / mixture.square().mean(1, True).sqrt() @ fields], 1)


def refined(network: gan.Detailer, small: Tensor, noise: Tensor) -> Tensor:
    """Images (n, c, 2 r, 2 r) of small ones (n, 3, r, r) in [-1, 1]: colours, then displacement."""
    m = MARGIN
    place = F.pad(places(small.shape[-1]), (m,) * 4, mode="replicate")
    padded = F.pad(small, (m,) * 4, mode="replicate")
    everywhere = place.expand(len(small), -1, -1, -1)
    detail = network(padded, everywhere, noise) / AMPLIFIED
    textures = enlarged(padded) + detail[:, :SMALL]
    whole = torch.cat([textures, detail[:, SMALL:]], 1)
    return whole[..., m * SCALE : -m * SCALE, m * SCALE : -m * SCALE]


@functools.lru_cache(maxsize=4)
def _fields(n: int, k: int) -> Tensor:
    """Fixed random fields (k, n); a mixture by normal numbers is of unit variance."""
    drawn = torch.randn(k, n, generator=torch.Generator().manual_seed(0))
    return drawn / drawn.norm(dim=0)
