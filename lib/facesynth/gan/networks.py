"""Generator and discriminator that grow from 4 x 4 pixels, level by level (Section 4).

Both have the layers of all levels from the start; `resolution` selects those that are used. The
output of a new level fades in: its weight alpha rises from 0 (only the level below) to 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import (
    DownConv,
    EqualizedConv,
    EqualizedLinear,
    UpConv,
    downsample,
    fade,
    fades,
    minibatch_deviation,
    pixel_norm,
    upsample,
)

SMALLEST = 4


def levels(resolution: int) -> list[int]:
    """Return 4, 8, ... `resolution`. Raises `ValueError` if it is no power of two, or below 4."""
    if resolution < SMALLEST or resolution & (resolution - 1):
        raise ValueError(
            f"a resolution must be a power of two and at least {SMALLEST}, got {resolution}"
        )
    return [2**k for k in range(2, resolution.bit_length())]


def width(resolution: int, capacity: int, max_channels: int) -> int:
    """Channels of the feature maps: inverse to the resolution, at most `max_channels`."""
    return max(1, min(max_channels, capacity // resolution))


def check_level(resolution: int, largest: int) -> None:
    """Raise `ValueError` if a network has no level of this resolution."""
    if resolution not in levels(largest):
        raise ValueError(f"the resolution must be one of {levels(largest)}, got {resolution}")


def rectified(x: Tensor) -> Tensor:
    """The leaky ReLU of all layers."""
    return F.leaky_relu(x, 0.2)


class ImageGenerator(nn.Module):
    """What generators have in common: they map latent vectors (b, latent) to images.

    `embed` takes them to what images are made of, and what faces are mixed in; `synthesis` makes
    the images (b, channels, R, R), nominally in [-1, 1].
    """

    resolution: int
    channels: int
    latent: int

    def forward(
        self, z: Tensor, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """Map latent vectors to images, of a level of the growth if the generator grows."""
        return self.synthesis(self.embed(z), resolution, alpha)

    def embed(self, z: Tensor) -> Tensor:
        """What images are made of."""
        raise NotImplementedError

    def synthesis(
        self, x: Tensor, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """Map what `embed` returned to images."""
        raise NotImplementedError


class Generator(ImageGenerator):
    """Maps latent vectors to images, and grows.

    resolution : side of the largest images, a power of two
    channels   : of an image: 3 for a texture or a geometry image, 6 for both
    latent     : length of the latent vectors

    Feature maps of side r have `min(max_channels, capacity // r)` channels. The defaults are those
    of Karras et al. (2017).
    """

    def __init__(
        self,
        resolution: int,
        channels: int = 3,
        latent: int = 512,
        capacity: int = 16384,
        max_channels: int = 512,
    ) -> None:
        super().__init__()
        self.resolution, self.channels, self.latent = resolution, channels, latent
        sides = levels(resolution)
        widths = [width(r, capacity, max_channels) for r in sides]
        maps = list(zip(sides, widths, strict=True))  # side and channels at each level
        gain = 2**0.5 / SMALLEST  # as for the fan-in of a 4 x 4 convolution
        self.dense = EqualizedLinear(latent, widths[0] * SMALLEST**2, gain)
        self.first = EqualizedConv(widths[0], widths[0])
        self.up = nn.ModuleDict(
            {str(r): UpConv(a, b) for r, a, b in zip(sides[1:], widths, widths[1:], strict=False)}
        )
        self.conv = nn.ModuleDict({str(r): EqualizedConv(c, c) for r, c in maps[1:]})
        self.to_image = nn.ModuleDict(
            {str(r): EqualizedConv(c, channels, 1, gain=1) for r, c in maps}
        )
        self.to(memory_format=torch.channels_last)

    def embed(self, z: Tensor) -> Tensor:
        """Map latent vectors (b, latent) to the first feature maps (b, c, 4, 4)."""
        x = self.dense(pixel_norm(z)).unflatten(1, (-1, SMALLEST, SMALLEST))
        x = x.contiguous(memory_format=torch.channels_last)
        return pixel_norm(rectified(x))

    def synthesis(
        self, x: Tensor, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """Map the first feature maps to images."""
        resolution = self.resolution if resolution is None else resolution
        check_level(resolution, self.resolution)
        x = below = pixel_norm(rectified(self.first(x)))
        for r in levels(resolution)[1:]:
            below = x
            x = pixel_norm(rectified(self.up[str(r)](x)))  # (b, c, r, r)
            x = pixel_norm(rectified(self.conv[str(r)](x)))
        image = self.to_image[str(resolution)](x).float()
        if fades(alpha) and resolution > SMALLEST:
            old = self.to_image[str(resolution // 2)](below).float()
            image = fade(upsample(old), image, alpha)
        return image


class Discriminator(nn.Module):
    """Maps images to one score each, high for real ones; mirrors the generator's architecture.

    Parameters are those of `Generator`; `channels` includes the mask, if there is one. `group` is
    the number of samples over which the last level's minibatch standard deviation is computed.
    """

    def __init__(
        self,
        resolution: int,
        channels: int = 3,
        capacity: int = 16384,
        max_channels: int = 512,
        group: int = 4,
    ) -> None:
        super().__init__()
        self.resolution, self.channels, self.group = resolution, channels, group
        sides = levels(resolution)
        widths = [width(r, capacity, max_channels) for r in sides]
        maps = list(zip(sides, widths, strict=True))  # side and channels at each level
        self.from_image = nn.ModuleDict({str(r): EqualizedConv(channels, c, 1) for r, c in maps})
        self.conv = nn.ModuleDict({str(r): EqualizedConv(c, c) for r, c in maps[1:]})
        self.down = nn.ModuleDict(
            {str(r): DownConv(b, a) for r, a, b in zip(sides[1:], widths, widths[1:], strict=False)}
        )
        self.last = EqualizedConv(widths[0] + 1, widths[0])
        self.dense = EqualizedLinear(widths[0] * SMALLEST**2, widths[0])
        self.score = EqualizedLinear(widths[0], 1, gain=1)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
        """Map images (b, channels, r, r), of any level, to scores (b,)."""
        resolution = image.shape[-1]
        check_level(resolution, self.resolution)
        image = image.contiguous(memory_format=torch.channels_last)
        x = rectified(self.from_image[str(resolution)](image))
        for r in reversed(levels(resolution)[1:]):
            x = rectified(self.conv[str(r)](x))  # (b, c, r, r)
            x = rectified(self.down[str(r)](x))  # (b, c, r / 2, r / 2)
            if r == resolution and fades(alpha):
                old = rectified(self.from_image[str(r // 2)](downsample(image)))
                x = fade(old, x, alpha)
        x = rectified(self.last(minibatch_deviation(x, self.group)))  # (b, c, 4, 4)
        x = rectified(self.dense(x.flatten(1)))  # (b, c)
        return self.score(x).squeeze(1).float()
