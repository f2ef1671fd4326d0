"""Contact sheets of a data set, to screen it by eye as the paper's authors did: Section 5.

Each scan is shown by its canonical texture, in which hatching covers what is invalid, and by its
face. What should not be learned from goes, name by name, into the data set's rejected.txt.
"""

import os
import textwrap
from functools import cache
from pathlib import Path

import joblib
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset, load
from facesynth.files.atomic import write_whole
from facesynth.rendering import Camera, render

FOLDER = "contact_sheet"  # in the data set's
COLUMNS, ROWS = 6, 4  # of a page
PICTURE = 168  # pixels along the side of a texture and of a face
GAP, LINE, TEXT = 16, 18, 13  # pixels: between scans, from line to line, and of the letters
HATCH = 8  # pixels from stripe to stripe
INK, PALE, STRIPE, ALARM = (40, 40, 40), (120, 120, 120), (230, 0, 140), (170, 30, 30)
CAMERA = Camera(
    yaw=-18.0, pitch=4.0, height=265.0
)  # turned a little: a profile shows what a front does not
PAPER = (255, 255, 255)
WIDTH, HEIGHT = 2 * PICTURE, PICTURE + 2 * LINE  # of one scan's cell


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
    size = COLUMNS * ROWS
    pages = [entries[k : k + size] for k in range(0, len(entries), size)]
    folder = shown.folder / FOLDER
    paths = [folder / f"page_{k + 1:03d}.png" for k in range(len(pages))]
    for old in set(folder.glob("page_*.png")) - set(paths):
        old.unlink()
    tasks = (
        joblib.delayed(_write_page)(shown, page, f"page {k + 1} of {len(pages)}", path)
        for k, (page, path) in enumerate(zip(pages, paths, strict=True))
    )
    joblib.Parallel(n_jobs if len(pages) > 1 else 1)(tasks)
    return paths


def _write_page(dataset: Dataset, names: list[str], title: str, path: Path) -> None:
    sheet = _page(dataset, names, title)
    write_whole(path, lambda file: sheet.save(file, format="png"))


def _page(dataset: Dataset, names: list[str], title: str) -> Image.Image:
    columns, rows = min(COLUMNS, len(names)), -(-len(names) // COLUMNS)
    size = GAP + columns * (WIDTH + GAP), 2 * GAP + LINE + rows * (HEIGHT + GAP)
    page = Image.new("RGB", size, PAPER)
    shown = dataset.take(np.array([name in names for name in dataset.names], bool))
    assert dataset.folder is not None
    heading = f"{dataset.folder.resolve().name}, {title}: {len(dataset)} scans"
    heading += f", {len(dataset.failed)} failed" if dataset.failed else ""
    ImageDraw.Draw(page).text((GAP, GAP / 2), heading, INK, _font())
    for k, name in enumerate(names):
        row, column = divmod(k, COLUMNS)
        at = GAP + column * (WIDTH + GAP), GAP + LINE + row * (HEIGHT + GAP)
        failed = dataset.failed.get(name)
        page.paste(_scan(shown, name) if failed is None else _failure(name, failed), at)
    return page


def _scan(dataset: Dataset, name: str) -> Image.Image:
    """A scan's cell: texture and face, the name, and how much is valid."""
    k, template = dataset.names.index(name), dataset.template
    texture, valid = dataset.textures[k], dataset.valid[k]
    face = render(
        dataset.geometry[k], template.faces, mapping(dataset.resolution, template).uv, texture,
        camera=CAMERA, size=PICTURE, background=(1, 1, 1),
    )  # fmt: skip
    cell = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    cell.paste(_hatched(texture, valid), (0, 0))
    cell.paste(Image.fromarray(face[..., :3]), (PICTURE, 0))
    draw = ImageDraw.Draw(cell)
    draw.text((0, PICTURE + 3), _shortened(name), INK, _font())
    draw.text((0, PICTURE + LINE + 1), f"{valid.mean():.0%} valid", PALE, _font())
    return cell


def _hatched(texture: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Image.Image:
    """A texture (R, R, 3) with stripes over what is not valid (R, R)."""
    side = (PICTURE, PICTURE)
    pixels = np.asarray(Image.fromarray(texture).resize(side, Image.Resampling.LANCZOS)).copy()
    share = Image.fromarray(valid.astype(np.uint8) * 255).resize(side, Image.Resampling.BOX)
    row, column = np.indices(side)
    pixels[(np.asarray(share) < 128) & ((row + column) % HATCH < HATCH // 3)] = STRIPE
    return Image.fromarray(pixels)


def _failure(name: str, reason: str) -> Image.Image:
    """The cell of a scan that failed: its name, and why."""
    cell = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(cell)
    draw.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=ALARM)
    lines = textwrap.wrap(reason, 45, max_lines=HEIGHT // LINE - 2, placeholder=" …")
    draw.text((8, 6), _shortened(f"failed: {name}", WIDTH - 16), ALARM, _font())
    draw.multiline_text((8, 6 + LINE), "\n".join(lines), INK, _font(), spacing=LINE - TEXT)
    return cell


def _shortened(text: str, width: int = WIDTH) -> str:
    """The text, or as much of its end as fits: names differ there."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"… {text}") > width:
        text = text[1:]
    return f"… {text}"


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Matplotlib's own font, which writes names in many scripts and is always there."""
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), TEXT
    )
