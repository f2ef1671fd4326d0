"""Training images, whole or with masks of what is valid in them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .layers import downsample, fade, upsample
from .networks import levels

if TYPE_CHECKING:
    from torchvision.io import ImageReadMode

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class ImagesError(ValueError):
    """Images that a GAN cannot learn from."""


class ImageSizeError(ImagesError):
    """Images of unequal size, not square, or whose side is not a power of two."""


class MaskError(ImagesError):
    """Masks that do not match their images, or that leave nothing of one."""


class NoImagesError(ImagesError):
    """A folder without images, or a damaged image."""


class Pixels(Protocol):
    """What is read of an array: a memory-mapped file will do, or one that makes its images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, R, R, c)."""

    @property
    def ndim(self) -> int:
        """4."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, or floating."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: NDArray[np.integer]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Images:
    """Images of one size, and which of their pixels are valid.

    Parameters
    ----------
    pixels : (n, R, R, c) uint8, or floating in [-1, 1]
        An array, or what reads like one. R is a power of two.
    masks : (n, R, R) bool, optional
        True where a pixel is valid.

    Raises
    ------
    ImageSizeError, MaskError, NoImagesError, ImagesError
    """

    pixels: Pixels
    masks: NDArray[np.bool_] | None = None
    _held: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be learned from."""
        if self.pixels.ndim != 4:
            raise ImageSizeError(f"images must be (n, R, R, c), not {self.pixels.shape}")
        n, height, side, _ = self.pixels.shape
        if not n:
            raise NoImagesError("there are no images to learn from")
        if height != side:
            raise ImageSizeError(f"images must be square, not {side} x {height} pixels")
        try:
            levels(side)
        except ValueError as error:
            raise ImageSizeError(f"{error}; resize the images") from None
        if self.pixels.dtype != np.uint8 and not np.issubdtype(self.pixels.dtype, np.floating):
            raise ImagesError(
                f"images must be uint8 or floating in [-1, 1], not {self.pixels.dtype}"
            )
        if self.masks is not None:
            self._check_masks(self.masks)

    def _check_masks(self, masks: NDArray[np.bool_]) -> None:
        if masks.shape != self.pixels.shape[:3]:
            raise MaskError(
                f"masks of shape {masks.shape} do not match images of shape {self.pixels.shape}: "
                f"they must be {self.pixels.shape[:3]}"
            )
        if masks.dtype != bool:
            raise MaskError(f"masks must be bool, True where a pixel is valid, not {masks.dtype}")
        empty = np.flatnonzero(~masks.any((1, 2)))
        if len(empty):
            few = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise MaskError(
                f"{len(empty)} of {len(masks)} masks leave nothing of their image (number {few}): "
                "leave those images out; zero means invalid"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def resolution(self) -> int:
        """Side of an image in pixels."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.pixels.shape[3])

    def hold(self, device: torch.device) -> None:
        """Keep everything in a GPU's memory, if it takes less than half of what is free there."""
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
        return send(torch.from_numpy(np.ascontiguousarray(getattr(self, name)[index])), device)

    def batch(
        self, index: NDArray[np.integer], resolution: int, alpha: float, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Return images (b, c, r, r) in [-1, 1] and masks (b, 1, r, r) at a level of the growth.

        While the level fades in, images are blended with those of the level below as the
        generator's are, and a mask is the smaller of the two levels' masks: a pixel is valid only
        if every pixel of the full image that went into it is.
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
    def from_folder(cls, images: Path, masks: Path | None = None) -> "Images":
        """Read all images of a folder, and masks of the same names from another.

        A mask is white (128 and above) where its image is valid, and may be of another format.

        Raises
        ------
        ImageSizeError, MaskError, NoImagesError
            As the class does, with the names of the files.
        """
        from torchvision.io import ImageReadMode

        paths = _image_files(images)
        pixels = _read_all(paths, ImageReadMode.RGB)
        if masks is None:
            return cls(pixels)
        of_name = {path.stem: path for path in _image_files(masks)}
        missing = [path.name for path in paths if path.stem not in of_name]
        if missing:
            raise MaskError(f"{masks} lacks the masks of {len(missing)} images, as of {missing[0]}")
        valid = _read_all([of_name[path.stem] for path in paths], ImageReadMode.GRAY)
        return cls(pixels, valid[..., 0] >= 128)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Move to a device without waiting for what it still has to do."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def smallest(masks: Tensor, factor: int) -> Tensor:
    """Shrink masks (b, 1, h, w): a pixel stays valid if all of its factor x factor pixels are."""
    return 1 - F.max_pool2d(1 - masks, factor)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise NoImagesError(f"{folder} is not a folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise NoImagesError(f"{folder} holds no image ({', '.join(SUFFIXES)})")
    return paths


def _read_all(paths: list[Path], mode: "ImageReadMode") -> NDArray[np.uint8]:
    from torchvision.io import decode_image
    from torchvision.transforms.v2.functional import to_dtype

    pixels = None
    for k, path in enumerate(paths):
        try:
            decoded = to_dtype(decode_image(path, mode), torch.uint8, scale=True)  # of 16 bits, too
        except RuntimeError as error:
            raise NoImagesError(f"{path} cannot be read: {error}; is it damaged?") from error
        image = decoded.permute(1, 2, 0).numpy()  # (h, w, c)
        if pixels is None:
            pixels = np.empty((len(paths), *image.shape), np.uint8)
        if image.shape != pixels.shape[1:]:
            raise ImageSizeError(
                f"{path} is {image.shape[1]} x {image.shape[0]} pixels, but {paths[0].name} is "
                f"{pixels.shape[2]} x {pixels.shape[1]}: all images must be of one size"
            )
        pixels[k] = image
    assert pixels is not None
    return pixels
