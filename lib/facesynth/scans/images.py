"""Photographs from image files, as 8 bits of sRGB."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from facesynth.scans.parts import Photograph, ScanTextureError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
LARGEST = 2**29  # pixels of an image: more is no texture
ENOUGH = 8192  # pixels along a side: some 20 to a mm of a face; more take gigabytes of memory
_KTX2 = b"\xabKTX 20\xbb"
_BAD = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def read(source: Path | bytes, name: str = "") -> Photograph:
    """Read an image file, or its bytes; a larger one than `ENOUGH` is read at a half, a third, ...

    name : for messages; by default the path

    16 bits of grey are reduced to 8. Raises `ScanTextureError` for a damaged image, and for pixels
    whose range is not known: floating-point numbers, and whole ones of 32 bits.
    """
    name = name or str(source)
    try:
        with _large_ones(), Image.open(_file(source, name)) as image:
            return _pixels(image, name)
    except ScanTextureError:
        raise
    except _BAD as error:
        raise ScanTextureError(f"cannot read the image {name}: {error}") from error


def pixels_of(path: Path) -> int:
    """How many pixels an image has, as its first bytes say; 0 for what is no image."""
    try:
        with _large_ones(), Image.open(path) as image:
            return image.width * image.height
    except _BAD:
        return 0


def beside(path: Path) -> list[Path]:
    """The images of a file's stem in its folder."""
    return [
        file
        for file in sorted(path.parent.iterdir())
        if file.stem == path.stem and file.suffix.lower() in SUFFIXES
    ]


def _file(source: Path | bytes, name: str) -> Path | io.BytesIO:
    if isinstance(source, Path):
        return source
    if source.startswith(_KTX2):
        raise ScanTextureError(
            f"the image {name} is a KTX2 texture, which is compressed for graphics cards; export "
            "the scan with PNG or JPEG textures"
        )
    return io.BytesIO(source)


@contextmanager
def _large_ones() -> Iterator[None]:
    """Let Pillow open images of up to `LARGEST` pixels: textures of 16,384 x 16,384 exist."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pixels(image: Image.Image, name: str) -> Photograph:
    if image.width * image.height > LARGEST:
        raise ScanTextureError(
            f"the image {name} has {image.width} x {image.height} pixels; make it smaller"
        )
    if image.mode in ("I", "F"):
        kind = {"I": "32-bit whole", "F": "floating-point"}[image.mode]
        raise ScanTextureError(
            f"the pixels of the image {name} are {kind} numbers, of which nothing says what is "
            "white; save it with 8 bits for each colour"
        )
    times = -(-max(image.size) // ENOUGH)
    if times > 1:
        image.draft("RGB", (image.width // times, image.height // times))  # JPEG files can
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) / np.float32(257)).astype(np.uint8))
    times = -(-max(image.size) // ENOUGH)
    image = image.convert("RGB")
    return np.asarray(image.reduce(times) if times > 1 else image)
