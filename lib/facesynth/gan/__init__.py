"""A progressively growing GAN (Section 4), for images of any number of channels, with masks."""

from .config import Config, ConfigError, Stage
from .images import (
    Images,
    ImagesError,
    ImageSizeError,
    MaskError,
    NoImagesError,
    PixelRangeError,
    Pixels,
)
from .machine import fastest_precision
from .masks import apply_mask
from .networks import Discriminator, Generator
from .run_folder import (
    DamagedFileError,
    LockedRunError,
    OtherDataError,
    OtherRunError,
    RunFolder,
    UnfinishedRunError,
    load_generator,
    save_generator,
)
from .sampling import generate, latents, sample, to_uint8
from .training import train

__all__ = [
    "Config",
    "ConfigError",
    "DamagedFileError",
    "Discriminator",
    "Generator",
    "ImageSizeError",
    "Images",
    "ImagesError",
    "LockedRunError",
    "MaskError",
    "NoImagesError",
    "OtherDataError",
    "OtherRunError",
    "PixelRangeError",
    "Pixels",
    "RunFolder",
    "Stage",
    "UnfinishedRunError",
    "apply_mask",
    "fastest_precision",
    "generate",
    "latents",
    "load_generator",
    "sample",
    "save_generator",
    "to_uint8",
    "train",
]
