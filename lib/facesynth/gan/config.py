"""The configuration of a training run, and its schedule."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facesynth.files.integers import SeedError, checked_seed

from .anchored import AnchoredGenerator, ResidualDiscriminator, TwoDiscriminators
from .detail import MARGIN, PLACE, SCALE, SMALL, TILE, Detailer
from .losses import LOSSES
from .networks import SMALLEST, Discriminator, Generator, ImageGenerator, levels

ARCHITECTURES = (
    "progressive",  # Section 4: grows level by level
    "anchored",  # begins as a morphable model
    "detail",  # adds the finest levels to small images, and learns on tiles
)

MASKS = (
    "none",  # for images without masks
    "paired",  # Section 6: real and generated images get the masks of the real ones
    "independent",  # Bora et al. 2018: fake images get others' masks; no mask channel
)
PRECISIONS = ("32-true", "bf16-mixed")
POSITIVE = (
    *("channels", "latent", "capacity", "max_channels", "penalty_every", "last_images", "group"),
    "anchors",
    *("learning_rate", "average_images", "checkpoint_images", "sample_images", "log_images"),
)


class ConfigError(ValueError):
    """A setting that is invalid, or that does not match the data."""


@dataclass(frozen=True)
class Stage:
    """A point in a run's schedule."""

    resolution: int
    alpha: float  # weight of the level; below 1 while it fades in
    batch: int  # images per step, over all processes


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run; saved with its results. Raises `ConfigError`."""

    resolution: int  # side of the images, a power of two
    channels: int = 3  # of an image
    masks: str = "none"  # how masks hide parts of images from the discriminator: see `MASKS`
    masked_channels: int | None = None  # masks hide the first so many channels; None: all

    architecture: str = "progressive"  # of both networks: see `ARCHITECTURES`
    fine_channels: int | None = None  # of an anchored one's: the others are seen at half the pixels
    anchors: int = 200  # principal components that an anchored generator begins with
    code: int = 0  # latent numbers that all detail of a face depends on

    latent: int = 512  # length of the latent vectors
    capacity: int = 16384  # feature maps of side r have min(max_channels, capacity / r) channels
    max_channels: int = 512

    loss: str = "relativistic"
    penalty: float = 1.0  # gamma, the weight of the gradient penalty
    penalty_every: int = 1  # penalise every so many steps, with a weight that much larger

    first_resolution: int = SMALLEST  # of the first level that is trained
    fade_images: int = 600_000  # real images shown while a level fades in
    stable_images: int = 600_000  # shown between two fades
    last_images: int = 1_200_000  # shown after the last level has faded in
    # Images per step: {side: batch} is the batch up to and including this side.
    batch: dict[int, int] = field(default_factory=lambda: {8: 32, 16: 16, 1024: 8})
    group: int = 4  # samples over which the minibatch standard deviation is computed

    learning_rate: float = 0.002
    decay_images: int = 0  # shown at the end, while the learning rate decays to zero
    betas: tuple[float, float] = (0.0, 0.99)
    average_images: float = 10_000  # half-life of the generator's moving average
    mirrored: tuple[tuple[int, ...], ...] = ()  # groups of channels, each flipped with chance 1/2
    negated: tuple[int, ...] = ()  # channels whose sign changes when they are flipped
    precision: str = "32-true"
    seed: int = 0

    checkpoint_images: int = 50_000  # shown between checkpoints
    sample_images: int = 50_000  # shown between grids of samples
    log_images: int = 1_000  # shown between lines of the log

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # JSON takes Python's own numbers only
                object.__setattr__(self, name, value.item())
        try:
            object.__setattr__(self, "seed", checked_seed(self.seed))
        except SeedError as error:
            raise ConfigError(str(error)) from None
        choices = (
            *(("loss", LOSSES), ("masks", MASKS), ("precision", PRECISIONS)),
            ("architecture", ARCHITECTURES),
        )
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(known)}"
                )
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be greater than 0, got {getattr(self, name)}")
        for name in ("fade_images", "stable_images", "decay_images", "penalty", "seed", "code"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas must be in [0, 1), got {self.betas}")
        self._check_channels()
        try:
            sides = levels(self.resolution)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if self.first_resolution not in sides:
            raise ConfigError(
                f"first_resolution must be one of {sides}, got {self.first_resolution}"
            )
        for side in sides:
            batch = self.batch_at(side)
            if batch <= 0 or batch % self.group:
                raise ConfigError(
                    f"the batch at {side} x {side} must be a multiple of group = {self.group}, got "
                    f"{batch}"
                )

    def _check_channels(self) -> None:
        """Check the settings that name channels."""
        flipped = [channel for group in self.mirrored for channel in group]
        for name, named in (("mirrored", flipped), ("negated", list(self.negated))):
            if len(set(named)) < len(named) or not set(named) <= set(range(self.channels)):
                raise ConfigError(
                    f"{name} must name channels from 0 to {self.channels - 1}, each at most once, "
                    f"got {named}"
                )
        if self.masks != "none" and flipped and len(self.mirrored[0]) < self.channels:
            raise ConfigError(
                f"mirrored must be one group of all {self.channels} channels, or empty, if masks "
                f"is {self.masks!r}, got {self.mirrored}"
            )
        for name in ("masked_channels", "fine_channels"):
            some = getattr(self, name)
            if some is not None and not 0 < some <= self.channels:
                raise ConfigError(
                    f"{name} must be from 1 to {self.channels}, the number of channels, got {some}"
                )

    def batch_at(self, resolution: int) -> int:
        """Images per step at a resolution: those of the smallest side in `batch` that covers it."""
        sides = [side for side in sorted(self.batch) if side >= resolution]
        if not sides:
            raise ConfigError(
                f"batch must have an entry for {resolution} x {resolution} pixels or more, got "
                f"{self.batch}"
            )
        return self.batch[sides[0]]

    @property
    def sides(self) -> list[int]:
        """Resolutions that are trained, in ascending order."""
        return [side for side in levels(self.resolution) if side >= self.first_resolution]

    @property
    def images(self) -> int:
        """Real images shown in the whole run; the last batch may exceed it."""
        return (len(self.sides) - 1) * (self.stable_images + self.fade_images) + self.last_images

    def rate(self, shown: int) -> float:
        """Learning rate after `shown` images."""
        left = (self.images - shown) / self.decay_images if self.decay_images else 1.0
        return self.learning_rate * min(1.0, left)

    def stage(self, shown: int) -> Stage:
        """Resolution, fade and batch after `shown` images."""
        period = self.stable_images + self.fade_images
        last = len(self.sides) - 1
        level = min((shown + self.fade_images) // period, last) if period else last
        into = shown - (level * period - self.fade_images)  # since the level began
        alpha = min(1.0, into / self.fade_images) if level and self.fade_images else 1.0
        side = self.sides[level]
        return Stage(side, alpha, self.batch_at(side))

    def generator(self) -> ImageGenerator | Detailer:
        """Create a generator."""
        widths = self.capacity, self.max_channels
        if self.architecture == "detail":
            return Detailer(self.channels, self.max_channels, self.code)
        if self.architecture == "anchored":
            return AnchoredGenerator(
                self.resolution, self.channels, self.latent, *widths, self.anchors
            )
        return Generator(self.resolution, self.channels, self.latent, *widths)

    def discriminator(self) -> Discriminator | ResidualDiscriminator | TwoDiscriminators:
        """Create a discriminator."""
        seen = self.channels + (self.masks == "paired")  # paired masks are one more channel
        widths = self.capacity, self.max_channels, self.group
        if self.architecture == "detail":
            seen, margin = seen + SMALL + PLACE, MARGIN * SCALE
            return ResidualDiscriminator(TILE, seen, *widths, margin)
        if self.architecture == "anchored":
            if self.fine_channels is not None:
                return TwoDiscriminators(self.resolution, seen, *widths, self.fine_channels)
            return ResidualDiscriminator(self.resolution, seen, *widths)
        return Discriminator(self.resolution, seen, *widths)

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
            raise ConfigError(f"not a valid configuration of a run: {error}") from error
