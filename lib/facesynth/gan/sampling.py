"""Images from a trained generator."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesynth.files.integers import checked_seed

from .networks import ImageGenerator

N_MEAN = 1000  # latent vectors that the mean for truncation is computed from
AT_A_TIME = 2**17  # pixels of a batch of images: larger batches are slower, limited by memory


def sample(
    generator: ImageGenerator, n: int, seed: int, batch: int | None = None
) -> NDArray[np.float32]:
    """Draw images (n, R, R, c), nominally in [-1, 1].

    They are generated in batches of `batch`, by default of `AT_A_TIME` pixels.
    """
    z = latents(generator, n, seed)
    parts = z.split(batch or max(1, AT_A_TIME // generator.resolution**2))
    return np.concatenate([generate(generator, part) for part in parts])


def latents(generator: ImageGenerator, n: int, seed: int) -> Tensor:
    """Draw latent vectors (n, latent)."""
    return torch.randn(
        n, generator.latent, generator=torch.Generator().manual_seed(checked_seed(seed))
    )


def generate(generator: ImageGenerator, z: Tensor, truncation: float = 1.0) -> NDArray[np.float32]:
    """Return the images (n, R, R, c), nominally in [-1, 1], of latent vectors (n, latent).

    A truncation below 1 moves the first feature maps towards their mean; 0 gives the mean.
    """
    device = next(generator.parameters()).device
    with torch.no_grad():
        x = generator.embed(z.to(device))
        if truncation < 1:
            mean = generator.embed(latents(generator, N_MEAN, 0).to(device)).mean(0, keepdim=True)
            x = torch.lerp(mean, x, truncation)
        images: Tensor = generator.synthesis(x).cpu()
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def great_circle(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Latent vectors (steps, latent) from a to b.

    All are about as likely; on a straight line, those between would be nearer to the mean than
    any that is drawn.
    """
    length, other = a.norm(), b.norm()
    a, b = a / length, b / other
    angle = torch.arccos((a * b).sum().clamp(-1, 1))
    t = torch.linspace(0, 1, steps)[:, None]
    if angle.sin() < 1e-6:  # the same direction: there is no arc
        return a * torch.lerp(length, other, t)
    way = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()
    return way * torch.lerp(length, other, t)


def to_uint8(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Convert images in [-1, 1] to uint8, rounded; values outside are clipped."""
    return (np.clip(images, -1, 1) * 127.5 + 128).astype(np.uint8)
