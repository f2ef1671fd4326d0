"""The speed of GAN training against the same networks of PyTorch's own layers, in images/s.

    python benchmarks/gan_training.py [--sides 32 64 128] [--batch 8] [--steps 4] [--repeats 3]
                                      [--threads 1]

Networks that grow, at some sides; `base`, the generator of whole faces that begins as a morphable
model; and `tiles`, a network of their detail: as the released ones are trained.

Ours is the loop of `gan.train` at full alpha: discriminator with the penalty in every fourth step,
generator, both (fused) optimisers, moving average; in the fastest precision, channels-last, and
with up- and down-sampling fused into convolutions. It is timed in float32, too, to tell what is
precision and what is the rest. The peer is the same loop in this process, with the same losses on
the same images, masks and latent vectors, but with nn.Conv2d, nn.Linear, nn.LeakyReLU, nn.Upsample
and nn.AvgPool2d in float32, contiguous layout and torch.optim.Adam, with PyTorch's settings as they
come: on a GPU, convolutions in float32 may multiply in TF32, except in the proof that follows. Its
styles scale the kernels, one for each sample, which groups of convolutions apply, as in others'
StyleGAN2 for PyTorch.

Before anything is timed, our weights are copied into the peer. Its layers have no equalised
learning rate: the scale is folded into the copied weights. Both networks must then give the same
images and scores to 1e-4 (`difference`: the largest, relative to the largest value), and both
loops' first steps the same loss and penalty to 1e-3.

Times are the best of the repeats, ours and the peer in turn: processor time on one thread of a
processor, else time on the clock, which needs a machine that is otherwise idle. GFLOP count the
convolutions and dense layers as they are computed, two for a multiplication and its addition: fused
layers need fewer. `share` is that rate in parts of the machine's, measured in this run in the same
precision: the higher of torch.mm on large square matrices and one 3 x 3 convolution, as the former
is half as fast as the latter on some processors.
"""

import argparse
import copy
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facesynth import gan
from facesynth.face_gan import models as face_gan
from facesynth.gan.anchored import (
    QUICK,
    AnchoredGenerator,
    ResidualDiscriminator,
    StyledConv,
    TwoDiscriminators,
)
from facesynth.gan.detail import _Conv as DetailConv
from facesynth.gan.detail import waves
from facesynth.gan.layers import DownConv, EqualizedConv, EqualizedLinear, UpConv
from facesynth.gan.machine import start
from facesynth.gan.networks import levels
from facesynth.gan.recording import WARM_UP
from facesynth.gan.training import _Training

PENALTY_EVERY = 4
LARGEST_SMALL = 128  # up to this side networks are as small as a processor can train
TYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}


def plain(layer: nn.Module) -> nn.Module:
    """The layer as PyTorch has it, its scale folded into its weights."""
    assert isinstance(layer, (EqualizedLinear, EqualizedConv))
    new: nn.Linear | nn.Conv2d
    if isinstance(layer, EqualizedLinear):
        new = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
    else:
        n_out, n_in, side, _ = layer.weight.shape
        border: Literal["replicate", "zeros"]
        border = "replicate" if isinstance(layer, DetailConv) else "zeros"
        new = nn.Conv2d(n_in, n_out, side, padding=side // 2, padding_mode=border)
    with torch.no_grad():
        new.weight.copy_(layer.weight * layer.scale)
        assert new.bias is not None
        new.bias.copy_(layer.bias)
    if isinstance(layer, UpConv):
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), new)
    return nn.Sequential(new, nn.AvgPool2d(2)) if isinstance(layer, DownConv) else new


class PixelNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


class MinibatchDeviation(nn.Module):
    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = x.view(b // self.group, self.group, c, h, w)
        y = y - y.mean(dim=1, keepdim=True)
        y = torch.sqrt(torch.mean(y**2, dim=1) + 1e-8).mean(dim=(1, 2, 3))
        y = y.repeat_interleave(self.group).view(b, 1, 1, 1).expand(b, 1, h, w)
        return torch.cat([x, y], dim=1)


class PlainGenerator(nn.Module):
    """The largest level of a generator."""

    def __init__(self, ours: gan.Generator) -> None:
        super().__init__()

        def block(layer: nn.Module) -> list[nn.Module]:
            return [plain(layer), nn.LeakyReLU(0.2), PixelNorm()]

        shape = (ours.first.weight.shape[1], 4, 4)
        layers = [PixelNorm(), plain(ours.dense), nn.Unflatten(1, shape)]
        layers += [nn.LeakyReLU(0.2), PixelNorm(), *block(ours.first)]
        for r in levels(ours.resolution)[1:]:
            layers += [*block(ours.up[str(r)]), *block(ours.conv[str(r)])]
        self.layers = nn.Sequential(*layers, plain(ours.to_image[str(ours.resolution)]))

    def forward(self, z: Tensor, _resolution: int | None = None, _alpha: float = 1.0) -> Tensor:
        return self.layers(z)


class PlainDiscriminator(nn.Module):
    """The largest level of a discriminator."""

    def __init__(self, ours: gan.Discriminator) -> None:
        super().__init__()

        def block(layer: nn.Module) -> list[nn.Module]:
            return [plain(layer), nn.LeakyReLU(0.2)]

        layers = block(ours.from_image[str(ours.resolution)])
        for r in reversed(levels(ours.resolution)[1:]):
            layers += [*block(ours.conv[str(r)]), *block(ours.down[str(r)])]
        layers += [MinibatchDeviation(ours.group), *block(ours.last), nn.Flatten()]
        self.layers = nn.Sequential(*layers, *block(ours.dense), plain(ours.score))

    def forward(self, image: Tensor, _alpha: float = 1.0) -> Tensor:
        return self.layers(image.contiguous()).squeeze(1)  # images of a file are channels-last


class PlainStyled(nn.Module):
    """A convolution whose kernels a style scales, sample by sample."""

    def __init__(self, ours: StyledConv) -> None:
        super().__init__()
        self.style = plain(ours.style)
        weight = ours.weight.detach() / ours.weight[0].numel() ** 0.5
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(ours.bias.detach().clone())
        self.noise = nn.Parameter(ours.noise.detach().clone())

    def forward(self, x: Tensor, style: Tensor, field: Tensor) -> Tensor:
        b, c, h, w = x.shape
        kernels = self.weight * self.style(style)[:, None, :, None, None]  # (b, o, c, 3, 3)
        power = kernels.square().sum((2, 3, 4), keepdim=True)
        kernels = (kernels * torch.rsqrt(power + 1e-8) * 2**0.5).flatten(0, 1)
        padded = F.pad(x, (1,) * 4, mode="replicate").reshape(1, b * c, h + 2, w + 2)
        y = F.conv2d(padded, kernels, groups=b).view(b, -1, h, w)
        y = y + self.bias[:, None, None] + self.noise[:, None, None] * field
        return F.leaky_relu(y, 0.2)


class PlainAnchored(nn.Module):
    """A generator that begins as a morphable model."""

    def __init__(self, ours: AnchoredGenerator) -> None:
        super().__init__()
        self.sides, self.fields, self.mean = ours.sides, ours.fields, ours.mean
        self.basis = ours.basis
        self.coefficients, self.styles = (
            nn.Sequential(
                *(plain(x) if isinstance(x, EqualizedLinear) else nn.LeakyReLU(0.2) for x in dense)
            )
            for dense in (ours.coefficients, ours.styles)
        )
        self.mix = nn.Parameter(ours.mix.detach().clone())
        self.first = nn.Parameter(ours.first.detach().clone())
        self.coarse, self.fine = (
            nn.ModuleList(PlainStyled(cast(StyledConv, layer)) for layer in layers)
            for layers in (ours.coarse, ours.fine)
        )
        self.to_image = nn.ModuleList(map(plain, ours.to_image))

    def forward(self, z: Tensor, _resolution: int | None = None, _alpha: float = 1.0) -> Tensor:
        c = z[:, : len(self.basis)] + QUICK * self.mix * self.coefficients(z)
        face, style = self.mean + (c @ self.basis).view(len(z), *self.mean.shape), self.styles(z)
        mixed = F.normalize(z, dim=1) @ self.fields
        noise = {
            r: part.view(len(z), 1, r, r)
            for r, part in zip(self.sides, mixed.split([r * r for r in self.sides], 1), strict=True)
        }
        seen = {r: F.avg_pool2d(face, self.sides[-1] // r) for r in self.sides}
        x, image = self.first.repeat(len(z), 1, 1, 1), torch.zeros_like(seen[4])
        layers = zip(self.sides, self.coarse, self.fine, self.to_image, strict=True)
        for r, coarse, fine, to_image in layers:
            before = max(4, r // 2)
            x = coarse(torch.cat([x, seen[before]], 1), style, noise[before])
            if r > 4:
                x = F.interpolate(x, scale_factor=2, mode="bilinear")
                image = F.interpolate(image, scale_factor=2, mode="bilinear")
            x = fine(torch.cat([x, seen[r]], 1), style, noise[r])
            image = image + to_image(x)
        return face + image


class PlainResidual(nn.Module):
    """A discriminator whose levels add to a halved copy of what came before."""

    def __init__(self, ours: ResidualDiscriminator) -> None:
        super().__init__()
        self.margin = ours.margin
        self.first, self.last, self.dense, self.score = map(
            plain, (ours.first, ours.last, ours.dense, ours.score)
        )
        self.conv, self.down, self.skip = (
            nn.ModuleList(map(plain, layers)) for layers in (ours.conv, ours.down, ours.skip)
        )
        self.deviation = MinibatchDeviation(ours.group)

    def forward(self, image: Tensor, _alpha: float = 1.0) -> Tensor:
        m, r = self.margin, image.shape[2]
        x = F.leaky_relu(self.first(image[:, :, m : r - m, m : r - m].contiguous()), 0.2)
        for conv, down, skip in zip(self.conv, self.down, self.skip, strict=True):
            y = F.leaky_relu(down(F.leaky_relu(conv(x), 0.2)), 0.2)
            x = (y + F.avg_pool2d(skip(x), 2)) * 0.5**0.5
        x = F.leaky_relu(self.last(self.deviation(x)), 0.2)
        return self.score(F.leaky_relu(self.dense(x.flatten(1)), 0.2)).squeeze(1)


class PlainTwo(nn.Module):
    """Two of these, whose scores are added."""

    def __init__(self, ours: TwoDiscriminators) -> None:
        super().__init__()
        self.n_fine = ours.n_fine
        self.fine, self.coarse = PlainResidual(ours.fine), PlainResidual(ours.coarse)

    def forward(self, image: Tensor, _alpha: float = 1.0) -> Tensor:
        return self.fine(image[:, : self.n_fine]) + self.coarse(F.avg_pool2d(image, 2))


class PlainDetailer(gan.Detailer):
    """A network that adds detail to small images."""

    def __init__(self, ours: gan.Detailer) -> None:
        super().__init__(ours.channels, ours.to_detail.weight.shape[1] * 2, ours.code)
        for name, layer in ours.named_children():
            setattr(self, name, plain(layer))

    def forward(self, small: Tensor, place: Tensor, noise: Tensor) -> Tensor:
        b, _, h, w = small.shape
        code = noise[:, : self.code]
        same = code[:, :, None, None].repeat(1, 1, h, w)
        x = torch.cat([small, waves(place), same], 1)
        for layer in (self.first, self.second, self.coarse):
            x = F.leaky_relu(layer(x), 0.2)
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = torch.cat([x, noise[:, self.code :].view(b, 1, 2 * h, 2 * w)], 1)
        x = x * (1 + self.sway(code))[:, :, None, None]
        x = F.leaky_relu(self.fine(F.leaky_relu(self.middle(x), 0.2)), 0.2)
        return self._consistent(self.to_detail(x), small)


PLAIN: dict[type, type] = {
    gan.Generator: PlainGenerator,
    gan.Discriminator: PlainDiscriminator,
    AnchoredGenerator: PlainAnchored,
    TwoDiscriminators: PlainTwo,
    gan.Detailer: PlainDetailer,
    ResidualDiscriminator: PlainResidual,
}


class Training(_Training):
    """The loop of `gan.train`; nothing is written."""

    def __init__(self, config: gan.Config, data: gan.Images | gan.Tiles) -> None:
        super().__init__(config, data, gan.RunFolder(Path("unused")), start(config))

    def step(self) -> Tensor:
        """Return the discriminator's loss and penalty, and the generator's loss."""
        stage = self.config.stage(self.shown)
        terms = self._step(stage)
        self.shown += stage.batch
        return terms


class Peer(Training):
    """The same loop with other networks and optimisers."""

    def __init__(self, ours: Training) -> None:
        super().__init__(ours.config, ours.data)
        device = self.fabric.device
        networks: dict[str, Any] = {
            name: PLAIN[type(network)](network).to(device, memory_format=torch.contiguous_format)
            for name, network in (("g", ours.generator), ("d", ours.discriminator))
        }
        self.generator, self.discriminator = networks["g"], networks["d"]
        self.generator.latent = ours.generator.latent
        self.recorder = None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        # Folded weights are some twenty times smaller than ours, and so are sensible steps.
        rate = ours.config.learning_rate / 20
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=rate, betas=ours.config.betas)
            for name, network in networks.items()
        }


def configuration(side: int) -> gan.Config:
    small: dict[str, Any] = dict(latent=64, capacity=2048, max_channels=64)
    return gan.Config(
        resolution=side,
        first_resolution=side,  # never fades in
        masks="paired",
        loss="relativistic",
        penalty=0.1,
        penalty_every=PENALTY_EVERY,
        batch={side: 4},
        **(small if side <= LARGEST_SMALL else {}),
    )


def trainings(kind: str, batch: int) -> tuple[Training, Training, Peer]:
    """Ours in the fastest precision and in float32, and the peer; all begin with one state."""
    random, n = np.random.default_rng(0), 4 * batch
    data: gan.Images | gan.Tiles
    if kind == "tiles":
        pixels = random.integers(256, size=(n, 256, 256, 4), dtype=np.uint8)
        data = gan.Tiles(gan.Images(pixels))
        config = face_gan.detail_configuration(data, channels=48, n_shown=1000)
    elif kind == "base":
        data = gan.Images(random.uniform(-1, 1, (n, 64, 64, 9)).astype(np.float32))
        config = face_gan.configuration("faces", 64, channels=64, n_shown=1000, rest=True)
    else:
        side = int(kind)
        pixels = random.integers(256, size=(n, side, side, 3), dtype=np.uint8)
        data = gan.Images(pixels, random.random((n, side, side)) < 0.9)
        config = configuration(side)
    precisions = gan.fastest_precision(), "32-true"
    fast, single = (
        Training(replace(config, batch={data.resolution: batch}, precision=precision), data)
        for precision in precisions
    )
    for ours in (fast, single):  # biases begin at zero, where no difference of theirs would show
        torch.manual_seed(0)
        for network in (ours.generator, ours.discriminator):
            for name, parameter in network.named_parameters():
                if name.endswith(("bias", "mix")) or not parameter.any():
                    nn.init.normal_(parameter, std=0.1)
    return fast, single, Peer(single)


def difference(ours: Training, peer: Peer) -> float:
    """How much networks in float32 differ; trains both for one step, which must agree, too."""

    def results(training: Training) -> tuple[Tensor, Tensor, Tensor]:
        stage = training.config.stage(0)
        latents, _ = training._random(stage.batch)
        images, masks, others = training._real(stage)
        critic, _ = training._critics(1.0, masks, others)
        with torch.no_grad():
            made_of: Any = training.generator
            tiles = isinstance(made_of, gan.Detailer)
            fakes = made_of.complete(latents, images) if tiles else made_of(latents)
            scores = critic(images)
        return fakes, scores, training.step()[:2]

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        (*expected, expected_terms), (*actual, actual_terms) = results(peer), results(ours)
    torch.testing.assert_close(actual_terms, expected_terms, rtol=1e-3, atol=0)
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(actual, expected, strict=True)
    )


def clock() -> float:
    """Seconds, of this process where it has one thread and no accelerator."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def best(repeats: int, calls: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of each call, of which each repeat makes all."""
    times = []
    for _ in range(repeats):
        marks = [clock()]
        for call in calls:
            call()
            marks.append(clock())
        times.append(np.diff(marks))
    return list(np.min(times, axis=0))


def attainable(dtype: torch.dtype, repeats: int) -> dict[str, float]:
    """GFLOP/s of products of square matrices, and of a large convolution of 3 x 3."""
    cuda = torch.cuda.is_available()
    device, c, sides = ("cuda", 512, (4096, 8192)) if cuda else ("cpu", 64, (1024, 1536, 2048))
    x = torch.randn(8, c, 64, 64).to(device, dtype, memory_format=torch.channels_last)
    kernel = torch.randn(c, c, 3, 3).to(device, dtype, memory_format=torch.channels_last)
    matrices = [torch.randn(2, n, n).to(device, dtype) for n in sides]
    calls: list[Callable[[], Tensor]] = [partial(torch.mm, *pair) for pair in matrices]
    calls.append(partial(torch.conv2d, x, kernel, padding=1))
    best(1, calls)  # warms up
    seconds = best(repeats, calls)
    products = [2e-9 * n**3 / s for n, s in zip(sides, seconds, strict=False)]
    return {
        "torch.mm": max(products),
        "torch.conv2d": 2e-9 * len(x) * 64**2 * 9 * c**2 / seconds[-1],
    }


class WithoutModules:
    """Counts no module on its own."""

    parents: ClassVar = {"Global"}
    __enter__ = __exit__ = staticmethod(lambda: None)


def cycles(training: Training, steps: int) -> Tensor:
    return torch.stack([training.step() for _ in range(steps)])


@dataclass
class Speed:
    """Of one training."""

    images: float  # a second
    gflop: float  # an image

    @property
    def rate(self) -> float:
        """GFLOP/s."""
        return self.images * self.gflop


def measure(ours: Sequence[Training], steps: int, repeats: int) -> list[Speed]:
    batch = ours[0].config.stage(0).batch
    gflop = []
    for training in ours:  # warms up as it counts
        training.steps = 0  # a cycle begins with the penalty
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = cast(
            Any, WithoutModules
        )  # its hooks fail where images need gradients
        with counter:
            cycles(training, PENALTY_EVERY)
        if training.recorder:  # its steps are recorded after a few
            cycles(training, (WARM_UP + 1) * PENALTY_EVERY)
        gflop.append(1e-9 * counter.get_total_flops() / (PENALTY_EVERY * batch))
    seconds = best(repeats, [partial(cycles, t, steps) for t in ours])
    assert all(torch.isfinite(training.step()).all() for training in ours)
    return [Speed(steps * batch / s, g) for s, g in zip(seconds, gflop, strict=True)]


def main() -> None:
    cuda = torch.cuda.is_available()
    sides = [32, 64, 128, *((256, 512, 1024) if cuda else ())]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=sides)
    parser.add_argument("--batch", type=int, default=8, help="images a step; a multiple of four")
    parser.add_argument("--steps", type=int, default=4, help="timed at once; whole cycles of four")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each start is announced
    steps = PENALTY_EVERY * max(1, round(args.steps / PENALTY_EVERY))

    precision = gan.fastest_precision()
    limits = {p: attainable(TYPES[p], args.repeats) for p in (precision, "32-true")}
    for p, rates in limits.items():
        print(f"{p}: " + ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in rates.items()))
    limit, limit_32 = (max(limits[p].values()) for p in (precision, "32-true"))
    print(
        f"{'':18s}images/s, batch {args.batch}{'':24s} float32{'':9s} GFLOP an image    share\n"
        f"{'side':>5s} {'difference':>11s} {'ours':>9s} {'peer':>9s} {'ratio':>7s}"
        f" {'ours':>13s} {'ratio':>7s} {'ours':>13s} {'peer':>7s} {'ours':>7s} {'peer':>7s}"
    )
    for kind in [*map(str, args.sides), "base", "tiles"]:
        fast, single, peer = trainings(kind, args.batch)
        error = difference(single, peer)
        assert error < 1e-4, f"the networks of {kind} differ: by {error:.1e}"
        a, b, c = measure((fast, single, peer), steps, args.repeats)
        print(
            f"{kind:>5s} {error:11.1e} {a.images:9.2f} {c.images:9.2f} {a.images / c.images:7.2f}"
            f" {b.images:13.2f} {b.images / c.images:7.2f} {a.gflop:13.3f} {c.gflop:7.3f}"
            f" {a.rate / limit:7.0%} {c.rate / limit_32:7.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
