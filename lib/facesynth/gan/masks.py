"""Learning from partly damaged images (Section 6).

Each training image comes with a mask of its valid pixels. Real and generated images are multiplied
by the same masks, which are appended as one more channel. So the masks do not help the
discriminator to tell real images from generated ones, and the generator, which does not see them,
has to produce complete images (Figure 5).
"""

import torch
from torch import Tensor


def apply_mask(images: Tensor, masks: Tensor, hidden: int | None = None) -> Tensor:
    """Set invalid pixels of (n, c, R, R) to zero, and append the masks: (n, c + 1, R, R).

    images : real or generated, of one level of the growth
    masks  : (n, 1, R, R), 1 where a pixel is valid, 0 where it is to be ignored
    hidden : how many channels are masked, from the first on; by default, all

    Raises ValueError if the shapes do not match.
    """
    n, _, height, side = images.shape
    if masks.shape != (n, 1, height, side):
        raise ValueError(
            f"masks of shape {tuple(masks.shape)} do not match images of shape "
            f"{tuple(images.shape)}: they must be {(n, 1, height, side)}"
        )
    return torch.cat([hide(images, masks, hidden), masks.to(images.dtype)], dim=1)


def hide(images: Tensor, masks: Tensor, hidden: int | None = None) -> Tensor:
    """Set invalid pixels of (n, c, R, R) to zero, in the first `hidden` channels or in all."""
    if hidden is None or hidden == images.shape[1]:
        return images * masks
    return torch.cat([images[:, :hidden] * masks, images[:, hidden:]], dim=1)
