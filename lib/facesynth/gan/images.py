"""Training images, with or without masks of their valid pixels."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from .layers import downsample, fade, upsample
from .networks import levels

SUFFIXES, FORMATS = (".png", ".jpg", ".jpeg", ".webp"), ("PNG", "JPEG", "WEBP")
BLOCK = 2**26  # bytes that are read at a time for a fingerprint
# Geometry images exceed [-1, 1] a little; floats in 0..255 exceed it by far.
LARGEST_VALUE = 16.0


class ImagesError(ValueError):
    """Images that a GAN cannot be trained on."""


class ImageSizeError(ImagesError):
    """Images of unequal size, not square, or whose side is not a power of two."""


class MaskError(ImagesError):
    """Masks that do not match their images, or a mask without a valid pixel."""


class NoImagesError(ImagesError):
    """A folder without images, or an image that is damaged, or transparent."""


class PixelRangeError(ImagesError):
    """Floating-point pixels that are NaN, infinite, or plainly not in [-1, 1]."""


class Pixels(Protocol):
    """The part of an array's interface that is used.

    Memory-mapped files have it. A class that computes its images on demand may have it, too, if it
    returns the same images each time.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, R, R, c)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or floating point."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: NDArray[np.integer]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Images:
    """Images of one size, and which of their pixels are valid.

    R is a power of two. Floating-point values must be finite, may exceed [-1, 1] up to
    `LARGEST_VALUE`, and must not be grey levels: whole numbers from 0 to more than 1. Those of an
    array in memory are checked at once, others when they are read.

    Raises `ImagesError` and its subclasses `ImageSizeError`, `MaskError`, `NoImagesError` and
    `PixelRangeError`.
    """

    pixels: Pixels  # (n, R, R, c) uint8, or floating point in [-1, 1]
    masks: NDArray[np.bool_] | None = None  # (n, R, R), True where a pixel is valid
    _held: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.pixels.shape) != 4:
            raise ImageSizeError(f"images must be (n, R, R, c), got {self.pixels.shape}")
        n, height, side, channels = self.pixels.shape
        if not n:
            raise NoImagesError("there are no images to train on: there must be at least 1, got 0")
        if height != side:
            raise ImageSizeError(f"images must be square, got {side} x {height} pixels")
        if not channels:
            raise ImagesError("images must have at least 1 channel, got 0")
        try:
            levels(side)
        except ValueError as error:
            raise ImageSizeError(f"{error}; resize the images") from None
        if self.pixels.dtype != np.uint8 and not np.issubdtype(self.pixels.dtype, np.floating):
            raise ImagesError(
                f"images must be uint8, or floating point in [-1, 1], got {self.pixels.dtype}"
            )
        if self._is_in_memory:
            _check_values(np.asarray(self.pixels), np.arange(n))
        if self.masks is not None:
            self._check_masks(self.masks)

    def _check_masks(self, masks: NDArray[np.bool_]) -> None:
        if masks.shape != self.pixels.shape[:3]:
            raise MaskError(
                f"masks of shape {masks.shape} do not match images of shape {self.pixels.shape}: "
                f"they must be {self.pixels.shape[:3]}"
            )
        if masks.dtype != bool:
            raise MaskError(f"masks must be bool, True where a pixel is valid, got {masks.dtype}")
        empty = np.flatnonzero(~masks.any((1, 2)))
        if len(empty):
            few = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise MaskError(
                f"{len(empty)} of {len(masks)} masks mark every pixel as invalid (number {few}): "
                "leave out those images, or invert the masks if zero should mean valid"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def _is_in_memory(self) -> bool:
        """Not so are memory-mapped files, which may be larger."""
        return isinstance(self.pixels, np.ndarray) and not isinstance(self.pixels, np.memmap)

    def read(self, index: NDArray[np.integer]) -> NDArray[Any]:
        """The pixels (b, R, R, c) of some images. Raises `PixelRangeError`."""
        pixels = self.pixels[index]
        if not self._is_in_memory:
            _check_values(pixels, index)
        return pixels

    def _read_masks(self, index: NDArray[np.integer]) -> NDArray[np.bool_]:
        assert self.masks is not None
        return self.masks[index]

    def unmasked(self) -> "Images":
        """The images, all of whose pixels are taken as they are."""
        return Images(self.pixels)

    @property
    def resolution(self) -> int:
        """Side of an image in pixels."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.pixels.shape[3])

    def fingerprint(self) -> str:
        """Return a SHA-256 digest of the pixels, the masks, and their shapes and types.

        Any change of a pixel or a mask, or of the order of the images, changes it. A memory-mapped
        file has that of the array in it. Everything is read once, in blocks of `BLOCK` bytes.
        Raises `PixelRangeError`.
        """
        digest = hashlib.sha256()
        for array, read in ((self.pixels, self.read), (self.masks, self._read_masks)):
            if array is None:
                continue
            digest.update(f"{tuple(array.shape)} {array.dtype.str}\n".encode())
            for index in _blocks(array):
                digest.update(np.ascontiguousarray(read(index)).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def hold(self, device: torch.device) -> None:
        """Copy everything to a GPU, if it takes less than half of the memory that is free there."""
        if device.type != "cuda" or not isinstance(self.pixels, np.ndarray):
            return
        arrays = {"pixels": self.pixels} | ({} if self.masks is None else {"masks": self.masks})
        if sum(array.nbytes for array in arrays.values()) > torch.cuda.mem_get_info(device)[0] / 2:
            return
        for name, array in arrays.items():
            self._held[name] = torch.from_numpy(np.ascontiguousarray(array)).to(device)

    def _take(self, name: str, index: NDArray[np.integer], device: torch.device) -> Tensor:
        if name in self._held:
            return self._held[name][send(torch.from_numpy(index), device)]
        read = self.read if name == "pixels" else self._read_masks
        return send(torch.from_numpy(np.ascontiguousarray(read(index))), device)

    def batch(
        self,
        index: NDArray[np.integer],
        resolution: int,
        alpha: float,
        device: torch.device,
        rng: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return images (b, c, r, r) in [-1, 1] and masks (b, 1, r, r) at a level of the growth.

        rng : not needed: nothing is drawn, other than of `detail.Tiles`.

        While the level fades in, images are blended with those of the level below, as the
        generator's are, and a mask is the minimum of both levels' masks: a pixel is valid only if
        all pixels of the full image that contribute to it are.
        """
        pixels = self._take("pixels", index, device)
        images = pixels.permute(0, 3, 1, 2).float()
        if pixels.dtype == torch.uint8:
            images = images / 127.5 - 1
        factor = self.resolution // resolution
        images = F.avg_pool2d(images, factor)
        if self.masks is None:
            masks = images.new_ones(len(index), 1, resolution, resolution)
        else:
            full = self._take("masks", index, device).float()[:, None]
            masks = smallest(full, factor)
        if alpha < 1:
            images = fade(upsample(downsample(images)), images, alpha)
            masks = torch.minimum(masks, upsample(smallest(masks, 2)))
        return images, masks

    @classmethod
    def from_folder(
        cls, images: str | os.PathLike[str], masks: str | os.PathLike[str] | None = None
    ) -> "Images":
        """Read all images of a folder, and masks of the same names from another.

        Images are read as RGB of 8 bits, whatever they are kept as. A mask is white (128 or more)
        where its image is valid; its file format may differ from the image's. Raises
        `ImageSizeError`, `MaskError` and `NoImagesError`, which name the files.
        """
        paths = _image_files(images)
        pixels = _read_all(paths, "RGB")
        if masks is None:
            return cls(pixels)
        of_name = {path.stem: path for path in _image_files(masks)}
        missing = [path.name for path in paths if path.stem not in of_name]
        if missing:
            raise MaskError(
                f"{len(missing)} images have no mask in {masks}, the first is {missing[0]}: add "
                "masks of the same names"
            )
        valid = _read_all([of_name[path.stem] for path in paths], "L")
        return cls(pixels, valid[..., 0] >= 128)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy to a device asynchronously: without waiting until it has finished its queued work."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def smallest(masks: Tensor, factor: int) -> Tensor:
    """Downsample masks (b, 1, h, w): a pixel is valid if all its factor x factor pixels are."""
    return 1 - F.max_pool2d(1 - masks, factor)


def _check_values(pixels: NDArray[Any], numbers: NDArray[np.integer]) -> None:
    """Refuse floating-point images, of these numbers, that are plainly not in [-1, 1]."""
    if pixels.dtype == np.uint8:
        return
    low, high = float(pixels.min()), float(pixels.max())  # NaN if a pixel is
    near = low >= -LARGEST_VALUE and high <= LARGEST_VALUE
    grey = low >= 0 and high > 1 and all((np.rint(image) == image).all() for image in pixels)
    if near and not grey:
        return
    bad = [k for k, image in zip(numbers, pixels, strict=True) if not np.isfinite(image).all()]
    if bad:
        raise PixelRangeError(
            f"{len(bad)} of {len(pixels)} images have NaN or infinite pixels, the first is number "
            f"{bad[0]}: replace them by finite values, and mask them if they are invalid"
        )
    largest = numbers[np.argmax([np.abs(image).max() for image in pixels])]
    raise PixelRangeError(
        f"floating-point images must be in [-1, 1], got {'whole numbers' if grey else 'values'} "
        f"from {low:g} to {high:g}, the largest in number {largest}: scale them, as by "
        "x / 127.5 - 1 if they are in [0, 255], or convert them to uint8"
    )


def _blocks(array: Pixels) -> Iterator[NDArray[np.intp]]:
    """Yield the numbers of an array's rows, of at most `BLOCK` bytes at a time, or of one row."""
    rows = max(1, BLOCK // (math.prod(array.shape[1:]) * array.dtype.itemsize))
    for start in range(0, len(array), rows):
        yield np.arange(start, min(start + rows, len(array)))


def _image_files(given: str | os.PathLike[str]) -> list[Path]:
    folder = Path(given)
    if not folder.is_dir():
        raise NoImagesError(f"there is no folder {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise NoImagesError(f"there are no images ({', '.join(SUFFIXES)}) in {folder}")
    return paths


def _read_all(paths: list[Path], mode: str) -> NDArray[np.uint8]:
    pixels = None
    for k, path in enumerate(paths):
        image = _read(path, mode)
        if pixels is None:
            pixels = np.empty((len(paths), *image.shape), np.uint8)
        if image.shape != pixels.shape[1:]:
            raise ImageSizeError(
                f"{path} is {image.shape[1]} x {image.shape[0]} pixels, but {paths[0].name} is "
                f"{pixels.shape[2]} x {pixels.shape[1]}: all images must have the same size"
            )
        pixels[k] = image
    assert pixels is not None
    return pixels


def _read(path: Path, mode: str) -> NDArray[np.uint8]:
    """An image (h, w, c) of 8 bits, upright, in Pillow's mode "RGB" or "L"."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # grey of 16 bits, of which Pillow would clip the upper
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            opaque = not image.has_transparency_data
            if not opaque:
                opaque = image.convert("RGBA").getchannel("A").getextrema()[0] == 255
            pixels = np.asarray(image.convert(mode))
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise NoImagesError(
            f"cannot read {path}: {error}; replace or remove the file if it is damaged"
        ) from error
    if not opaque:
        raise NoImagesError(
            f"{path} is transparent in places, where its colours mean nothing: put it on a "
            "background, and tell by a mask where it is valid"
        )
    return pixels.reshape(*pixels.shape[:2], -1)
