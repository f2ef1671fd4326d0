"""Contact sheets of a data set, to screen it by eye as the paper's authors did: Section 5.

Each scan is shown by its canonical texture, in which stripes cover what is invalid, and by its
face; a scan without a texture in grey. The title of a doubtful one says why. What should not be
learned from goes, name by name, into the data set's rejected.txt.
"""

import functools
import math
import os
import textwrap
from pathlib import Path

import joblib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from facesynth.dataset.aligned_scan import SEARCHED, mapping
from facesynth.dataset.dataset import Dataset, load
from facesynth.files.atomic import write_whole
from facesynth.files.integers import check_jobs
from facesynth.rendering import Camera, render

FOLDER = "contact_sheet"  # in the data set's
COLUMNS, ROWS = 6, 4  # of a page
SIDE = 168  # pixels along the side of a texture and of a face
STRIPE, WIDTH = (230, 0, 140), 8  # colour, and pixels from stripe to stripe
ALARM, DOUBT = "#aa1e1e", "#8a5a00"
GREY = 150  # sRGB, of what has no texture
# turned a little: a profile shows what a front does not
CAMERA = Camera(yaw=-18.0, pitch=4.0, height=265.0)


def write(dataset: Dataset | str | os.PathLike[str], *, n_jobs: int = -1) -> list[Path]:
    """Write PNG pages into the data set's `FOLDER`; return their paths.

    dataset  as `dataset.load` returns it, or its folder
    n_jobs   worker processes, as in joblib

    After the scans come those that failed, with the reason. Raises `DatasetError` for damaged files
    and `WriteError`.
    """
    check_jobs(n_jobs)
    shown = dataset if isinstance(dataset, Dataset) else load(dataset)
    assert shown.folder is not None
    entries = [*shown.names, *shown.failed]
    pages = [entries[k : k + COLUMNS * ROWS] for k in range(0, len(entries), COLUMNS * ROWS)]
    folder = shown.folder / FOLDER
    paths = [folder / f"page_{k + 1:03d}.png" for k in range(len(pages))]
    for old in set(folder.glob("page_*.png")) - set(paths):
        old.unlink()
    name = shown.folder.resolve().name
    failed = f", {len(shown.failed)} failed" if shown.failed else ""
    scans = f"of {len(pages)}: {len(shown)} scans{failed}"
    tasks = (
        joblib.delayed(_write_page)(shown, page, f"{name}, page {k} {scans}", path)
        for k, (page, path) in enumerate(zip(pages, paths, strict=True), 1)
    )
    joblib.Parallel(n_jobs if len(pages) > 1 else 1)(tasks)
    return paths


@matplotlib.style.context("default")  # whatever the caller's figures look like
def _write_page(dataset: Dataset, names: list[str], title: str, path: Path) -> None:
    scans = dataset.take(np.array([name in names for name in dataset.names], bool))
    few = math.isqrt(len(names) - 1) + 1  # in a square
    columns = COLUMNS if len(names) > COLUMNS else few
    rows = -(-len(names) // columns)
    figure = Figure((columns * (2 * SIDE + 16) / 100, (rows * (SIDE + 40) + 40) / 100), dpi=100)
    figure.set_layout_engine("constrained")
    figure.suptitle(title, x=0.01, ha="left")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.axis("off")
    for axis, name in zip(axes, names, strict=False):
        title = name if len(name) < 40 else f"… {name[-38:]}"  # names differ at their end
        if name in dataset.failed:
            axis.set_title(f"failed: {title}", color=ALARM, fontsize=9, loc="left")
            reason = textwrap.fill(dataset.failed[name], 48, max_lines=10)
            axis.text(0, 1, reason, va="top", fontsize=8, transform=axis.transAxes)
            assert dataset.folder is not None
            searched = dataset.folder / SEARCHED / f"{name}.png"
            if searched.exists():
                below = axis.inset_axes((0, 0, 1, 0.35))
                below.imshow(np.asarray(Image.open(searched)), interpolation="nearest")
                below.axis("off")
            continue
        k = scans.names.index(name)
        axis.imshow(_pictures(scans, k), interpolation="nearest")
        valid = scans.valid[k].mean()
        text, colour = f"{title}\n{valid:.0%} valid", "black"
        if doubt := scans.doubtful.get(name):
            text, colour = f"doubtful: {title}\n{textwrap.shorten(doubt, 60)}", DOUBT
        axis.set_title(text, fontsize=9, loc="left", color=colour)
    write_whole(path, functools.partial(figure.savefig, format="png"))


def _pictures(scans: Dataset, k: int) -> NDArray[np.uint8]:
    """A scan's texture, with stripes over its invalid pixels, and its face: (side, 2 side, 3)."""
    template, R = scans.template, scans.resolution
    image = np.full((R, R, 3), GREY, np.uint8)
    if scans.textured[k]:
        image = scans.take(np.array([k])).textures[0]
    face = render(
        scans.geometry[k], template.faces, mapping(R, template).uv, image,
        camera=CAMERA, size=SIDE, background=(1, 1, 1),
    )  # fmt: skip
    side = (SIDE, SIDE)
    texture = np.array(Image.fromarray(image).resize(side, Image.Resampling.LANCZOS))
    valid = np.asarray(Image.fromarray(scans.valid[k]).resize(side, Image.Resampling.NEAREST))
    row, column = np.indices(side)
    texture[~valid & ((row + column) % WIDTH < WIDTH // 3)] = STRIPE
    return np.concatenate([texture, face[..., :3]], axis=1)
