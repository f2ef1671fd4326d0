"""The building blocks of progressive GANs (Section 4; Karras et al. 2017).

Feature maps are (b, c, h, w). Everything runs fastest in PyTorch's channels-last layout.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN_OF_RECTIFIER = math.sqrt(2)  # He et al. 2015: keeps the variance through a leaky rectifier


class EqualizedLinear(nn.Module):
    """A dense layer (b, n_in) -> (b, n_out) with an equalised learning rate.

    Weights are drawn from N(0, 1) and scaled by `gain / sqrt(fan_in)` whenever they are used, so
    that an optimiser that normalises gradients moves all layers at one relative speed.
    """

    def __init__(self, n_in: int, n_out: int, gain: float = GAIN_OF_RECTIFIER) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = gain / math.sqrt(n_in)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in) to (b, n_out)."""
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualizedConv(nn.Module):
    """A convolution (b, n_in, h, w) -> (b, n_out, h, w) with an equalised learning rate.

    The base of `UpConv` and `DownConv`, whose kernels are of side 3, too.
    """

    def __init__(
        self, n_in: int, n_out: int, side: int = 3, gain: float = GAIN_OF_RECTIFIER
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, side, side))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = gain / math.sqrt(n_in * side * side)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in, h, w) to (b, n_out, h, w)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding="same")


class UpConv(EqualizedConv):
    """Doubles the side by nearest neighbours, then convolves; both in one transposed convolution.

    Of the nine products of a 3 x 3 kernel, those that meet copies of one pixel are summed first:
    4 products a pixel are left of 9.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in, h, w) to (b, n_out, 2 h, 2 w)."""
        kernel = spread(self.weight * self.scale).transpose(0, 1)  # (n_in, n_out, 4, 4)
        kernel = kernel.flip(2, 3)  # PyTorch's convolutions correlate; transposed ones do not
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class DownConv(EqualizedConv):
    """Convolves, then halves the side by averages of 2 x 2; both in one strided convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in, h, w) to (b, n_out, h / 2, w / 2)."""
        return F.conv2d(x, spread(self.weight * self.scale) / 4, self.bias, stride=2, padding=1)


def spread(kernel: Tensor) -> Tensor:
    """Convolve a kernel (o, i, 3, 3) with a 2 x 2 box of ones: (o, i, 4, 4)."""
    padded = F.pad(kernel, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]


def pixel_norm(x: Tensor) -> Tensor:
    """Divide (b, c, ...) by its root mean square over the channels."""
    # Channels are summed where they lie in memory, last: 3 times faster than along axis 1.
    last = x.movedim(1, -1)
    return (last * torch.rsqrt(last.square().mean(-1, keepdim=True) + 1e-8)).movedim(-1, 1)


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel that tells how much the samples of a group differ.

    Parameters
    ----------
    x : (b, c, h, w)
        Feature maps.
    group : int
        Samples in a group. Neighbours along the batch form a group, so that a batch that is spread
        over several processes has the same groups as in one.

    Returns
    -------
    (b, c + 1, h, w)
        The last channel is constant over each group: the standard deviation over the group's
        samples, averaged over channels and pixels.

    Raises
    ------
    ValueError
        If the batch is not a whole number of groups.
    """
    b, _, h, w = x.shape
    if b % group:
        raise ValueError(f"a batch of {b} is not a whole number of groups of {group}")
    grouped = x.float().unflatten(0, (-1, group))  # (b / group, group, c, h, w)
    deviation = (grouped.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (b / group,)
    channel = deviation.repeat_interleave(group).to(x.dtype)
    return torch.cat([x, channel[:, None, None, None].expand(b, 1, h, w)], dim=1)


def upsample(x: Tensor) -> Tensor:
    """Double the side of (b, c, h, w) by nearest neighbours."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Halve the side of (b, c, h, w) by averages of 2 x 2."""
    return F.avg_pool2d(x, 2)


def fade(old: Tensor, new: Tensor, alpha: float) -> Tensor:
    """Blend in a new level: exactly `old` at alpha 0 and exactly `new` at alpha 1."""
    return (1 - alpha) * old + alpha * new
