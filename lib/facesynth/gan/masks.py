"""Learning from images of which parts are damaged (Section 6).

Each training image comes with a mask of its valid pixels. Images are multiplied by their masks,
and the masks are appended as one more channel, for a batch of real images and for the generator's
alike: the masks tell the discriminator nothing about which is which, and the generator, which does
not see them, has to make whole images (Figure 5).
"""

import torch
from torch import Tensor


def apply_mask(images: Tensor, masks: Tensor, hidden: int | None = None) -> Tensor:
    """Hide what is invalid and tell where.

    Parameters
    ----------
    images : (n, c, R, R)
        Of one level of the growth, real or fake.
    masks : (n, 1, R, R)
        1 where a pixel is valid, 0 where it is to be ignored.
    hidden : int, optional
        The first so many channels are masked; by default, all.

    Returns
    -------
    (n, c + 1, R, R)
        Images with zeros where they are invalid, and the masks as the last channel.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    n, _, height, side = images.shape
    if masks.shape != (n, 1, height, side):
        raise ValueError(
            f"masks of shape {tuple(masks.shape)} do not match images of shape "
            f"{tuple(images.shape)}: they must be {(n, 1, height, side)}"
        )
    return torch.cat([hide(images, masks, hidden), masks.to(images.dtype)], dim=1)


def hide(images: Tensor, masks: Tensor, hidden: int | None = None) -> Tensor:
    """Put zeros where images (n, c, R, R) are invalid, in the first `hidden` channels or in all."""
    if hidden is None or hidden == images.shape[1]:
        return images * masks
    return torch.cat([images[:, :hidden] * masks, images[:, hidden:]], dim=1)
