"""Learning from images of which parts are damaged (Section 6).

Each training image comes with a mask of its valid pixels. Images are multiplied by their masks,
and the masks are appended as one more channel, for a batch of real images and for the generator's
alike: the masks tell the discriminator nothing about which is which, and the generator, which does
not see them, has to make whole images (Figure 5).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
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


def misfit(masks: NDArray[np.bool_], grow: int = 0, shift: int = 0) -> NDArray[np.bool_]:
    """Spoil masks, as careless marking would.

    Parameters
    ----------
    masks : (n, R, R) bool
        True where a pixel is valid.
    grow : int
        Pixels by which the invalid regions grow on all sides, or shrink where it is negative.
    shift : int
        Pixels by which they move to the right; what comes in at the left is valid.

    Returns
    -------
    (n, R, R) bool
    """
    invalid = ~masks
    disc = np.hypot(*np.mgrid[-abs(grow) : abs(grow) + 1, -abs(grow) : abs(grow) + 1]) <= abs(grow)
    if grow > 0:
        invalid = ndimage.binary_dilation(invalid, disc[None])
    elif grow < 0:
        invalid = ndimage.binary_erosion(invalid, disc[None], border_value=1)
    return np.logical_not(ndimage.shift(invalid, (0, 0, shift), order=0))
