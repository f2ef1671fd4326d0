"""Everything that decides a training run, and where in it one is."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from .losses import LOSSES
from .networks import SMALLEST, Discriminator, Generator, levels

MASKS = (
    "none",
    "paired",  # Section 6: real and generated images get the masks of the real ones
    "independent",  # Bora et al. 2018: real images keep theirs, generated ones get others', untold
)
PRECISIONS = ("32-true", "bf16-mixed")
POSITIVE = (
    *("channels", "latent", "capacity", "max_channels", "penalty_every", "last_images", "group"),
    *("learning_rate", "average_images", "checkpoint_images", "sample_images", "log_images"),
)


class ConfigError(ValueError):
    """A setting that no run can have, or one that does not fit the data."""


@dataclass(frozen=True)
class Stage:
    """Where in its schedule a run is."""

    resolution: int
    alpha: float  # 1 unless the level is fading in
    batch: int  # images, over all processes


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run; written beside its results."""

    resolution: int  # side of the images, a power of two
    channels: int = 3  # of an image
    masks: str = "none"  # what hides parts of images from the discriminator: see `MASKS`
    masked_channels: int | None = None  # that masks hide, the first so many; None: all

    latent: int = 512  # length of the latent vectors
    capacity: int = 16384  # feature maps of side r have min(max_channels, capacity / r) channels
    max_channels: int = 512

    loss: str = "relativistic"
    penalty: float = 1.0  # gamma, the weight of the gradient penalty
    penalty_every: int = 1  # steps from one penalty to the next, which then weighs as much more

    first_resolution: int = SMALLEST  # of the first level trained
    fade_images: int = 600_000  # real images shown while a level fades in
    stable_images: int = 600_000  # shown after that, before the next
    last_images: int = 1_200_000  # shown after the last level has faded in
    batch: dict[int, int] = field(default_factory=lambda: {8: 32, 16: 16, 1024: 8})  # up to a side
    group: int = 4  # samples whose deviation the discriminator sees

    learning_rate: float = 0.002
    decay_images: int = 0  # shown at the end, while the learning rate falls to zero
    betas: tuple[float, float] = (0.0, 0.99)
    average_images: float = 10_000  # half-life of the generator's moving average
    mirrored: tuple[tuple[int, ...], ...] = ()  # channels turned together, half of the time
    negated: tuple[int, ...] = ()  # channels that change their sign when they are turned
    precision: str = "32-true"
    seed: int = 0

    checkpoint_images: int = 50_000  # shown from one checkpoint to the next
    sample_images: int = 50_000  # from one grid of samples to the next
    log_images: int = 1_000  # from one line of the log to the next

    def __post_init__(self) -> None:
        """Refuse what no run can have."""
        for name, known in (("loss", LOSSES), ("masks", MASKS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}"
                )
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in ("fade_images", "stable_images", "decay_images", "penalty", "seed"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be below 0, but is {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas must be in [0, 1), not {self.betas}")
        self._check_channels()
        try:
            sides = levels(self.resolution)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if self.first_resolution not in sides:
            raise ConfigError(f"first_resolution {self.first_resolution} is none of {sides}")
        for side in sides:
            batch = self.batch_at(side)
            if batch <= 0 or batch % self.group:
                raise ConfigError(
                    f"the batch at {side} x {side} is {batch}, not a multiple of the group of "
                    f"{self.group}"
                )

    def _check_channels(self) -> None:
        """Refuse channels that images do not have, or masks that no channel's turning fits."""
        turned = [channel for group in self.mirrored for channel in group]
        for name, named in (("mirrored", turned), ("negated", self.negated)):
            if len(set(named)) < len(named) or not set(named) <= set(range(self.channels)):
                raise ConfigError(f"{name} names {named}, not channels of {self.channels}, once")
        if self.masks != "none" and turned and len(self.mirrored[0]) < self.channels:
            raise ConfigError("images with masks are mirrored as a whole, or not at all")
        if self.masked_channels is not None and not 0 < self.masked_channels <= self.channels:
            raise ConfigError(
                f"masks cannot hide {self.masked_channels} of {self.channels} channels"
            )

    def batch_at(self, resolution: int) -> int:
        """Images a step at a resolution: of the smallest side named that is not below it."""
        sides = [side for side in sorted(self.batch) if side >= resolution]
        if not sides:
            raise ConfigError(f"batch says nothing about {resolution} x {resolution} pixels")
        return self.batch[sides[0]]

    @property
    def sides(self) -> list[int]:
        """Resolutions that are trained, in turn."""
        return [side for side in levels(self.resolution) if side >= self.first_resolution]

    @property
    def images(self) -> int:
        """Real images shown in the whole run, but for the rest of the last batch."""
        return (len(self.sides) - 1) * (self.stable_images + self.fade_images) + self.last_images

    def rate(self, shown: int) -> float:
        """Learning rate after so many images."""
        left = (self.images - shown) / self.decay_images if self.decay_images else 1.0
        return self.learning_rate * min(1.0, left)

    def stage(self, shown: int) -> Stage:
        """Where a run is after it has shown so many images."""
        period = self.stable_images + self.fade_images
        last = len(self.sides) - 1
        level = min((shown + self.fade_images) // period, last) if period else last
        into = shown - (level * period - self.fade_images)  # since the level began
        alpha = min(1.0, into / self.fade_images) if level and self.fade_images else 1.0
        side = self.sides[level]
        return Stage(side, alpha, self.batch_at(side))

    @property
    def seen_channels(self) -> int:
        """Channels that the discriminator sees: those of the image, and the mask that is told."""
        return self.channels + (self.masks == "paired")

    def generator(self) -> Generator:
        """A new generator."""
        return Generator(
            self.resolution, self.channels, self.latent, self.capacity, self.max_channels
        )

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(
            self.resolution, self.seen_channels, self.capacity, self.max_channels, self.group
        )

    def to_json(self) -> str:
        """Write as JSON; `from_json` reads it."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Read what `to_json` wrote. Raises `ConfigError` for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["batch"] = {int(side): n for side, n in values["batch"].items()}
            values["betas"] = tuple(values["betas"])
            values["mirrored"] = tuple(map(tuple, values["mirrored"]))
            values["negated"] = tuple(values["negated"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"not the configuration of a run: {error}") from error
