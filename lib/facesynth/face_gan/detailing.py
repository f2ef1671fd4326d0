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
    side, m, s = small.shape[-1], MARGIN, SCALE
    around = side + 2 * m
    place = F.pad(places(side), (m,) * 4, mode="replicate")
    fields = _fields(network.n_noise(around, around) - network.code, NOISE - network.code)
    colours, displacements = [], []
    with torch.no_grad():
        for low, z in zip(small.split(1), latents.split(1), strict=True):
            padded = F.pad(low, (m,) * 4, mode="replicate")
            code, mixture = z[:, : network.code], z[:, network.code :]
            noise = mixture / mixture.square().mean().sqrt() @ fields
            whole = network(padded, place, torch.cat([code, noise], 1))
            colour = enlarged(padded) + whole[:, :SMALL] / AMPLIFIED
            inner = np.s_[m * s : -m * s, m * s : -m * s]
            colours.append(colour[0].permute(1, 2, 0).numpy()[inner])
            if network.channels > SMALL:
                step = whole[0, SMALL].numpy()[inner] / AMPLIFIED
                displacements.append((step + 1) * 127.5 - ZERO)
    mm = np.float32(DISPLACEMENT_STEP) * np.stack(displacements) if displacements else None
    return np.stack(colours), mm


@functools.lru_cache(maxsize=4)
def _fields(n: int, k: int) -> Tensor:
    """Fixed random fields (k, n); a mixture by normal numbers is of unit variance."""
    drawn = torch.randn(k, n, generator=torch.Generator().manual_seed(0))
    return drawn / drawn.norm(dim=0)
