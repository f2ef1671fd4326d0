"""The training loop: grows both networks, and can be killed and resumed at any time."""

import copy
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from .anchored import AnchoredGenerator
from .config import Config, ConfigError, Stage
from .detail import Detailer, Tiles
from .drawing import flipped, generator_of, order
from .images import Images, send
from .losses import LOSSES, Critic
from .machine import made_by, start
from .masks import apply_mask, hide
from .recording import Recorder
from .run_folder import (
    CHECKPOINT,
    GENERATOR,
    SAMPLES,
    TENSORBOARD,
    RunFolder,
    load_tensors,
    save_generator,
    save_tensors,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

N_GRID = 64  # samples in a grid
TERMS = ("discriminator_loss", "penalty", "generator_loss")  # in the log


def train(
    config: Config,
    data: Images | Tiles,
    out: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> RunFolder:
    """Train a GAN into the folder `out`, or resume the run in it; a finished one is returned.

    Runs on one CPU or GPU, and under `torchrun` on several, which split each batch. The same
    configuration and data give the same weights, however often the run was stopped and resumed: on
    one CPU bit for bit.

    Raises `ConfigError` if the configuration does not match the data: images with masks need a use
    for them; `PixelRangeError` for pixels that are read only now; `OtherRunError` or
    `OtherDataError` if `out` has a run of another configuration or on other data; `LockedRunError`
    if another process is training into it; `DamagedFileError` if its checkpoint is damaged; and
    `WriteError` if a file cannot be written.
    """
    _check(config, data)
    fabric = start(config)
    folder = RunFolder(out)
    with ExitStack() as held:

        def open_folder() -> bool:
            """Open the folder, locked if the run is to be trained; return whether it is."""
            if not folder.is_finished:  # a finished run is only read
                held.enter_context(folder.lock())
            folder.open(config, data)
            return not folder.is_finished  # another process may have finished it meanwhile

        if _on_first(fabric, open_folder):
            _Training(config, data, folder, fabric).run(progress)
    fabric.barrier()
    return folder


def _on_first(fabric: "Fabric", do: Callable[[], bool]) -> bool:
    """Call a function in the first process; return its result, or raise its error, in all.

    If only the first raised, the others would wait for it.
    """
    outcome: bool | Exception = False
    if fabric.is_global_zero:
        try:
            outcome = do()
        except Exception as error:
            if fabric.world_size == 1:
                raise
            outcome = error
    outcome = fabric.broadcast(outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class _Training:
    """The state of a run."""

    def __init__(
        self, config: Config, data: Images | Tiles, folder: RunFolder, fabric: "Fabric"
    ) -> None:
        self.config, self.data, self.folder, self.fabric = config, data, folder, fabric
        data.hold(fabric.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.generator = config.generator().to(fabric.device)
            is_new = not (folder.path / CHECKPOINT).exists()
            if isinstance(self.generator, AnchoredGenerator) and is_new:
                assert isinstance(data, Images)
                self.generator.anchor(data, config.negated, config.seed)
            self.discriminator = config.discriminator().to(fabric.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.networks = {"g": self.generator, "d": self.discriminator, "average": self.average}
        on_gpu, rate = fabric.device.type == "cuda", config.learning_rate
        self.optimizers = {
            name: torch.optim.Adam(
                self.networks[name].parameters(),
                # Recorded steps read values that change from step to step from the GPU's memory.
                lr=torch.tensor(rate, device=fabric.device) if on_gpu else rate,
                betas=config.betas,
                fused=True,
                capturable=on_gpu,
            )
            for name in ("g", "d")
        }
        alone = fabric.world_size == 1
        self.recorder = Recorder(self._descend_on_gpu) if on_gpu and alone else None
        self.loss = LOSSES[config.loss]
        self.signs = torch.ones(config.channels, 1, 1, device=fabric.device)
        self.signs[list(config.negated)] = -1
        latent, source = self.generator.latent, generator_of(config.seed, 0, 0)
        self.fixed = torch.randn(N_GRID, latent, generator=source)
        self.shown = 0  # real images, over all processes
        self.steps = 0
        self.seconds = 0.0  # of training, over all sessions
        self.sums = torch.zeros(len(TERMS), device=fabric.device)  # since the last line of the log
        self.summed = 0  # steps

    def run(self, progress: bool) -> None:
        """Train to the end."""
        # Imported here, as Lightning is: this saves seconds if one only samples.
        from torch.utils.tensorboard import SummaryWriter

        config, folder, first = self.config, self.folder, self.fabric.is_global_zero
        if (folder.path / CHECKPOINT).exists():
            self._load()
        writer = None
        if first:
            folder.forget_after(self.shown)
            folder.sign(made_by(self.fabric))
            (folder.path / TENSORBOARD).mkdir(exist_ok=True)
            writer = SummaryWriter(str(folder.path / TENSORBOARD), purge_step=self.shown + 1)
        name, clock = folder.path.name, time.perf_counter()
        quiet = not (progress and first)
        bar = tqdm(total=config.images, initial=self.shown, unit=" images", disable=quiet)
        while self.shown < config.images:
            stage = config.stage(self.shown)
            self.sums += self._step(stage)
            self.summed += 1
            before, self.shown = self.shown, self.shown + stage.batch
            bar.set_description(f"{name}, {stage.resolution} x {stage.resolution}", refresh=False)
            bar.update(stage.batch)
            if self._due(config.log_images, before):
                now = time.perf_counter()
                self.seconds, clock = self.seconds + now - clock, now
                row = self._row(stage)
                if writer:
                    folder.append(row)
                    for key, number in row.items():
                        writer.add_scalar(key, number, self.shown)
            if writer and self._due(config.sample_images, before):
                self._write_samples()
            if writer and self._due(config.checkpoint_images, before):
                self._save()
        bar.close()
        if writer:
            writer.close()
            save_generator(self.average, config, folder.path / GENERATOR)

    def _due(self, every: int, before: int) -> bool:
        """Whether an action with an interval of `every` images is due after this step."""
        return self.shown >= self.config.images or before // every != self.shown // every

    def _row(self, stage: Stage) -> dict[str, float]:
        """Return a line of the log, and reset the sums for the next."""
        means = dict(zip(TERMS, (self.sums / self.summed).tolist(), strict=True))
        self.sums.zero_()
        self.summed = 0
        where = {"images": self.shown, "resolution": stage.resolution, "alpha": stage.alpha}
        return where | means | {"seconds": self.seconds}

    def _step(self, stage: Stage) -> Tensor:
        """Train both networks on one batch; return `TERMS`, averaged over the processes."""
        every = self.config.penalty_every
        penalised = self.steps % every == 0
        self.steps += 1
        inputs = (*self._real(stage), *self._random(stage.batch))
        for optimizer in self.optimizers.values():
            _set_rate(optimizer, self.config.rate(self.shown))
        if self.recorder:
            alpha = send(torch.tensor(stage.alpha), self.fabric.device)
            kind = (stage.resolution, stage.alpha < 1, penalised)  # of step: recorded once each
            terms = self.recorder(kind, (alpha, *inputs))
        else:
            terms = self._descend(stage.resolution, stage.alpha, penalised, *inputs)
        self._update_average(stage.batch)
        return terms

    def _descend_on_gpu(
        self, kind: tuple[int, bool, bool], alpha: Tensor, *inputs: Tensor
    ) -> Tensor:
        resolution, fades, penalised = kind
        return self._descend(resolution, alpha if fades else 1.0, penalised, *inputs)

    def _descend(
        self,
        resolution: int,
        alpha: float | Tensor,
        penalised: bool,
        real: Tensor,
        masks: Tensor,
        others: Tensor,
        latents: Tensor,
        u: Tensor,
    ) -> Tensor:
        """One step of both networks: the part that a GPU replays from recordings."""
        config, generator, discriminator = self.config, self.generator, self.discriminator
        weight = config.penalty * config.penalty_every if penalised else 0.0
        critics = self._critics(alpha, masks, others)

        with self.fabric.autocast():
            if isinstance(generator, Detailer):
                fake = generator.complete(latents, real)  # (b, c, r, r)
            else:
                fake = generator(latents, resolution, alpha)
            terms = self.loss.discriminator(*critics, real, fake, weight, u)
        self._follow("d", terms.adversarial + terms.penalty, discriminator)

        discriminator.requires_grad_(False)
        with self.fabric.autocast():
            g_loss = self.loss.generator(*critics, real, fake)
        self._follow("g", g_loss, generator)
        discriminator.requires_grad_(True)
        return self._mean(torch.stack([terms.adversarial, terms.penalty, g_loss]).detach())

    def _follow(self, name: str, loss: Tensor, network: nn.Module) -> None:
        """One step of the optimiser by the gradient, averaged over the processes."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.fabric.world_size > 1:
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            mean = self._mean(torch.cat([g.flatten() for g in gradients]))
            for g, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
                g.copy_(part.view_as(g))
        optimizer.step()

    def _mean(self, values: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return values
        mean = self.fabric.all_reduce(values, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def _critics(
        self, alpha: float | Tensor, masks: Tensor, others: Tensor
    ) -> tuple[Critic, Critic]:
        """Return functions that mask and score real and fake images."""
        hidden = self.config.masked_channels

        def real(images: Tensor) -> Tensor:
            if self.config.masks == "paired":  # Section 6: the same masks for both
                return self.discriminator(apply_mask(images, masks, hidden), alpha)
            if self.config.masks == "independent":
                return self.discriminator(hide(images, masks, hidden), alpha)
            return self.discriminator(images, alpha)

        def fake(images: Tensor) -> Tensor:
            if self.config.masks == "independent":  # Bora et al. 2018
                return self.discriminator(hide(images, others, hidden), alpha)
            return real(images)

        return real, fake

    def _real(self, stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
        """Return this process's part of a batch: images, masks, and masks of other images."""
        config, device = self.config, self.fabric.device
        index = self._share(order(config.seed, len(self.data), self.shown, stage.batch))
        drawn = np.random.default_rng((config.seed, 4, self.shown))
        images, masks = self.data.batch(index, stage.resolution, stage.alpha, device, drawn)
        others = masks
        if config.masks == "independent":
            other = self._share(order(config.seed + 1, len(self.data), self.shown, stage.batch))
            _, others = self.data.batch(other, stage.resolution, stage.alpha, device, drawn)
        if config.mirrored:
            which = self._share(flipped(config, self.shown, stage.batch))
            flip = send(torch.from_numpy(which), device)[:, :, None, None]  # (b, c, 1, 1)
            images = torch.where(flip, self.signs * images.flip(3), images)
            if config.masks != "none":
                masks = torch.where(flip[:, :1], masks.flip(3), masks)
                others = torch.where(flip[:, :1], others.flip(3), others)
        return images, masks, others

    def _random(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return this process's part of b latent vectors (b, latent) and of b uniform numbers."""
        source = generator_of(self.config.seed, 1, self.shown)
        latents = torch.randn(batch, self.generator.latent, generator=source)
        u = torch.rand(batch, generator=source)
        device = self.fabric.device
        return send(self._share(latents), device), send(self._share(u), device)

    def _share(self, values: Any) -> Any:
        """Return the part of a batch, an array or a tensor, that this process trains on."""
        size = len(values) // self.fabric.world_size
        return values[self.fabric.global_rank * size :][:size]

    def _update_average(self, batch: int) -> None:
        half_life = min(self.config.average_images, max(1, 0.05 * self.shown))
        weight = 1 - 0.5 ** (batch / half_life)
        with torch.no_grad():  # one call for all parameters: on accelerators, each call costs
            means, values = self.average.parameters(), self.generator.parameters()
            torch._foreach_lerp_(list(means), list(values), weight)

    def _write_samples(self) -> None:
        from torchvision.utils import save_image

        stage = self.config.stage(self.shown)
        device, average = self.fabric.device, self.average
        with torch.no_grad():
            fixed = self.fixed.to(device)
            if isinstance(average, Detailer):
                rows, rng = np.arange(N_GRID) % len(self.data), np.random.default_rng(0)
                tiles, _ = self.data.batch(rows, stage.resolution, stage.alpha, device, rng)
                images = average.colours(average.complete(fixed, tiles))
            else:
                images = average(fixed, stage.resolution, stage.alpha)
        shown = images[:, : 3 if self.config.channels >= 3 else 1]
        shown = F.interpolate(shown, size=self.config.resolution)  # all grids have the same size
        path = self.folder.path / SAMPLES / f"{self.shown:09d}.png"
        path.parent.mkdir(exist_ok=True)
        save_image(shown, path, nrow=8, normalize=True, value_range=(-1, 1))

    # One file has everything that training resumes from: random numbers depend only on the seed
    # and on the number of images shown.

    def _save(self) -> None:
        tensors = {
            f"{k}.{n}": t for k, net in self.networks.items() for n, t in net.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"adam.{name}.{i}.{k}": v for k, v in state.items()}
        tensors["sums"] = self.sums
        metadata = {k: str(getattr(self, k)) for k in ("shown", "steps", "summed", "seconds")}
        save_tensors(tensors, metadata, self.folder.path / CHECKPOINT)

    def _load(self) -> None:
        tensors, metadata = load_tensors(self.folder.path / CHECKPOINT)
        for name, network in self.networks.items():
            network.load_state_dict(_below(name, tensors))
        for name, optimizer in self.optimizers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(f"adam.{name}", tensors).items():
                i, k = key.split(".")
                states.setdefault(int(i), {})[k] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
            # The fused optimiser requires that moments have the memory format of the weights.
            for parameter, state in optimizer.state.items():
                for k in ("exp_avg", "exp_avg_sq"):
                    state[k] = torch.empty_like(parameter.data).copy_(state[k])
        self.sums = tensors["sums"].to(self.fabric.device)
        self.shown, self.steps = int(metadata["shown"]), int(metadata["steps"])
        self.summed, self.seconds = int(metadata["summed"]), float(metadata["seconds"])


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries whose names begin with a prefix, without the prefix."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    (group,) = optimizer.param_groups
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def _check(config: Config, data: Images | Tiles) -> None:
    for name in ("resolution", "channels"):
        if getattr(config, name) != getattr(data, name):
            raise ConfigError(
                f"{name} is {getattr(config, name)} in the configuration, but "
                f"{getattr(data, name)} in the images: change one of them"
            )
    if config.masks != "none" and data.masks is None:
        raise ConfigError(
            f"masks is {config.masks!r} in the configuration, but the images have no masks: add "
            'masks to them, or set masks to "none"'
        )
    if config.masks == "none" and data.masks is not None:
        raise ConfigError(
            "the images have masks, but masks is 'none' in the configuration, so that damage would "
            'be learned, too: set masks to "paired", or train on unmasked() images'
        )
