"""Scans from files, and to them: OBJ with its MTL and images, PLY and GLB.

Errors in a file raise a subclass of `ScanError`, or of `MeshError` if the mesh is at fault.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesynth.files.atomic import write_text, write_whole
from facesynth.files.units import MM, Unit
from facesynth.scans.formats import READERS, Parts
from facesynth.scans.landmark_files import (
    check_near,
    forty_three,
    landmarks_beside,
    read_landmarks,
    write_landmarks,
)
from facesynth.scans.parts import Photograph, ScanFileError, ScanTextureError, ScanUnitsError
from facesynth.scans.wavefront import mtl_text, obj_text
from facesynth.surface.mesh import FloatArray, check_arrays

_HEAD = (80.0, 2000.0)  # mm: the least and most that a scan of a face can extend
_LARGEST = 2**30  # bytes of a file: a scan has some MB
_BEYOND = 1e-3  # of the image's side that rounding may put texture coordinates outside


def read(
    path: str | os.PathLike[str],
    landmarks: str | os.PathLike[str] | npt.ArrayLike | None = None,
    unit: Unit = "mm",
) -> Parts:
    """The arguments of `Scan`, from files: see `Scan.load`."""
    file = Path(path)
    if unit not in MM:
        raise ScanUnitsError(f"unknown unit {unit!r}; known are {', '.join(MM)}")
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise ScanFileError(
            f"{file}: scans are read from {', '.join(READERS)}, not from {file.suffix!r} files"
        )
    try:
        if file.stat().st_size > _LARGEST:
            raise ScanFileError(f"{file} has {file.stat().st_size} bytes, more than {_LARGEST}")
        parts = reader(file)
    except OSError as error:
        raise ScanFileError(f"cannot read {file}: {error.strerror or error}") from error
    vertices, faces = check_arrays(parts["vertices"], parts["faces"])
    with np.errstate(over="ignore"):  # infinite is too large as well
        vertices = vertices * MM[unit]
    _check_extent(vertices[faces.ravel()], unit, file)
    parts |= {"vertices": vertices, "faces": faces, "uv": _checked_uv(parts["uv"], file)}
    known = _landmarks(landmarks, file, MM[unit], vertices)
    return parts | {"landmarks": known, "name": file.stem}


def write(scan: Parts, path: str | os.PathLike[str], quality: int | None = None) -> None:
    """Write the parts of a scan: see `Scan.save`."""
    file = Path(path)
    if file.suffix.lower() != ".obj":
        raise ScanFileError(f"{file}: scans are written as .obj files, not as {file.suffix!r}")
    kind = ".png" if quality is None else ".jpg"
    images = [file.with_name(f"{file.stem}_{k}{kind}") for k in range(len(scan["photographs"]))]
    library, marks = file.with_suffix(".mtl"), file.with_suffix(".json")
    try:
        for image, pixels in zip(images, scan["photographs"], strict=True):
            _write_image(image, pixels, quality)
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


def _check_extent(points: FloatArray, unit: str, path: Path) -> None:
    """Raise `ScanUnitsError` for a scan that is not of the size of a head in mm."""
    with np.errstate(over="ignore", invalid="ignore"):
        extent = float(np.ptp(points, axis=0).max())
    low, high = _HEAD
    if low <= extent <= high:
        return
    factors = {name: mm / MM[unit] for name, mm in MM.items() if name != unit}
    fits = [name for name, factor in factors.items() if low <= extent * factor <= high]
    guess = (
        f"its numbers are probably in {fits[0]} (a factor of {factors[fits[0]]:g}); "
        f"load it with unit={fits[0]!r}"
        if fits
        else "nor would cm or m make it one; scale it, or cut away what is not the head"
    )
    raise ScanUnitsError(
        f"{path} extends over {extent:.6g} mm; a head has {low:g} to {high:g} mm; {guess}"
    )


def _checked_uv(uv: FloatArray, path: Path) -> FloatArray:
    """The texture coordinates, clipped to [0, 1] within rounding errors."""
    inside = ((uv >= -_BEYOND) & (uv <= 1 + _BEYOND)).all(axis=(1, 2))  # NaN is not inside
    if not inside.all():
        bad = np.flatnonzero(~inside)
        raise ScanTextureError(
            f"{path}: {len(bad)} triangles have texture coordinates outside [0, 1], the first "
            f"{uv[bad[0]].tolist()}; repeated or tiled textures are not supported"
        )
    return np.clip(uv, 0, 1)


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
