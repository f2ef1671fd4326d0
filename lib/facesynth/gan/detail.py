"""The finest levels of images, learned on tiles: memory and time do not grow with the image.

A network adds detail to a small image, which another one has made: twice as many pixels along a
side. Canonical images are aligned, so it is told where in the face a tile lies, too, but roughly:
what is in the small image says more. It is trained on tiles of scans, each with its small image.

How much a face has of it, pores, stubble, strokes, is not in the small image either: a short code
says so, the same for all tiles of a face. Noise in every pixel alone would give all faces the same.

Detail is faint, a hundredth of an image's range. It is amplified before a discriminator sees it, or
the gradient penalty would forbid to tell it from nothing.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .anchored import replicated
from .images import Images, MaskError, Pixels
from .layers import EqualizedConv, EqualizedLinear, convolve
from .networks import rectified

SMALL = 3  # channels of the small images: colours
PLACE = 2  # channels that tell where a pixel lies: from the middle, and down, in halves of a side
SCALE = 2  # pixels along a side over those of the small image: twice that in one step learns worse
TILE = 64  # pixels along the side of the tiles that a discriminator sees
MARGIN = 2  # pixels of the small image around a tile, which convolutions look at
AMPLIFIED = 10.0
WAVES = (0.5, 1.0, 2.0)  # of the places, in half sides of an image: details of a face are finer
ROUNDS = 3  # of a smooth correction, before one in blocks for the rest
SWAY = 0.5  # of the code over features
JITTER = 0.03  # noise of the small images in training: generated ones are not quite as scans'


class Detailer(nn.Module):
    """Adds detail to small images: `SCALE` times as many pixels along a side.

    channels : of the detail; the first three belong to the small image's colours, and do not change
    them: their means over its pixels are the small image.
    code : latent numbers that all of a face's detail depends on.
    """

    def __init__(self, channels: int, max_channels: int, code: int = 0) -> None:
        super().__init__()
        self.channels, self.code = channels, code
        side, wide, narrow = TILE // SCALE + 2 * MARGIN, max_channels, max_channels // 2
        self.latent = self.n_noise(side, side)  # of a tile
        self.first = _Conv(SMALL + 4 * len(WAVES) + code, wide)
        self.second = _Conv(wide, wide)
        self.coarse = _Conv(wide, narrow)
        self.middle = _Conv(narrow + 1, narrow)  # and noise
        self.fine = _Conv(narrow, narrow)
        if code:
            self.sway = EqualizedLinear(code, narrow + 1, gain=SWAY)
        self.to_detail = EqualizedConv(narrow, channels, 1, gain=1)
        nn.init.zeros_(self.to_detail.weight)  # it begins without
        self.to(memory_format=torch.channels_last)

    def forward(self, small: Tensor, place: Tensor, noise: Tensor) -> Tensor:
        """Amplified detail (b, channels, 2 h, 2 w) of small images (b, 3, h, w).

        place  (b, 2, h, w), see `places`
        noise  (b, `n_noise(h, w)`) standard normal numbers
        """
        b, _, h, w = small.shape
        code, field = noise[:, : self.code], noise[:, self.code :]
        same = code.to(small.dtype)[:, :, None, None].expand(-1, -1, h, w)
        x = torch.cat([small, waves(place), same], 1).contiguous(memory_format=torch.channels_last)
        x = rectified(self.coarse(rectified(self.second(rectified(self.first(x))))))
        x = torch.cat([enlarged(x), field.view(b, 1, SCALE * h, SCALE * w).to(x.dtype)], 1)
        if self.code:
            x = x * (1 + self.sway(code).to(x.dtype))[:, :, None, None]
        x = rectified(self.middle(x.contiguous(memory_format=torch.channels_last)))
        return self._consistent(self.to_detail(rectified(self.fine(x))).float(), small.float())

    def n_noise(self, height: int, width: int) -> int:
        """How many random numbers the detail of a small image (height, width) needs, code first."""
        return self.code + height * width * SCALE**2

    def _consistent(self, detail: Tensor, small: Tensor) -> Tensor:
        """The detail, changed so that the whole image's means are the small image."""
        colours, others = detail[:, :SMALL], detail[:, SMALL:]

        def smoothed(x: Tensor) -> Tensor:
            return F.avg_pool2d(enlarged(x), SCALE)

        lacking = AMPLIFIED * (small - smoothed(small)) - F.avg_pool2d(colours, SCALE)
        left, added = lacking, torch.zeros_like(lacking)
        for _ in range(ROUNDS):
            added = added + left
            left = lacking - smoothed(added)
        left = F.interpolate(left, scale_factor=SCALE, mode="nearest")
        return torch.cat([colours + enlarged(added) + left, others], 1)

    def complete(self, noise: Tensor, tiles: Tensor) -> Tensor:
        """Generated tiles: what `Tiles` gives, with other detail."""
        small, place = self._told(tiles)
        return torch.cat([self(small, place, noise), tiles[:, self.channels :]], 1)

    def colours(self, tiles: Tensor) -> Tensor:
        """The colours (b, 3, t, t) of tiles."""
        return tiles[:, :SMALL] / AMPLIFIED + enlarged(self._told(tiles)[0])

    def _told(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Small images and places (b, ..., t / 2, t / 2), of which tiles hold copies."""
        told = tiles[:, self.channels :, ::SCALE, ::SCALE]
        return told[:, :SMALL], told[:, SMALL:]


class _Conv(EqualizedConv):
    """A convolution that repeats the border."""

    def forward(self, x: Tensor) -> Tensor:
        return convolve(replicated(x), self.weight * self.scale, self.bias)


def enlarged(small: Tensor) -> Tensor:
    """A small image (b, c, h, w), interpolated linearly to (b, c, 2 h, 2 w)."""
    return F.interpolate(small, scale_factor=SCALE, mode="bilinear", align_corners=False)


def waves(place: Tensor) -> Tensor:
    """What networks are told of places (b, 2, h, w): slow waves (b, `4 len(WAVES)`, h, w)."""
    angles = torch.cat([math.pi * k * place for k in WAVES], 1)
    return torch.cat([angles.sin(), angles.cos()], 1)


def places(side: int) -> Tensor:
    """Where the pixels of images lie (1, 2, side, side): |x| and y, in [-1, 1]."""
    u = (torch.arange(side, dtype=torch.float32) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(u, u.abs(), indexing="ij")
    return torch.stack([x, y])[None]


@dataclass(frozen=True)
class Tiles:
    """Tiles of images, for a `Detailer` to learn from.

    Their channels: detail, amplified; colours of the small image; `places`. The last two have the
    small image's pixels, `SCALE` times along a side. Tiles have a margin around `TILE` pixels.

    images : (n, R, R, c), colours and what else is detail; without masks, or it raises `MaskError`.
    mirrored : whether half of the tiles are of faces in a mirror.
    """

    images: Images
    mirrored: bool = True

    resolution = TILE
    masks = None

    def __post_init__(self) -> None:
        if self.images.masks is not None:
            raise MaskError("tiles have no masks: cut them of unmasked() images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def pixels(self) -> Pixels:
        """The whole images' pixels."""
        return self.images.pixels

    @property
    def channels(self) -> int:
        """Channels of the detail."""
        return self.images.channels

    def fingerprint(self) -> str:
        """A digest of the images, and of what tiles are cut of them."""
        return f"{self.images.fingerprint()} / {SCALE} {self.mirrored}"

    def hold(self, device: torch.device) -> None:
        """Leave the images where they are: tiles are cut by the processor."""

    @cached_property
    def _place(self) -> NDArray[np.float32]:
        return places(self.images.resolution // SCALE)[0].numpy()

    def batch(
        self,
        index: NDArray[np.integer],
        resolution: int,
        alpha: float,
        device: torch.device,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Tiles (b, c + 5, t, t) at places drawn from `rng`, and masks without a hole."""
        s, q = SCALE, TILE // SCALE
        side = self.images.resolution // s
        around = np.arange(-MARGIN - 1, q + MARGIN + 1)  # one more, to interpolate between
        cut, place = [], []
        for image, corner in zip(
            self.images.read(index), rng.integers(0, side - q + 1, (len(index), 2)), strict=True
        ):
            rows, columns = (np.clip(first + around, 0, side - 1) for first in corner)
            place.append(self._place[:, rows[:, None], columns])
            blocks = ((s * at[:, None] + np.arange(s)).ravel() for at in (rows, columns))
            cut.append(image[np.ix_(*blocks)])
        fine = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2)
        fine = fine.float() / 127.5 - 1 if fine.dtype == torch.uint8 else fine.float()
        small = F.avg_pool2d(fine[:, :SMALL], s)
        detail = torch.cat([fine[:, :SMALL] - enlarged(small), fine[:, SMALL:]], 1)
        noise = rng.standard_normal(small.shape, np.float32)
        noise *= JITTER * rng.random((len(index), 1, 1, 1), np.float32)
        told = torch.cat([small + torch.from_numpy(noise), torch.from_numpy(np.stack(place))], 1)
        told = told.repeat_interleave(s, 2).repeat_interleave(s, 3)
        tiles = torch.cat([AMPLIFIED * detail, told], 1)[:, :, s:-s, s:-s]
        if self.mirrored:
            flip = torch.from_numpy(rng.random((len(index), 1, 1, 1)) < 0.5)
            tiles = torch.where(flip, tiles.flip(3), tiles)
        tiles = tiles.to(device)
        return tiles, torch.ones_like(tiles[:, :1])
