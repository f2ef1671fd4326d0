"""The sizes at which the book can be computed: `smoke`, `standard` and `paper`.

A chapter's `parameters` cell names a preset, which sets every size that affects the running time.
"""

from dataclasses import dataclass, fields, replace
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

    @property
    def n_training(self) -> int:
        """Scans that are not held out."""
        return self.n_scans - self.n_test


PRESETS = {
    size.name: size
    for size in (
        Preset(
            name="smoke",  # tests and CI: each chapter within a minute
            n_subjects=24,
            n_expressions=5,
            n_scanned=2,
            n_test=20,
            resolution=64,
            n_components=12,
            n_samples=24,
            render_size=96,
            shape_resolution=16,
            n_shapes=400,
            n_shown=256,
            gan_channels=8,
        ),
        Preset(
            name="standard",  # the published book: 25 minutes on 2 cores without a GPU
            n_subjects=400,
            n_expressions=5,
            n_scanned=20,
            n_test=120,
            resolution=256,
            n_components=200,
            n_samples=1000,
            render_size=320,
            shape_resolution=32,
            n_shapes=10_000,
            n_shown=18_000,
            gan_channels=64,
        ),
        Preset(
            name="paper",  # the paper's own: 4,963 training and 297 test scans of about 1000 people
            n_subjects=1052,
            n_expressions=5,
            n_scanned=50,
            n_test=297,
            resolution=1024,
            n_components=200,
            n_samples=10_000,
            render_size=512,
            shape_resolution=256,
            n_shapes=10_000,
            n_shown=1_200_000,
            gan_channels=512,
        ),
    )
}


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
