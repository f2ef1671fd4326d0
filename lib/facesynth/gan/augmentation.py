"""Showing the discriminator moved and retoned images, so that few images last longer.

A discriminator that sees the same images often learns them by heart, and what it then tells the
generator is of no use. Moved about and with other tones they are never quite the same. Generated
images are treated in the same way, or the generator would make moved ones (Zhao et al. 2020). What
an image is moved away from is invalid in its mask, as damaged parts are.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Augmentation(NamedTuple):
    """What is done to each image of a batch.

    moves  (b, 2) in [-1, 1], down and to the right, in parts of the largest move
    tones  (b, c + 1) in [-1, 1]: what is added to each channel, and to the contrast
    """

    moves: Tensor
    tones: Tensor


def move(images: Tensor, moves: Tensor, farthest: float) -> Tensor:
    """Move images (b, c, r, r) by whole pixels, up to a part of their side; zeros come in."""
    side = images.shape[-1]
    pixels = (moves * farthest * side).round().long()  # (b, 2)
    place = torch.arange(side, device=images.device)
    # One-hot matrices (b, r, r): a product can be differentiated twice, at no cost to speak of.
    down, right = (
        (place[:, None] - by[:, None, None] == place).to(images.dtype) for by in pixels.T
    )
    with torch.autocast(images.device.type, enabled=False):
        return down[:, None] @ images @ right[:, None].mT


def retone(images: Tensor, tones: Tensor, most: float) -> Tensor:
    """Add to each channel of images (b, c, r, r), and stretch them, by up to `most`."""
    tones = most * tones[:, :, None, None]
    return (1 + tones[:, -1:]) * images + tones[:, :-1]
