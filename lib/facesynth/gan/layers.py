"""The building blocks of progressive GANs (Section 4; Karras et al. 2017).

Feature maps are (b, c, h, w). All layers are fastest in PyTorch's channels-last memory format.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN_OF_RECTIFIER = math.sqrt(2)  # He et al. 2015: preserves the variance through a leaky ReLU


class EqualizedLinear(nn.Module):
    """A dense layer (b, n_in) -> (b, n_out) with an equalised learning rate.

    Weights are drawn from N(0, 1) and scaled by `gain / sqrt(fan_in)` in each forward pass, so that
    an optimiser that normalises gradients updates all layers at the same relative rate.
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

    The base class of `UpConv` and `DownConv`, whose kernels have side 3, too.
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
        return convolve(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class UpConv(EqualizedConv):
    """Doubles the side by nearest neighbours, then convolves; both in one transposed convolution.

    Weights of the 3 x 3 kernel that multiply copies of one pixel are summed first, which leaves 4
    of 9 multiplications per pixel.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in, h, w) to (b, n_out, 2 h, 2 w)."""
        kernel = spread(self.weight * self.scale).transpose(0, 1)  # (n_in, n_out, 4, 4)
        kernel = kernel.flip(2, 3)  # PyTorch's convolutions correlate; transposed ones do not
        return convolve(x, kernel, self.bias, stride=2, padding=1, transposed=True)


class DownConv(EqualizedConv):
    """Convolves, then halves the side by 2 x 2 means; both in one strided convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, n_in, h, w) to (b, n_out, h / 2, w / 2)."""
        kernel = spread(self.weight * self.scale) / 4
        return convolve(x, kernel, self.bias, stride=2, padding=1)


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    transposed: bool = False,
) -> Tensor:
    """`F.conv2d` or `F.conv_transpose2d` with fast second derivatives.

    A gradient penalty needs second derivatives. For those with respect to the weights, PyTorch's
    own convolutions convolve with kernels as large as the image, which is slow on accelerators;
    here they are computed like the first derivatives with respect to the weights.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, kernel, bias = x.to(dtype), kernel.to(dtype), None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, kernel, bias, stride, padding, transposed)
    return y


class _Convolution(torch.autograd.Function):
    """y = x * k + b, linear in each of x, k and b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, k: Tensor, b: Tensor | None, stride: int, padding: int, up: bool
    ) -> Tensor:
        ctx.save_for_backward(x, k)
        ctx.how = (stride, padding, up)
        sides = ([stride] * 2, [padding] * 2, [1, 1], up, [0, 0], 1)
        y: Tensor = torch.ops.aten.convolution(x, k, b, *sides)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (x, k), (stride, padding, up) = gradients, ctx.saved_tensors, ctx.how
        by_x = by_k = by_b = None
        if ctx.needs_input_grad[0]:
            by_x = _Convolution.apply(g, k, None, stride, padding, not up)
        if ctx.needs_input_grad[1]:
            by_k = _ByKernel.apply(g, x, k, stride, padding, up)
        if ctx.needs_input_grad[2]:
            by_b = g.sum((0, 2, 3))
        return by_x, by_k, by_b, None, None, None


class _ByKernel(torch.autograd.Function):
    """The derivative of <g, x * k> with respect to k, linear in g and x."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, k: Tensor, stride: int, padding: int, up: bool
    ) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.how = (stride, padding, up)
        sides = ([stride] * 2, [padding] * 2, [1, 1], up, [0, 0], 1)
        wanted = (False, True, False)
        by_k: Tensor = torch.ops.aten.convolution_backward(g, x, k, None, *sides, wanted)[1]
        return by_k

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gk,), (g, x), (stride, padding, up) = gradients, ctx.saved_tensors, ctx.how
        by_g = by_x = None
        if ctx.needs_input_grad[0]:
            by_g = _Convolution.apply(x, gk, None, stride, padding, up)
        if ctx.needs_input_grad[1]:
            by_x = _Convolution.apply(g, gk, None, stride, padding, not up)
        return by_g, by_x, None, None, None, None


def spread(kernel: Tensor) -> Tensor:
    """Convolve a kernel (o, i, 3, 3) with a 2 x 2 box of ones: (o, i, 4, 4)."""
    padded = F.pad(kernel, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]


def pixel_norm(x: Tensor) -> Tensor:
    """Divide (b, c, ...) by its root mean square over the channels."""
    # Channels are last in memory; to sum over the last axis is 3 times faster than over axis 1.
    last = x.movedim(1, -1)
    return (last * torch.rsqrt(last.square().mean(-1, keepdim=True) + 1e-8)).movedim(-1, 1)


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel to (b, c, h, w): the standard deviation over the samples of a group.

    It is averaged over channels and pixels, and so constant over each group. Consecutive samples
    form a group, so that a batch that is split among processes has the same groups as in one.
    Raises ValueError if the batch is not a multiple of the group.
    """
    b, _, h, w = x.shape
    if b % group:
        raise ValueError(f"the batch must be a multiple of the group of {group}, got {b}")
    grouped = x.float().unflatten(0, (-1, group))  # (b / group, group, c, h, w)
    deviation = (grouped.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (b / group,)
    channel = deviation.repeat_interleave(group).to(x.dtype)
    return torch.cat([x, channel[:, None, None, None].expand(b, 1, h, w)], dim=1)


def upsample(x: Tensor) -> Tensor:
    """Double the side of (b, c, h, w) by nearest neighbours."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Halve the side of (b, c, h, w) by 2 x 2 means."""
    return F.avg_pool2d(x, 2)


def fades(alpha: float | Tensor) -> bool:
    """Whether a level fades in. A tensor, which is not read back from a GPU, counts as a fade."""
    return isinstance(alpha, Tensor) or alpha < 1


def fade(old: Tensor, new: Tensor, alpha: float | Tensor) -> Tensor:
    """Blend two levels: exactly `old` at alpha 0 and exactly `new` at alpha 1."""
    return (1 - alpha) * old + alpha * new
