r"""A generator that begins as a morphable model, and what adversarial training adds to it.

The paper makes faces in two ways, by principal components (Eq. 1) and by a GAN (Eq. 3). Here one
carries the other:

$$G(z) = \mu + B\,c(z) + r(z, \mu + B\,c(z)).$$

B are the images' principal components times their standard deviations, and c a small dense network
that begins as the identity: so training begins with samples of the morphable model, which vary as
faces do. r is a convolutional network that sees that face at each of its levels, begins as
0, and adds what components cannot: hair, brows, eyes, whatever is there or not. Random fields that
z mixes are added to its features, for what no component tells of skin: spots, pores, strands.

All levels are trained at once. Features are enlarged linearly and halved by means, and borders are
repeated: no checkerboards, and no rim.
"""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facesynth.morphable_model import combined, gram, principal_axes

from .layers import (
    DownConv,
    EqualizedConv,
    EqualizedLinear,
    convolve,
    minibatch_deviation,
)
from .networks import SMALLEST, ImageGenerator, levels, rectified, width

if TYPE_CHECKING:
    from .images import Images

STYLE = 128  # length of the vectors that scale features
HIDDEN = 256  # of the network of the coefficients
FITTED = 2000  # images, with their mirror images, that components are fitted to
FAINT = 0.3  # gain of what each level adds to the image
FIELDS_SEED = 0  # of the random fields
QUICK = 10.0  # how much faster than other weights the coefficients leave the identity


class StyledConv(nn.Module):
    """A 3 x 3 convolution of features that a style scales; its outputs keep their variance.

    Karras et al. (2020), "Analyzing and improving the image quality of StyleGAN".
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.style = EqualizedLinear(STYLE, n_in, gain=1)
        nn.init.ones_(self.style.bias)
        self.noise = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor, style: Tensor, field: Tensor) -> Tensor:
        """Map (b, n_in, h, w), styles (b, `STYLE`) and noise (b, 1, h, w) to (b, n_out, h, w)."""
        scale, kernel = self.style(style), self.weight / math.sqrt(self.weight[0].numel())
        power = scale.float().square() @ kernel.square().sum((2, 3)).T
        gain = math.sqrt(2) * torch.rsqrt(power + 1e-8)
        y = convolve(replicated(x * scale[:, :, None, None].to(x.dtype)), kernel)
        y = y * gain[:, :, None, None].to(y.dtype) + self.bias[:, None, None].to(y.dtype)
        return rectified(y + (self.noise[:, None, None] * field).to(y.dtype))


class AnchoredGenerator(ImageGenerator):
    """Maps latent vectors to images, all levels at once; `Generator` documents the parameters.

    anchors : principal components of the images that it begins with, k. `anchor` sets them; until
    then they are zero.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        latent: int,
        capacity: int,
        max_channels: int,
        anchors: int,
    ) -> None:
        super().__init__()
        self.resolution, self.channels, self.latent = resolution, channels, latent
        self.sides = levels(resolution)
        widths = [width(r, capacity, max_channels) for r in self.sides]
        self.register_buffer("mean", torch.zeros(channels, resolution, resolution))
        self.register_buffer("basis", torch.zeros(anchors, channels * resolution**2))
        self.mean: Tensor
        self.basis: Tensor
        self.coefficients = _dense(latent, HIDDEN, HIDDEN, anchors)
        self.mix = nn.Parameter(torch.zeros(()))  # of what they add to the identity
        self.styles = _dense(latent, STYLE, STYLE)
        self.first = nn.Parameter(torch.randn(1, widths[0], SMALLEST, SMALLEST))
        drawn = torch.Generator().manual_seed(FIELDS_SEED)
        fields = torch.randn(latent, sum(r**2 for r in self.sides), generator=drawn)
        self.register_buffer("fields", fields, persistent=False)
        self.fields: Tensor
        pairs = list(zip([widths[0], *widths], widths, strict=False))
        self.coarse = nn.ModuleList(StyledConv(a + channels, b) for a, b in pairs)
        self.fine = nn.ModuleList(StyledConv(b + channels, b) for b in widths)
        self.to_image = nn.ModuleList(EqualizedConv(b, channels, 1, gain=FAINT) for b in widths)
        for layer in self.to_image:
            assert isinstance(layer, EqualizedConv)
            nn.init.zeros_(layer.weight)
        self.to(memory_format=torch.channels_last)

    def anchor(self, data: "Images", negated: tuple[int, ...], seed: int) -> None:
        """Set mean and components to those of images, and of them mirrored.

        negated : the channels that change their sign in a mirror.
        """
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(len(data))[:FITTED])
        images, _ = data.batch(chosen, self.resolution, 1.0, torch.device("cpu"))
        signs = torch.ones(self.channels, 1, 1)
        signs[list(negated)] = -1
        rows = torch.cat([images, signs * images.flip(3)]).flatten(1).numpy()
        mean = rows.mean(axis=0, dtype=np.float64)
        _, vectors = principal_axes(gram(rows, mean), len(rows) - 1)
        weights = vectors[:, : len(self.basis)].T / np.sqrt(len(rows) - 1)
        self.mean.copy_(torch.from_numpy(mean).view_as(self.mean))
        self.basis[: len(weights)].copy_(torch.from_numpy(combined(weights, rows, mean)))

    def embed(self, z: Tensor) -> Tensor:
        """The latent vectors themselves: their mean, towards which `generate` moves, is 0."""
        return z

    def face(self, z: Tensor) -> Tensor:
        """The morphable model's images (b, channels, R, R): mu + B c(z)."""
        k = len(self.basis)
        c = F.pad(z, (0, max(0, k - self.latent)))[:, :k]
        c = c + QUICK * self.mix * self.coefficients(z)
        with torch.autocast(z.device.type, enabled=False):  # coordinates need all digits
            return self.mean + (c.float() @ self.basis).unflatten(1, self.mean.shape)

    def synthesis(
        self, x: Tensor, resolution: int | None = None, alpha: float | Tensor = 1.0
    ) -> Tensor:
        """Map latent vectors (b, latent) to images (b, channels, R, R)."""
        face, style = self.face(x), self.styles(x)
        seen, small = {}, face.contiguous(memory_format=torch.channels_last)
        for r in reversed(self.sides):
            seen[r], small = small, F.avg_pool2d(small, 2)
        noise = self._noise(x)
        x = self.first.expand(len(x), -1, -1, -1)
        image = torch.zeros_like(seen[SMALLEST])
        layers = zip(self.sides, self.coarse, self.fine, self.to_image, strict=True)
        for r, coarse, fine, to_image in layers:
            before = max(SMALLEST, r // 2)
            x = coarse(_beside(x, seen[before]), style, noise[before])
            if r > SMALLEST:  # the convolution comes first, at a quarter of the pixels
                x, image = (
                    F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
                    for y in (x, image)
                )
            x = fine(_beside(x, seen[r]), style, noise[r])
            image = image + to_image(x).float()
        return face + image

    def _noise(self, z: Tensor) -> dict[int, Tensor]:
        """By side, fields (b, 1, r, r) of unit variance that vectors z (b, latent) mix."""
        mixed = F.normalize(z, dim=1) @ self.fields
        areas = [r**2 for r in self.sides]
        parts = zip(self.sides, mixed.split(areas, dim=1), strict=True)
        return {r: part.unflatten(1, (1, r, r)) for r, part in parts}


class ResidualDiscriminator(nn.Module):
    """Maps images (b, channels, r, r) to one score each, high for real ones.

    Each level adds to a halved copy of what came before it (He et al. 2016). `margin` : pixels at
    each side that it does not look at.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        capacity: int,
        max_channels: int,
        group: int = 4,
        margin: int = 0,
    ) -> None:
        super().__init__()
        self.group, self.margin = group, margin
        widths = [width(r, capacity, max_channels) for r in reversed(levels(resolution))]
        pairs = list(itertools.pairwise(widths))
        self.first = EqualizedConv(channels, widths[0], 1)
        self.conv = nn.ModuleList(EqualizedConv(a, a) for a, _ in pairs)
        self.down = nn.ModuleList(DownConv(a, b) for a, b in pairs)
        self.skip = nn.ModuleList(EqualizedConv(a, b, 1, gain=1) for a, b in pairs)
        self.last = EqualizedConv(widths[-1] + 1, widths[-1])
        self.dense = EqualizedLinear(widths[-1] * SMALLEST**2, widths[-1])
        self.score = EqualizedLinear(widths[-1], 1, gain=1)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
        """Map images to scores (b,)."""
        m = self.margin
        image = image[:, :, m : image.shape[2] - m, m : image.shape[3] - m]
        x = rectified(self.first(image.contiguous(memory_format=torch.channels_last)))
        for conv, down, skip in zip(self.conv, self.down, self.skip, strict=True):
            x = (rectified(down(rectified(conv(x)))) + F.avg_pool2d(skip(x), 2)) * 0.5**0.5
        x = rectified(self.last(minibatch_deviation(x, self.group)))
        x = rectified(self.dense(x.flatten(1)))
        return self.score(x).squeeze(1).float()


class TwoDiscriminators(nn.Module):
    """One for some channels at all levels, and one for all channels from half of the pixels on.

    Their scores are added, as log p(texture) and log p(geometry | texture) are: coordinates vary
    slowly, and in one network they are easier to tell apart than textures, which then learn little.

    fine : the first so many channels, of which the first discriminator sees every pixel.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        capacity: int,
        max_channels: int,
        group: int,
        fine: int,
    ) -> None:
        super().__init__()
        self.n_fine = fine
        self.fine = ResidualDiscriminator(resolution, fine, capacity, max_channels, group)
        half = resolution // 2
        self.coarse = ResidualDiscriminator(half, channels, capacity, max_channels, group)

    def forward(self, image: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
        """Map images (b, channels, r, r) to scores (b,)."""
        score: Tensor = self.fine(image[:, : self.n_fine]) + self.coarse(F.avg_pool2d(image, 2))
        return score


def replicated(x: Tensor) -> Tensor:
    """Images (b, c, h, w) with their border repeated once around: zeros would be seen as a rim."""
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)  # faster than `F.pad` is on processors
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)


def _dense(*widths: int) -> nn.Sequential:
    """A dense network; its last layer is linear."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [EqualizedLinear(a, b), nn.LeakyReLU(0.2)]
    layers[-2] = EqualizedLinear(widths[-2], widths[-1], gain=1)
    return nn.Sequential(*layers[:-1])


def _beside(x: Tensor, image: Tensor) -> Tensor:
    beside = torch.cat([x, image.to(x.dtype)], 1)
    return beside.contiguous(memory_format=torch.channels_last)
