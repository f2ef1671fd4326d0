"""Reading and writing OBJ and MTL files, limited to what scans need.

Loaders made for pictures split a vertex where its texture coordinates differ and sort triangles by
material. Here a mesh keeps its vertices and the order of its triangles, and a damaged file is
refused with the number of the line.
"""

import io
import itertools
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesynth.files import texts
from facesynth.scans.parts import ScanFileError, ScanTextureError
from facesynth.surface.mesh import FloatArray, IntArray

NO_MATERIAL = ""
_NAMING = ("mtllib", "usemtl", "newmtl", "map_kd")  # what follows is a name, '#' and all
# options of an image in an MTL file, and the most values that each has
_OPTIONS = dict.fromkeys(("blendu", "blendv", "bm", "boost", "cc", "clamp", "imfchan"), 1)
_OPTIONS |= {"texres": 1, "type": 1, "mm": 2, "o": 3, "s": 3, "t": 3}
_LONG = 200  # bytes of a name, to which an ending is to be added


@dataclass(frozen=True)
class Wavefront:
    """What an OBJ file says."""

    vertices: FloatArray  # (n, 3) as they stand there
    colours: NDArray[np.uint8] | None  # (n, 3) of the vertices, if all have one
    faces: IntArray  # (f, 3)
    uv: FloatArray  # (f, 3, 2); NaN where a triangle has none
    material: IntArray  # (f,) index into materials
    materials: list[str]  # as the triangles need them; `NO_MATERIAL` where none was named
    libraries: list[str]  # names of MTL files, as they stand there


def read_obj(path: Path) -> Wavefront:
    """Parse an OBJ file. Polygons become fans of triangles.

    Raises `ScanFileError` with the line for what cannot be understood, and OSError.
    """
    rows: dict[str, list[tuple[int, str]]] = {"v": [], "vt": []}  # line and numbers
    points, places = rows["v"], rows["vt"]
    corners: list[tuple[str, str, str]] = []  # of each triangle, like 5/7/1
    lines, material = [], []  # of each triangle
    behind: dict[int, tuple[int, int]] = {}  # triangles that count back, from what is before them
    materials, libraries, current = {NO_MATERIAL: 0}, [], 0
    for line, key, rest in _statements(path):
        if key in rows:
            rows[key].append((line, rest))
        elif key == "f":
            polygon = rest.split()
            if len(polygon) < 3:
                raise ScanFileError(f"{path}, line {line}: a face with {len(polygon)} corners")
            fan = [(polygon[0], a, b) for a, b in itertools.pairwise(polygon[1:])]
            if "-" in rest:
                behind |= dict.fromkeys(
                    range(len(corners), len(corners) + len(fan)), (len(points), len(places))
                )
            corners += fan
            lines += [line] * len(fan)
            material += [current] * len(fan)
        elif key == "usemtl":
            current = materials.setdefault(_unquoted(rest), len(materials))
        elif key == "mtllib":
            libraries.append(rest)
    if not corners or not points:
        raise ScanFileError(f"{path} has {len(points)} vertices and {len(corners)} triangles")
    vertices, texture = _numbers(path, points, 3), _numbers(path, places, 2)
    total = np.array([len(vertices), len(texture)])
    before = np.tile(total, (len(corners), 1))
    before[list(behind)] = list(behind.values()) or np.empty((0, 2), np.int64)
    faces, wedges = _corners(path, corners, lines, before, total)
    used, which = np.unique(material, return_inverse=True)
    names = [list(materials)[k] for k in used]
    uv = np.concatenate([texture, [[np.nan, np.nan]]])[wedges]
    return Wavefront(vertices, _colours(points), faces, uv, which, names, libraries)


def _statements(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, keyword and the rest of each line that says something."""
    whole, start = "", 1
    for number, text in enumerate(io.StringIO(_text(path), newline=None), 1):
        line = (whole + text).strip()
        key = line.split(None, 1)[0].lower() if line else ""
        if key not in _NAMING:
            line = line.split("#", 1)[0].strip()
            if line.endswith("\\"):  # goes on in the next line
                whole = line[:-1] + " "
                continue
        if line:
            first, *rest = line.split(None, 1)
            yield start, key if key in _NAMING else first, rest[0] if rest else ""
        whole, start = "", number + 1


def _text(path: Path) -> str:
    """A file's text, in UTF-8 or what its first bytes say, or else in Latin-1, as old programs'."""
    try:
        return texts.read(path)
    except texts.EncodingError:
        return path.read_bytes().decode("latin-1")


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


def _colours(rows: list[tuple[int, str]]) -> NDArray[np.uint8] | None:
    """Colours (n, 3) that stand behind the coordinates of vertices, from 0 to 1 or to 255."""
    if len(rows[0][1].split()) < 6:
        return None
    try:
        values = np.array([row.split()[3:6] for _, row in rows], np.float64).reshape(len(rows), 3)
    except ValueError:  # of some vertices, or no numbers
        return None
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
        return None
    return np.rint(values * (255 if values.max() <= 1 else 1)).astype(np.uint8)


def _corners(
    path: Path,
    corners: list[tuple[str, str, str]],
    lines: list[int],
    before: IntArray,
    total: IntArray,
) -> tuple[IntArray, IntArray]:
    """Indices (f, 3) of the vertices and of the texture coordinates, from 0; -1 without these.

    before : (f, 2), how many of both stand before each triangle: negative indices count back
    total  : (2,), how many there are
    """
    indices = np.zeros((len(corners), 3, 2), dtype=np.int64)
    for t, (corner, line) in enumerate(zip(corners, lines, strict=True)):
        try:
            for k in range(3):
                vertex, _, rest = corner[k].partition("/")
                indices[t, k, 0] = int(vertex)
                indices[t, k, 1] = int(rest.partition("/")[0] or 0)
        except (ValueError, OverflowError):
            raise ScanFileError(f"{path}, line {line}: invalid corner {corner[k]!r}") from None
    before = before[:, None]  # (f, 1, 2)
    bare = (indices[..., 1] == 0).any(axis=1)  # one corner without, and the triangle has none
    least = np.where(indices < 0, -before, 1)
    good = (indices >= least) & (indices <= total)
    good[bare, :, 1] = True
    for column, what in ((0, "vertex"), (1, "texture coordinate")):
        bad = np.flatnonzero(~good[..., column].all(axis=1))
        if len(bad):
            found = indices[bad[0], :, column]
            n = before[bad[0], 0, column] if found.min() < 0 else total[column]
            raise ScanFileError(
                f"{path}, line {lines[bad[0]]}: {what} {found.tolist()} of {n}; the file is "
                "damaged or truncated"
            )
    indices += np.where(indices < 0, before, -1)
    indices[bare, :, 1] = -1
    return indices[..., 0], indices[..., 1]


def read_mtl(path: Path) -> dict[str, str]:
    """The image's name, as it stands there, of each material; empty for those without one.

    Raises `ScanTextureError` for an image that is scaled or moved, and OSError.
    """
    images: dict[str, str] = {}
    current = NO_MATERIAL
    for line, key, rest in _statements(path):
        if key == "newmtl":
            current = _unquoted(rest)
            images.setdefault(current, "")
        elif key == "map_kd":
            images[current] = _image_name(rest, f"{path}, line {line}")
    return images


def _image_name(text: str, where: str) -> str:
    """The name behind the options of an image, such as -clamp on, and without quotes."""
    while option := re.match(r"-(\w+)\s+", text):
        name, text = option[1].lower(), text[option.end() :]
        values: list[str] = []
        while len(values) < _OPTIONS.get(name, 0):
            value, _, after = text.partition(" ")
            if not after or (name in ("o", "s", "t", "mm") and not _is_number(value)):
                break
            values.append(value)
            text = after.lstrip()
        usual = {"o": 0.0, "s": 1.0}
        if name in usual and any(float(value) != usual[name] for value in values[:2]):
            raise ScanTextureError(
                f"{where}: the image is moved or scaled by -{name} {' '.join(values)}, which "
                "programs understand differently; export the scan with plain texture coordinates"
            )
    return _unquoted(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def libraries(names: Sequence[str], folder: Path) -> list[Path]:
    """Those MTL files that `mtllib` lines name and that are there."""
    found: list[Path] = []
    for name in names:
        whole = find(_unquoted(name), folder)
        try:
            words = shlex.split(name, posix=False)  # a backslash is a backslash
        except ValueError:  # a single quote
            words = name.split()
        several = [find(_unquoted(word), folder) for word in words]
        found += [whole] if whole else [path for path in several if path]
    return list(dict.fromkeys(found))


def find(name: str, folder: Path) -> Path | None:
    """The file that an OBJ, MTL, PLY or glTF file in a folder names, if it is there.

    As it stands there, or where only its folder, or the case of its letters, has changed. What
    follows a blank and '#' may be a comment.
    """
    for spelling in dict.fromkeys((name, name.split(" #", 1)[0].strip())):
        plain = spelling.replace("\\", "/")
        for candidate in (folder / plain, folder / PureWindowsPath(spelling).name):
            try:
                if candidate.is_file():
                    return candidate
                if candidate.name and candidate.parent.is_dir():
                    alike = candidate.name.casefold()
                    for file in sorted(candidate.parent.iterdir()):
                        if file.name.casefold() == alike and file.is_file():
                            return file
            except (OSError, ValueError):  # too long for a name, or with a zero byte
                continue
    return None


def image_of(material: str, images: Mapping[str, str]) -> str | None:
    """The image's name of a material of MTL files: None for one that they lack.

    The case of letters, and a comment, may differ. Triangles without a material have the only one.
    """
    if material == NO_MATERIAL and NO_MATERIAL not in images and len(images) == 1:
        return next(iter(images.values()))

    def spellings(name: str) -> tuple[str, str, str]:
        plain = name.split(" #", 1)[0].strip()
        return name, plain, plain.casefold()

    for k, spelling in enumerate(spellings(material)):
        for name, image in images.items():
            if spellings(name)[k] == spelling:
                return image
    return None


def plain_name(stem: str) -> str:
    """A name that OBJ and MTL files can refer to: in some, blanks, '#' and quotes mean something.

    Names that are changed end in a digest, so that no two become one.
    """
    plain = re.sub(r"[^\w.-]|^\W", "_", stem)
    if plain == stem and len(os.fsencode(stem)) < _LONG:
        return stem
    return f"{plain[:50]}-{sha256(os.fsencode(stem)).hexdigest()[:8]}"


def obj_text(scan: Mapping[str, Any], library: str) -> str:
    """The parts of a scan as an OBJ file, whose materials, photograph_0 and so on, an MTL file has.

    Numbers are written with as many digits as bring back the very same floats.
    """
    places, wedge = np.unique(scan["uv"].reshape(-1, 2), axis=0, return_inverse=True)
    wedge = wedge.reshape(-1, 3) + 1
    points = np.asarray(scan["vertices"], float).tolist()
    text = [f"mtllib {library}"] if scan["photographs"] else []
    if scan["colours"] is None:
        text += [f"v {x!r} {y!r} {z!r}" for x, y, z in points]
    else:
        rows = zip(points, (scan["colours"] / 255).tolist(), strict=True)
        text += [f"v {x!r} {y!r} {z!r} {r!r} {g!r} {b!r}" for (x, y, z), (r, g, b) in rows]
    if scan["photographs"]:
        text += [f"vt {u!r} {v!r}" for u, v in places.tolist()]
    before = -1
    for k, (a, b, c), (i, j, m) in zip(
        scan["photograph"].tolist(), (scan["faces"] + 1).tolist(), wedge.tolist(), strict=True
    ):
        if k < 0:
            text.append(f"f {a} {b} {c}")
            continue
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
