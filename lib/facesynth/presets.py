"""The sizes at which the book can be computed: `smoke`, `standard` and `paper`.

A chapter's `parameters` cell names a preset, which sets every size that affects the running time.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any


class UnknownPresetError(ValueError):
    """No preset has this name."""


class UnknownOverrideError(TypeError):
    """A preset has no size of this name."""


@dataclass(frozen=True)
class Preset:
    """The sizes of one run of the book."""

    name: str
    n_subjects: int  # people in the population
    n_expressions: int  # scans of each, the neutral one among them
    n_scanned: int  # virtual scans that are aligned and measured in chapter 03
    n_test: int  # scans held out; the rest is the training set
    resolution: int  # pixels along the side of a texture or geometry image
    n_components: int  # k, the principal components that a model keeps (Section 3)
    n_samples: int  # faces drawn from a model
    n_generated: int  # faces of each generator whose identities are compared (Section 10)
    render_size: int  # pixels along the side of a rendered face
    shape_resolution: int  # pixels along the side of an image of shapes (Section 6)
    n_shapes: int  # images of shapes to learn from
    n_shown: int  # images shown to a GAN at its last level: repeated as often as it takes
    gan_channels: int  # of its widest feature maps

    def __post_init__(self) -> None:
        """Raise ValueError for a size below 1."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (not isinstance(value, int) or value < 1):
                raise ValueError(
                    f"preset {self.name!r}: {field.name} must be an integer >= 1, got {value!r}"
                )

    @property
    def n_scans(self) -> int:
        """Scans of all subjects in all expressions."""
        return self.n_subjects * self.n_expressions


TRAINED = ("shape_resolution", "n_shown", "gan_channels")  # sizes of what a chapter trains itself
ON_A_PROCESSOR = "standard"  # has the largest of these that a processor can train in minutes
_SIZES = (resources.files("facesynth") / "presets.toml").read_text(encoding="utf-8")
PRESETS = {name: Preset(name, **sizes) for name, sizes in tomllib.loads(_SIZES).items()}


def preset(name: str, **overrides: Any) -> Preset:
    """Return the preset `name`, with some of its sizes replaced.

    >>> preset("smoke", resolution=32).resolution
    32

    Raises UnknownPresetError for a name, UnknownOverrideError for a size that does not exist, and
    ValueError for a size below 1.
    """
    if name not in PRESETS:
        raise UnknownPresetError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    sizes = [field.name for field in fields(Preset) if field.name != "name"]
    unknown = sorted(set(overrides) - set(sizes))
    if unknown:
        raise UnknownOverrideError(
            f"preset {name!r} has no {', '.join(unknown)}; it has {', '.join(sizes)}"
        )
    return replace(PRESETS[name], **overrides)


def trainable(size: Preset, gpu: bool) -> Preset:
    """A preset whose trainings end: without a GPU, none is larger than in `standard`.

    At the paper's sizes, a GAN takes a processor weeks; everything else takes it hours.
    """
    if gpu:
        return size
    most = PRESETS[ON_A_PROCESSOR]
    return replace(
        size, **{name: min(getattr(size, name), getattr(most, name)) for name in TRAINED}
    )
