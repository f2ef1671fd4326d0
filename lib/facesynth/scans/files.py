"""Scans from files, and to them: OBJ with its MTL and images, PLY, STL, GLB and glTF.

Errors in a file raise a subclass of `ScanError`, or of `MeshError` if the mesh is at fault.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesynth.files.atomic import write_text, write_whole
from facesynth.files.units import MM, GivenUnit, Unit
from facesynth.scans.formats import READERS, UNITS
from facesynth.scans.landmark_files import (
    check_near,
    forty_three,
    landmarks_beside,
    read_landmarks,
    write_landmarks,
)
from facesynth.scans.parts import (
    Parts,
    Photograph,
    ScanFileError,
    ScanTextureError,
    ScanUnitsError,
)
from facesynth.scans.wavefront import mtl_text, obj_text, plain_name
from facesynth.surface.mesh import FloatArray, check_arrays

_HEAD = (80.0, 2000.0)  # mm: the least and most that a scan of a face can extend
_LARGEST = 2**30  # bytes of a file: a scan has some MB
_BEYOND = 0.02  # of the image's side that texture coordinates may lie outside, to be clipped


def read(
    path: str | os.PathLike[str],
    landmarks: str | os.PathLike[str] | npt.ArrayLike | None = None,
    unit: GivenUnit | None = None,
    texture: bool = True,
) -> Parts:
    """The arguments of `Scan`, from files: see `Scan.load`."""
    file = Path(path)
    kind = file.suffix.lower()
    reader = READERS.get(kind)
    if reader is None:
        raise ScanFileError(
            f"{file}: scans are read from {', '.join(READERS)}, not from {file.suffix!r} files"
        )
    sized = unit != "auto"
    mm = 1.0 if unit == "auto" else in_mm(UNITS.get(kind, "mm") if unit is None else unit)
    try:
        if file.stat().st_size > _LARGEST:
            raise ScanFileError(f"{file} has {file.stat().st_size} bytes, more than {_LARGEST}")
        parts = reader(file, texture)
    except OSError as error:
        raise ScanFileError(f"cannot read {file}: {error.strerror or error}") from error
    vertices, faces = check_arrays(parts["vertices"], parts["faces"])
    with np.errstate(over="ignore"):  # infinite is too large as well
        vertices = vertices * mm
    if sized:
        _check_extent(vertices[faces.ravel()], mm, file)
    parts |= {"vertices": vertices, "faces": faces} | _texture(parts, file, texture)
    known = _landmarks(landmarks, file, mm, vertices)
    return parts | {"landmarks": known, "name": file.stem, "sized": sized}


def in_mm(unit: Unit | float) -> float:
    """How many mm a unit is. Raises `ScanUnitsError`."""
    if isinstance(unit, str):
        if unit not in MM:
            raise ScanUnitsError(
                f"unknown unit {unit!r}; known are {', '.join(MM)}, or how many mm it is"
            )
        return MM[unit]
    if not 0 < unit < np.inf:
        raise ScanUnitsError(f"a unit must be a number of mm above 0, got {unit}")
    return float(unit)


def write(scan: Parts, path: str | os.PathLike[str], quality: int | None = None) -> None:
    """Write the parts of a scan: see `Scan.save`."""
    file = Path(path)
    if file.suffix.lower() != ".obj":
        raise ScanFileError(f"{file}: scans are written as .obj files, not as {file.suffix!r}")
    kind = ".png" if quality is None else ".jpg"
    stem = plain_name(file.stem)
    images = [file.with_name(f"{stem}_{k}{kind}") for k in range(len(scan["photographs"]))]
    library, marks = file.with_name(f"{stem}.mtl"), file.with_suffix(".json")
    try:
        for image, pixels in zip(images, scan["photographs"], strict=True):
            _write_image(image, pixels, quality)
        if images:
            write_text(library, mtl_text([image.name for image in images]))
        if scan["landmarks"] is None:
            marks.unlink(missing_ok=True)  # of a scan that was here before
        else:
            write_text(marks, write_landmarks(scan["landmarks"]))
        # last: where it is there, all that it refers to is there
        write_text(file, obj_text(scan, library.name))
    except OSError as error:
        raise ScanFileError(str(error)) from error


def _write_image(path: Path, pixels: Photograph, quality: int | None) -> None:
    options: dict[str, Any] = {"format": "png", "compress_level": 3}
    if quality is not None:
        options = {"format": "jpeg", "quality": quality}
    write_whole(path, lambda file: Image.fromarray(pixels).save(file, **options))


def _check_extent(points: FloatArray, mm: float, path: Path) -> None:
    """Raise `ScanUnitsError` for a scan that is not of the size of a head in mm."""
    with np.errstate(over="ignore", invalid="ignore"):
        extent = float(np.ptp(points, axis=0).max())
    low, high = _HEAD
    if low <= extent <= high:
        return
    factors = {name: of / mm for name, of in MM.items() if of != mm}
    fits = [name for name, factor in factors.items() if low <= extent * factor <= high]
    guess = (
        f"its numbers are probably in {' or '.join(fits)}: say so (--unit {fits[0]})"
        if fits
        else "nor would mm, cm or m make it one; say how many mm its unit is (--scale), or cut "
        "away what is not the head"
    )
    raise ScanUnitsError(
        f"{path} extends over {extent:.6g} mm; a head has {low:g} to {high:g} mm; {guess}"
    )


def _texture(parts: Parts, path: Path, wanted: bool) -> Parts:
    """The texture with coordinates in [0, 1]; no photograph where they are missing, or not wanted.

    Triangles across the border of an image that is repeated lose it.
    """
    uv, photograph = np.array(parts["uv"], np.float64), np.array(parts["photograph"], np.int64)
    colours = parts["colours"]
    if not wanted:
        photograph[:] = -1
    if colours is not None and (not wanted or not np.ptp(colours, axis=0).any()):
        colours = None  # one colour all over is none
    textured = photograph >= 0
    wild = textured & ~np.isfinite(uv).all(axis=(1, 2))
    if wild.any():
        raise ScanTextureError(
            f"{path}: {wild.sum()} triangles have texture coordinates that are no finite numbers, "
            f"the first {uv[wild][0].tolist()}"
        )
    uv[~textured] = 0
    # beyond [0, 1] an image is repeated: back to where it stands, a triangle at a time
    outside = ((uv < -_BEYOND) | (uv > 1 + _BEYOND)).any(axis=(1, 2))
    uv[outside] -= np.floor(uv[outside].mean(axis=1, keepdims=True))
    across = ((uv < -_BEYOND) | (uv > 1 + _BEYOND)).any(axis=(1, 2))
    if 2 * across.sum() > textured.sum():
        raise ScanTextureError(
            f"{path}: {across.sum()} of {textured.sum()} triangles have texture coordinates "
            f"outside [0, 1], the first {parts['uv'][across][0].tolist()}; are they in pixels?"
        )
    photograph[across] = -1
    uv[across] = 0
    return {
        "uv": np.clip(uv, 0, 1),
        "photograph": photograph,
        "photographs": parts["photographs"] if wanted else (),
        "colours": colours,
    }


def _landmarks(
    given: str | os.PathLike[str] | npt.ArrayLike | None,
    path: Path,
    mm: float,
    vertices: FloatArray,
) -> FloatArray | None:
    """Landmarks in mm: those given, by file or as an array, or those of the file beside."""
    if given is None:
        given = landmarks_beside(path)
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        source, points = str(given), read_landmarks(Path(given))
    else:
        source, points = "landmarks", forty_three(given, "landmarks")
    check_near(points * mm, vertices, source)
    return points * mm
