"""The 43 landmarks of a scan, from the files in which people keep them.

A file has rows x, y, z: 43; 51, dlib's 68 without the jaw; or all 68. menpo's (.ljson) may be in
groups with names. The scan may be turned in any way: the geometry tells left from right.
"""

import io
import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from facesynth.scans.landmark_tables import table_rows, value
from facesynth.scans.parts import LandmarkFileError
from facesynth.surface.mesh import FloatArray
from facesynth.surface.similarity import TooFewPointsError, similarity
from facesynth.template import ENOUGH, FIRST_OF_68, N_LANDMARKS, standard

_KINDS = (".ljson", ".pts", ".pp", ".json", ".mrk.json", ".npy", ".fcsv", ".csv", ".tsv", ".txt")
SUFFIXES = (*_KINDS, *(kind.upper() for kind in _KINDS))
_FIRST = {N_LANDMARKS: 0, 51: 0, 68: FIRST_OF_68}  # number of rows -> the first that is kept
_LARGEST = 2**18  # bytes of a file: landmarks take some kB
_FAR = 30.0  # mm from the scan at which landmarks belong to something else
_MIRRORED = 3.0  # mm by which a mirrored face must fit better: exchanged sides give 5 to 12
_GROUPS = (("brow", 2, 5), ("nose", 1, 9), ("eye", 2, 6), ("mouth", 1, 20))  # name, how many, size


def landmarks_beside(path: Path) -> Path | None:
    """The landmarks' file of the same stem as a scan's, if there is one: see `holds_landmarks`.

    Raises `LandmarkFileError` if there are several.
    """
    files = [file for file in map(path.with_suffix, SUFFIXES) if file.is_file()]
    files = list({file.stat().st_ino: file for file in files}.values())  # one may have two names
    found = [file for file in files if holds_landmarks(file)]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise LandmarkFileError(f"{names} are all beside {path}; choose one with `landmarks`")
    return found[0] if found else None


def holds_landmarks(path: Path) -> bool:
    """Whether a file is meant as landmarks, damaged or not, rather than as notes beside a scan.

    Files .ljson, .pts and .pp are; JSON with something in `landmarks` or `groups`; and arrays,
    tables, and other JSON of 43, 51 or 68 rows, most of which are three numbers. Raises
    `LandmarkFileError` for a file that cannot be opened.
    """
    kind = path.suffix.lower()
    if kind in (".ljson", ".pts", ".pp"):
        return True
    content = _content(path)
    if len(content) > _LARGEST:
        return False
    try:
        if kind == ".npy":
            return _npy_header(content)[0] in [(k, 3) for k in _FIRST]
        if kind != ".json":
            return _are_points([row for _, row in table_rows(_text(content))])
        told = json.loads(content)
        if isinstance(told, list):
            return _are_points(told)
        if told.get("landmarks") or told.get("groups"):
            return True
        return any(_are_points(_positions(markup)) for markup in told.get("markups", ()))
    except Exception:  # whatever makes the reader stumble
        named = re.search('"(landmarks|groups|controlPoints)"', _text(content))
        return kind == ".json" and named is not None


def read_landmarks(path: Path) -> FloatArray:
    """Landmarks (43, 3) of a file, in its own unit, NaN where one is not known.

    JSON   rows, {"landmarks": rows}, menpo's (.ljson), or 3D Slicer's (.mrk.json)
    .npy   an array of real numbers
    .pp    MeshLab's picked points: by their names if all are whole numbers; inactive are unknown
    table  any other file: columns x, y, z by their headings, or else the three of numbers, which an
           index may precede; .pts of ibug and .fcsv of 3D Slicer are such tables

    Units in headings, and whether 3D Slicer says LPS or RAS, mean nothing: the numbers must be
    those of the scan's file. Raises `LandmarkFileError`.
    """
    content, kind = _content(path), path.suffix.lower()
    try:
        if len(content) > _LARGEST:
            raise LandmarkFileError(
                f"{path} has more than {_LARGEST} bytes: too many for landmarks"
            )
        if kind in (".ljson", ".json"):
            return _from_json(json.loads(content), path)
        if kind == ".npy":
            return forty_three(_from_npy(content, path), str(path))
        if kind == ".pp":
            return forty_three(_from_pp(content, path), str(path))
        return forty_three(_from_table(_text(content), path), str(path))
    except LandmarkFileError:
        raise
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise LandmarkFileError(f"cannot read landmarks from {path}: {error!r}") from error


def write_landmarks(landmarks: FloatArray) -> str:
    """Landmarks (43, 3) as the JSON that `read_landmarks` takes; unknown ones are null."""
    rows = [p if np.isfinite(p).all() else [None] * 3 for p in np.asarray(landmarks).tolist()]
    return json.dumps({"landmarks": rows}, indent=1) + "\n"


def forty_three(points: ArrayLike, source: str) -> FloatArray:
    """Landmarks (43, 3) from so many rows, or from more in dlib's order.

    Of 68 rows the 18th to 60th are kept, without jaw and inner lips; of 51, which have no jaw, the
    first 43. Raises `LandmarkFileError` for other shapes, infinite numbers, and mirrored faces.
    """
    try:
        rows = np.array(points, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise LandmarkFileError(
            f"{source}: the rows must have three numbers each: {error}"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != 3 or len(rows) not in _FIRST:
        flat = rows.ndim == 2 and rows.shape[1] == 2
        hint = "; points of a picture, x and y, are not points of a scan" if flat else ""
        raise LandmarkFileError(
            f"{source}: landmarks of shape {rows.shape}; expected ({N_LANDMARKS}, 3), or in dlib's "
            f"order (68, 3), or (51, 3) without the jaw{hint}"
        )
    rows = rows[_FIRST[len(rows)] :][:N_LANDMARKS]
    if np.isinf(rows).any():
        raise LandmarkFileError(f"{source}: the coordinates must not be infinite")
    rows[np.isnan(rows).any(axis=1)] = np.nan
    proper, mirrored = misfits(rows)
    if proper - mirrored > _MIRRORED:
        raise LandmarkFileError(
            f"{source}: left and right are exchanged: a mirrored face fits to {mirrored:.1f} mm, a "
            f"face to {proper:.1f} mm; dlib's order starts at the subject's right, unless the scan "
            "itself is mirrored"
        )
    return rows


def check_near(landmarks: FloatArray, vertices: FloatArray, source: str) -> None:
    """Raise `LandmarkFileError` for landmarks that do not lie on the scan's vertices (n, 3), mm."""
    known = landmarks[np.isfinite(landmarks).all(axis=1)]
    if len(known) == 0:
        raise LandmarkFileError(f"{source}: all landmarks are NaN")
    distance = float(np.median(cKDTree(vertices).query(known)[0]))
    if distance > _FAR:
        raise LandmarkFileError(
            f"{source}: the landmarks are {distance:.4g} mm from the scan; they belong to another "
            "scan, or are in another unit"
        )


def misfits(landmarks: FloatArray) -> tuple[float, float]:
    """How unlike a face's landmarks (43, 3) are, of any size, place and orientation: RMS in mm.

    The distance from the standard template's landmarks after the best similarity, at the template's
    size, and the same after the best that mirrors: 2 to 9 for faces with all kinds of expressions,
    about 40 for shuffled rows. NaN rows are left out; both are NaN if fewer than `ENOUGH` are
    known, or all lie on a line.
    """
    template = standard()
    known = np.isfinite(landmarks).all(axis=1) & (template.landmarks >= 0)
    if known.sum() < ENOUGH or landmarks.shape[1] != 3:
        return math.nan, math.nan
    a, b = landmarks[known], template.vertices[template.landmarks[known]]
    a = a / (np.abs(a).max() or 1.0)  # squares do not overflow
    try:
        fitted = [similarity(a, b, mirrored=turned).apply(a) for turned in (False, True)]
    except TooFewPointsError:
        return math.nan, math.nan
    proper, mirrored = (math.sqrt(((c - b) ** 2).sum() / len(b)) for c in fitted)
    return proper, mirrored


def _content(path: Path) -> bytes:
    """The file's first bytes: one more than it may have."""
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except OSError as error:
        raise LandmarkFileError(f"cannot read {path}: {error.strerror or error}") from error


def _text(content: bytes) -> str:
    """UTF-16 if it begins with its mark, else UTF-8; what is not is in names at most."""
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def _are_points(rows: Sequence[Any]) -> bool:
    """Whether there are so many rows as landmarks, and most have three numbers or more."""
    good = [isinstance(row, list) and len(row) > 2 and None not in map(value, row) for row in rows]
    return len(rows) in _FIRST and 2 * sum(good) > len(rows)


def _from_table(text: str, path: Path) -> list[list[str]]:
    rows = table_rows(text)
    for line, row in rows:
        for cell in row:
            if value(cell) is None:
                raise LandmarkFileError(f"{path}, line {line}: {cell!r} is not a number")
    stated = re.search(r"n_points\s*:\s*(\d+)", text)
    if stated and int(stated[1]) != len(rows):
        raise LandmarkFileError(f"{path} has {len(rows)} rows, but says {stated[0]!r}")
    return [row for _, row in rows]


def _npy_header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran's order, type, and where the numbers begin."""
    file = io.BytesIO(content)
    old = npy.read_magic(file) == (1, 0)
    header = (npy.read_array_header_1_0 if old else npy.read_array_header_2_0)(file)
    return (*header, file.tell())


def _from_npy(content: bytes, path: Path) -> FloatArray:
    shape, fortran, dtype, start = _npy_header(content)
    if dtype.kind not in "iuf":
        raise LandmarkFileError(f"{path} has numbers of type {dtype}; save it with astype(float)")
    values = np.frombuffer(content, dtype, math.prod(shape), start)
    return values.reshape(shape, order="F" if fortran else "C").astype(np.float64)


def _from_pp(content: bytes, path: Path) -> list[list[float]]:
    points: list[tuple[str, list[float]]] = []
    parser = expat.ParserCreate()

    def start(tag: str, of: dict[str, str]) -> None:
        if tag != "point":
            return
        try:
            active = of.get("active", "1").lower() not in ("0", "false")
            points.append(
                (of.get("name", ""), [float(of[k]) if active else math.nan for k in "xyz"])
            )
        except (KeyError, ValueError) as error:
            raise LandmarkFileError(
                f"{path}, line {parser.CurrentLineNumber}: a point needs numbers x, y and z: {of}"
            ) from error

    def refuse(*_: Any) -> None:
        raise LandmarkFileError(f"{path} declares entities: MeshLab writes none; remove them")

    parser.StartElementHandler, parser.EntityDeclHandler = start, refuse
    parser.Parse(content, True)
    if all(name.isdecimal() for name, _ in points):
        points.sort(key=lambda point: int(point[0]))
    return [point for _, point in points]


def _from_json(content: Any, path: Path) -> FloatArray:
    """Landmarks from parsed JSON: rows, {"landmarks": rows}, menpo's groups, 3D Slicer's lists."""
    for key in ("groups", "markups"):
        if isinstance(content, dict) and content.get(key):
            if len(content[key]) > 1:
                raise LandmarkFileError(
                    f"{path} has {len(content[key])} {key}; expected a single one"
                )
            if key == "markups":
                return forty_three(_positions(content[key][0]), str(path))
            content = next(iter(content[key].values()))
    if not isinstance(content, dict):
        return forty_three(content, str(path))
    points = content["landmarks"]
    if isinstance(points, dict):
        points = points["points"]
    labels = content.get("labels") or []
    named = any("brow" in label["label"].lower() for label in labels)  # or a single one: all
    return _by_labels(points, labels, path) if named else forty_three(points, str(path))


def _positions(markup: dict[str, Any]) -> list[Any]:
    """Rows of a list of points of 3D Slicer; those not placed are unknown."""
    return [
        p["position"] if p.get("positionStatus", "defined") == "defined" else [math.nan] * 3
        for p in markup.get("controlPoints", ())
    ]


def _by_labels(points: ArrayLike, labels: list[dict[str, Any]], path: Path) -> FloatArray:
    """The 43 landmarks from groups of points with names such as leye and nose, in any order.

    In each the points are in dlib's order. Whose left is meant differs: of the brows, and of the
    eyes, that comes first which makes a face.
    """
    rows = np.array(points, dtype=np.float64)
    parts = []
    for name, count, size in _GROUPS:
        groups = [
            rows[label["mask"]]
            for label in labels
            if name in label["label"].lower()
            and not (name == "eye" and "brow" in label["label"].lower())
            and not (name == "mouth" and "inner" in label["label"].lower())
        ]
        if [len(group) for group in groups] != [size] * count:
            raise LandmarkFileError(
                f"{path}: groups of {[len(g) for g in groups]} points are labelled {name!r}; "
                f"expected {[size] * count}"
            )
        parts.append(groups)
    parts[-1] = [parts[-1][0][:12]]  # without the inner lips
    orders = itertools.product(*map(itertools.permutations, parts))
    faces = [np.concatenate([g for groups in order for g in groups]) for order in orders]
    return forty_three(min(faces, key=lambda face: min(misfits(face))), str(path))
