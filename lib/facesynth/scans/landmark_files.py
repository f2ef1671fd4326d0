"""The 43 landmarks of a scan, from the files in which people keep them.

Points come as 43 rows x, y, z, as 68 in dlib's order, or as 68 in groups with names, the form
(.ljson) of menpo. The geometry determines the subject's left and right.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from facesynth.scans.parts import LandmarkFileError
from facesynth.surface.mesh import FloatArray
from facesynth.template import FIRST_OF_68, N_LANDMARKS

SUFFIXES = (".ljson", ".json", ".csv", ".txt")
# The rows of dlib's 68 that are kept: without jaw and inner lips.
_OF_68 = slice(FIRST_OF_68, FIRST_OF_68 + N_LANDMARKS)
_FAR = 30.0  # mm from the scan at which landmarks belong to something else
_BROWS = slice(0, 5), slice(5, 10)  # at the subject's right and left, among the 43
_GROUPS = (("brow", 2, 5), ("nose", 1, 9), ("eye", 2, 6), ("mouth", 1, 20))  # name, how many, size


def landmarks_beside(path: Path) -> Path | None:
    """The landmarks' file of the same stem as a scan's, if there is one."""
    found = [path.with_suffix(suffix) for suffix in SUFFIXES if path.with_suffix(suffix).is_file()]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise LandmarkFileError(f"{names} are all beside {path}; choose one with `landmarks`")
    return found[0] if found else None


def read_landmarks(path: Path) -> FloatArray:
    """Landmarks (43, 3) of a file, in its own unit, NaN where one is not known.

    Raises `LandmarkFileError`.
    """
    try:
        if path.suffix.lower() in (".ljson", ".json"):
            return _from_json(json.loads(path.read_text(encoding="utf-8")), path)
        rows = [
            line.replace(",", " ").replace(";", " ").split()
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if rows and rows[0][-1].isalpha() and rows[0][-1].lower() != "nan":
            rows = rows[1:]  # a heading
        return forty_three([row[-3:] for row in rows], str(path))
    except LandmarkFileError:
        raise
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise LandmarkFileError(f"cannot read landmarks from {path}: {error!r}") from error


def write_landmarks(landmarks: FloatArray) -> str:
    """Landmarks (43, 3) as the JSON that `read_landmarks` takes; unknown ones are null."""
    rows = [p if np.isfinite(p).all() else [None] * 3 for p in np.asarray(landmarks).tolist()]
    return json.dumps({"landmarks": rows}, indent=1) + "\n"


def forty_three(points: ArrayLike, source: str) -> FloatArray:
    """Landmarks (43, 3) from so many rows, or from 68 in dlib's order.

    Raises `LandmarkFileError` for other shapes, infinite numbers, and mirrored faces.
    """
    try:
        rows = np.array(points, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise LandmarkFileError(
            f"{source}: the rows must have three numbers each: {error}"
        ) from error
    if rows.shape == (68, 3):
        rows = rows[_OF_68]
    if rows.shape != (N_LANDMARKS, 3):
        raise LandmarkFileError(
            f"{source}: landmarks of shape {rows.shape}; expected ({N_LANDMARKS}, 3), or (68, 3) "
            "in dlib's order"
        )
    if np.isinf(rows).any():
        raise LandmarkFileError(f"{source}: the coordinates must not be infinite")
    rows[np.isnan(rows).any(axis=1)] = np.nan
    right, left = (rows[brow, 0] for brow in _BROWS)
    known = np.isfinite(right).any() and np.isfinite(left).any()
    if known and np.nanmean(right) > np.nanmean(left):
        raise LandmarkFileError(
            f"{source}: the subject's right brow has the larger x; dlib's order starts at the left "
            "of the picture, and the scan must face +z with y up"
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


def _from_json(content: Any, path: Path) -> FloatArray:
    """Landmarks from parsed JSON: rows, {"landmarks": rows}, or menpo's groups."""
    if isinstance(content, dict) and content.get("groups"):
        if len(content["groups"]) > 1:
            raise LandmarkFileError(
                f"{path} has groups {sorted(content['groups'])}; expected a single one"
            )
        content = next(iter(content["groups"].values()))
    if not isinstance(content, dict):
        return forty_three(content, str(path))
    points = content["landmarks"]
    if isinstance(points, dict):
        points = points["points"]
    labels = content.get("labels")
    return _by_labels(points, labels, path) if labels else forty_three(points, str(path))


def _by_labels(points: ArrayLike, labels: list[dict[str, Any]], path: Path) -> FloatArray:
    """The 43 landmarks from groups of points with names such as leye and nose, in any order.

    Brows run along x and eyes begin at the corner of the smaller x, as dlib's do.
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
        parts += sorted(groups, key=lambda group: float(np.nanmean(group[:, 0])))
    parts[-1] = parts[-1][:12]  # without the inner lips
    return forty_three(np.concatenate(parts), str(path))
