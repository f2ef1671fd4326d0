"""Contact sheets of a data set, to screen it by eye as the paper's authors did: Section 5.

Each scan is shown by its canonical texture, in which stripes cover what is invalid, and by its
face. What should not be learned from goes, name by name, into the data set's rejected.txt.
"""

import functools
import os
import textwrap
from pathlib import Path

import joblib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset, load
from facesynth.files.atomic import write_whole
from facesynth.rendering import Camera, render

FOLDER = "contact_sheet"  # in the data set's
COLUMNS, ROWS = 6, 4  # of a page
SIDE = 168  # pixels along the side of a texture and of a face
STRIPE, WIDTH = (230, 0, 140), 8  # colour, and pixels from stripe to stripe
ALARM = "#aa1e1e"
# turned a little: a profile shows what a front does not
CAMERA = Camera(yaw=-18.0, pitch=4.0, height=265.0)


def write(dataset: Dataset | str | os.PathLike[str], *, n_jobs: int = -1) -> list[Path]:
    """Write PNG pages into the data set's `FOLDER`; return their paths.

    dataset  as `dataset.load` returns it, or its folder
    n_jobs   worker processes, as in joblib

    After the scans come those that failed, with the reason. Raises `DatasetError` for damaged files
    and `WriteError`.
    """
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
    rows, columns = -(-len(names) // COLUMNS), min(COLUMNS, len(names))
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
            continue
        k = scans.names.index(name)
        axis.imshow(_pictures(scans, k), interpolation="nearest")
        valid = scans.valid[k].mean()
        axis.set_title(f"{title}\n{valid:.0%} valid", fontsize=9, loc="left")
    write_whole(path, functools.partial(figure.savefig, format="png"))


def _pictures(scans: Dataset, k: int) -> NDArray[np.uint8]:
    """A scan's texture, with stripes over its invalid pixels, and its face: (side, 2 side, 3)."""
    template = scans.template
    uv = mapping(scans.resolution, template).uv
    face = render(
        scans.geometry[k], template.faces, uv, scans.textures[k],
        camera=CAMERA, size=SIDE, background=(1, 1, 1),
    )  # fmt: skip
    side = (SIDE, SIDE)
    texture = np.array(Image.fromarray(scans.textures[k]).resize(side, Image.Resampling.LANCZOS))
    valid = np.asarray(Image.fromarray(scans.valid[k]).resize(side, Image.Resampling.NEAREST))
    row, column = np.indices(side)
    texture[~valid & ((row + column) % WIDTH < WIDTH // 3)] = STRIPE
    return np.concatenate([texture, face[..., :3]], axis=1)
