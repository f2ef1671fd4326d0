"""A coarser copy of a data set, of all or of its first subjects: to hand on, or to train on sooner.

Pixels are averaged, so that a copy is as sharp as its resolution allows; a data set that is built
at a low resolution takes one place of the scan for each pixel, and shimmers.
"""

import hashlib
import json
import os
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facesynth.dataset import packing
from facesynth.dataset.building import check_displacement, locked, settle
from facesynth.dataset.canonical import fill
from facesynth.dataset.dataset import (
    AGAIN,
    FAILED,
    QUALITY,
    REJECTED,
    SCANS,
    SETTINGS,
    TEMPLATE,
    Dataset,
    load,
    rejected_names,
    scans_file,
)
from facesynth.dataset.sources import DatasetError
from facesynth.files import arrays, tables, texts
from facesynth.files.atomic import write_bytes, write_text, write_whole
from facesynth.files.integers import check_jobs
from facesynth.rendering.colour import from_uint8, to_uint8

ENOUGH = 0.5  # valid share of the pixels that a coarser one averages, for it to be valid itself


def shrink(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    resolution: int,
    n_subjects: int | None = None,
    quality: int = 95,
    displacement: str = "half",
    n_jobs: int = -1,
    progress: bool = True,
) -> Dataset:
    """Copy a data set with images of fewer pixels; the geometry is the same to the bit.

    path        the data set's folder
    out         the copy's folder, made if need be. What is finished in it is kept
    resolution  pixels along the side of the images: a half, a third, ... of what they have
    n_subjects  how many of the subjects, in their order; None for all
    quality, displacement, n_jobs, progress  as in `building.build`

    Raises `DatasetError` for a resolution that does not divide the data set's, for fewer subjects
    than asked for, or an `out` that was made with other settings; `JobsError`; and `WriteError` for
    a full disk.
    """
    check_jobs(n_jobs)
    whole, to = load(path), Path(out).absolute()
    check_displacement(displacement, resolution)
    if resolution < 1 or whole.resolution % resolution or resolution == whole.resolution:
        raise DatasetError(
            f"{path} has images of {whole.resolution} pixels: ask for a half, a third or another "
            f"part of it, not {resolution}"
        )
    had = Path(path).absolute()
    rows = tables.read(had / SCANS)
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    n = len(subjects) if n_subjects is None else n_subjects
    if not 0 < n <= len(subjects):
        raise DatasetError(f"{path} has {len(subjects)} subjects: {n} cannot be copied")
    if not whole.has_displacement:
        displacement = "none"
    chosen = set(subjects[:n])
    rows = [row for row in rows if row["subject"] in chosen]
    settings = json.loads(texts.read(had / SETTINGS))
    settings |= {"resolution": resolution, "quality": quality, "displacement": displacement}
    with locked(to):
        settle(to, settings | {"averaged": whole.resolution // resolution})
        write_bytes(to / TEMPLATE, (had / TEMPLATE).read_bytes())
        jobs = [
            joblib.delayed(_shrink)(
                *(scans_file(folder, name) for folder in (had, to)),
                (whole.resolution, resolution),
                quality,
                displacement,
            )
            for name in dict.fromkeys(row["file"] for row in rows)
        ]
        done = joblib.Parallel(n_jobs, return_as="generator_unordered")(jobs)
        for _ in tqdm(done, total=len(jobs), unit=" files", disable=not progress):
            pass
        names = {row["name"] for row in rows}
        if (had / REJECTED).exists():
            kept = [name for name in rejected_names(had) if name in names]
            write_text(to / REJECTED, "".join(f"{name}\n" for name in kept))
        if (had / QUALITY).exists():
            write_bytes(to / QUALITY, (had / QUALITY).read_bytes())
        write_text(to / FAILED, tables.text_of([("name", "reason")]))
        write_text(to / SCANS, tables.text_of([rows[0], *(row.values() for row in rows)]))
    return load(to)


def _shrink(path: Path, to: Path, sizes: tuple[int, int], quality: int, displacement: str) -> None:
    """Write a file's coarser copy, unless it is there."""
    with arrays.readable(path, DatasetError, AGAIN):
        source = np.array(hashlib.sha256(path.read_bytes()).hexdigest())
        if _is_of(to, source):
            return
        fine = arrays.read(path)
        textures, valid = packing.textures(fine), packing.valid(fine, sizes[0])
        detail = np.zeros(valid.shape, np.float32)
        if displacement != "none":
            detail = packing.displacement(fine, sizes[0])
    scans = [_coarser(*images, sizes[1]) for images in zip(textures, valid, detail, strict=True)]
    content = {"geometry": fine["geometry"]} | packing.pack_images(scans, quality, displacement)
    content["source"] = source
    write_whole(to, lambda file: np.savez_compressed(file, **content))  # type: ignore[arg-type]


def _is_of(path: Path, source: NDArray[np.str_]) -> bool:
    try:
        return bool(arrays.read(path)["source"] == source)
    except Exception:  # not there, or damaged in any way
        return False


def _coarser(
    texture: NDArray[np.uint8] | None,
    valid: NDArray[np.bool_],
    displacement: NDArray[np.float32],
    size: int,
) -> packing.Arrays:
    """Means over the valid pixels: light is averaged, not its sRGB numbers."""
    share = _means(valid[..., None].astype(np.float32), size)
    known = np.maximum(share, 1e-6)
    enough = share[..., 0] >= ENOUGH
    detail = _means((displacement * valid)[..., None], size) / known
    coarser = {"valid": enough, "displacement": np.where(enough, detail[..., 0], 0)}
    if texture is not None:
        light = _means(from_uint8(texture) * valid[..., None], size) / known
        coarser["texture"] = to_uint8(fill(light, enough))
    return coarser


def _means(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """An image (size, size, c) of the means over squares of pixels of (R, R, c)."""
    every = len(image) // size
    return image.reshape(size, every, size, every, -1).mean(axis=(1, 3))
