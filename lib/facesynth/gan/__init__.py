"""GANs for images of any number of channels, with masks.

One grows level by level, as the paper's does (Section 4, `networks`); one begins as a morphable
model (`anchored`); and one adds the finest levels to small images (`detail`).
"""

from .config import Config, ConfigError, Stage
from .detail import Detailer, Tiles
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
from .networks import Discriminator, Generator, ImageGenerator
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
from .sampling import generate, great_circle, latents, sample, to_uint8
from .training import train

__all__ = [
    "Config",
    "ConfigError",
    "DamagedFileError",
    "Detailer",
    "Discriminator",
    "Generator",
    "ImageGenerator",
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
    "Tiles",
    "UnfinishedRunError",
    "apply_mask",
    "fastest_precision",
    "generate",
    "great_circle",
    "latents",
    "load_generator",
    "sample",
    "save_generator",
    "to_uint8",
    "train",
]
