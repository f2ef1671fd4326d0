"""Reading and writing OBJ and MTL files, limited to what scans need.

Loaders made for pictures split a vertex where its texture coordinates differ and sort triangles by
material. Here a mesh keeps its vertices and the order of its triangles, and a damaged file is
refused with the number of the line.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facesynth.scans.parts import ScanFileError, ScanTextureError
from facesynth.surface.mesh import FloatArray, IntArray

NO_MATERIAL = ""


@dataclass(frozen=True)
class Wavefront:
    """What an OBJ file says."""

    vertices: FloatArray  # (n, 3) as they stand there
    faces: IntArray  # (f, 3)
    uv: FloatArray  # (f, 3, 2)
    material: IntArray  # (f,) index into materials
    materials: list[str]  # as the triangles need them; `NO_MATERIAL` where none was named
    libraries: list[str]  # names of MTL files


def read_obj(path: Path) -> Wavefront:
    """Parse an OBJ file. Polygons become fans of triangles.

    Raises `ScanFileError` with the line for what cannot be understood, `ScanTextureError` for
    triangles without texture coordinates, and OSError.
    """
    rows: dict[str, list[tuple[int, str]]] = {"v": [], "vt": []}  # line and numbers
    corners: list[tuple[str, str, str]] = []  # of each triangle, like 5/7/1
    lines, material = [], []  # of each triangle
    materials, libraries, current = [NO_MATERIAL], [], 0
    for line, key, rest in _statements(path):
        if key in rows:
            rows[key].append((line, rest))
        elif key == "f":
            polygon = rest.split()
            if len(polygon) < 3:
                raise ScanFileError(f"{path}, line {line}: a face with {len(polygon)} corners")
            corners += [(polygon[0], a, b) for a, b in itertools.pairwise(polygon[1:])]
            lines += [line] * (len(polygon) - 2)
            material += [current] * (len(polygon) - 2)
        elif key == "usemtl":
            if rest not in materials:
                materials.append(rest)
            current = materials.index(rest)
        elif key == "mtllib":
            libraries.append(rest)
    if not corners or not rows["v"]:
        raise ScanFileError(f"{path} has {len(rows['v'])} vertices and {len(corners)} triangles")
    points, places = _numbers(path, rows["v"], 3), _numbers(path, rows["vt"], 2)
    faces, wedges = _corners(path, corners, lines, len(points), len(places))
    used, which = np.unique(material, return_inverse=True)
    names = [materials[k] for k in used]
    return Wavefront(points, faces, places[wedges], which, names, libraries)


def _statements(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, keyword and the rest of each line that says something."""
    with path.open(encoding="utf-8", errors="replace") as file:
        whole, start = "", 1
        for number, text in enumerate(file, 1):
            if text.rstrip().endswith("\\"):  # goes on in the next line
                whole += text.rstrip()[:-1] + " "
                continue
            key, _, rest = (whole + text).split("#", 1)[0].strip().replace("\t", " ").partition(" ")
            if key:
                yield start, key, rest.strip()
            whole, start = "", number + 1


def _numbers(path: Path, rows: list[tuple[int, str]], width: int) -> FloatArray:
    """The first `width` numbers (n, width) of each row."""
    split = [row.split()[:width] for _, row in rows]
    try:
        return np.array(split, dtype=np.float64).reshape(-1, width)
    except ValueError:
        pass  # find out where
    for row, (line, _) in zip(split, rows, strict=True):
        try:
            count = len([float(number) for number in row])
        except ValueError as error:
            raise ScanFileError(f"{path}, line {line}: {error}") from None
        if count < width:
            raise ScanFileError(f"{path}, line {line}: expected {width} numbers, got {count}")
    raise AssertionError  # one of the rows was at fault


def _corners(
    path: Path, corners: list[tuple[str, str, str]], lines: list[int], n: int, n_uv: int
) -> tuple[IntArray, IntArray]:
    """Indices (f, 3) of the vertices and of the texture coordinates, from 0."""
    indices = np.zeros((len(corners), 3, 2), dtype=np.int64)
    for t, (corner, line) in enumerate(zip(corners, lines, strict=True)):
        try:
            for k in range(3):
                vertex, _, rest = corner[k].partition("/")
                indices[t, k, 0] = int(vertex)
                indices[t, k, 1] = int(rest.partition("/")[0] or 0)
        except (ValueError, OverflowError):
            raise ScanFileError(f"{path}, line {line}: invalid corner {corner[k]!r}") from None
    bare = np.flatnonzero((indices[..., 1] == 0).any(axis=1))
    if len(bare):
        raise ScanTextureError(
            f"{path}: {len(bare)} of {len(corners)} triangles have no texture coordinates, the "
            f"first in line {lines[bare[0]]}; export the scan with its texture"
        )
    for column, size, what in ((0, n, "vertex"), (1, n_uv, "texture coordinate")):
        index = indices[..., column]
        bad = np.flatnonzero(((index == 0) | (np.abs(index) > size)).any(axis=1))
        if len(bad):
            raise ScanFileError(
                f"{path}, line {lines[bad[0]]}: {what} {index[bad[0]].tolist()} of {size}; "
                "the file is damaged or truncated"
            )
        index += np.where(index < 0, size, -1)  # negative ones count from the end
    return indices[..., 0], indices[..., 1]


def read_mtl(path: Path) -> dict[str, str]:
    """The image's name, as it stands there, of each material that has one."""
    images, current = {}, NO_MATERIAL
    for _, key, rest in _statements(path):
        if key == "newmtl":
            current = rest
        elif key.lower() == "map_kd":
            images[current] = rest.split()[-1] if rest.startswith("-") else rest  # after options
    return images


def obj_text(scan: Mapping[str, Any], library: str) -> str:
    """The parts of a scan as an OBJ file, whose materials, photograph_0 and so on, an MTL file has.

    Numbers are written with as many digits as bring back the very same floats.
    """
    places, wedge = np.unique(scan["uv"].reshape(-1, 2), axis=0, return_inverse=True)
    wedge = wedge.reshape(-1, 3) + 1
    text = [f"mtllib {library}"]
    text += [f"v {x!r} {y!r} {z!r}" for x, y, z in np.asarray(scan["vertices"], float).tolist()]
    text += [f"vt {u!r} {v!r}" for u, v in places.tolist()]
    before = -1
    for k, (a, b, c), (i, j, m) in zip(
        scan["photograph"].tolist(), (scan["faces"] + 1).tolist(), wedge.tolist(), strict=True
    ):
        if k != before:
            text.append(f"usemtl {material_name(k)}")
            before = k
        text.append(f"f {a}/{i} {b}/{j} {c}/{m}")
    return "\n".join(text) + "\n"


def mtl_text(images: list[str]) -> str:
    """An MTL file of one material for each photograph's file name."""
    return "".join(
        f"newmtl {material_name(k)}\nKd 1 1 1\nillum 0\nmap_Kd {image}\n"
        for k, image in enumerate(images)
    )


def material_name(k: int) -> str:
    """The name of photograph k's material."""
    return f"photograph_{k}"
