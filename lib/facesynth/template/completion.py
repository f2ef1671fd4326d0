"""What a template needs besides a mesh and its landmarks: checked, or found from these."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from facesynth.files.units import MM
from facesynth.surface.holes import fill_holes
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshError,
    check_arrays,
    check_disk,
    contained,
)
from facesynth.template.files import members
from facesynth.template.parts import ENOUGH, LANDMARKS, TemplateLandmarkError, TemplateSizeError

OUTER_CORNERS = LANDMARKS.index("right_eye_1"), LANDMARKS.index("left_eye_4")
EYE_TO_EYE = (60.0, 130.0)  # mm between the outer corners of the eyes, of children and adults
SYMMETRIC = 1e-6  # of the template's extent: differences of a mirror image that rounding explains
# Landmarks around a feature, and the distance in mm over which its region fades out, from and to.
AROUND = {
    "eyes": (slice(19, 31), 4, 12),
    "nose": (slice(10, 19), 6, 14),
    "lips": (slice(31, 43), 1, 5),
}
HOLES = {"right_eye": slice(19, 25), "left_eye": slice(25, 31), "mouth": slice(31, 43)}


def complete(
    vertices: ArrayLike,
    faces: ArrayLike,
    landmarks: IntArray,
    regions: Mapping[str, FloatArray],
    name: str,
) -> dict[str, Any]:
    """The fields of a `Template` from a mesh (m, 3) in mm and (f, 3) with landmarks (43,) or -1.

    Fills holes, looks for mirror symmetry, and takes regions that are not given from the landmarks.
    Raises `TemplateError` and its subclasses, and `MeshError` where the mesh is no disk.
    """
    try:
        points, triangles = check_arrays(vertices, faces)
        triangles, rims = fill_holes(points, triangles)
        loop = check_disk(points, triangles)
    except MeshError as error:
        raise type(error)(f"{name}: {error}") from error
    _check_landmarks(points, landmarks, name)
    filled = _named(rims, points, landmarks)
    given = dict(regions)
    for hole in {"right_eye", "left_eye", "mouth"} & set(filled):
        given.setdefault(hole, members(filled[hole], len(points)))
    for region in AROUND:
        if region not in given and len(_known(landmarks, AROUND[region][0])):
            given[region] = _around(points, landmarks, region)
    mirror = _mirror(points, triangles)
    middle = 0.0 if mirror is not None else points[_known(landmarks), 0].mean()
    below = points[loop, 1] < np.median(points[loop, 1])
    off = np.where(below, np.abs(points[loop, 0] - middle), np.inf)
    return {
        "vertices": points,
        "faces": triangles,
        "landmarks": landmarks,
        "mirror": mirror,
        "boundary": np.roll(loop, -int(off.argmin())),
        "regions": given,
        "filled": filled,
    }


def _known(landmarks: IntArray, numbers: slice | IntArray = slice(None)) -> IntArray:
    """The vertices (k,) of those of the landmarks with these numbers that are known."""
    return landmarks[numbers][landmarks[numbers] >= 0]


def _check_landmarks(points: FloatArray, landmarks: IntArray, name: str) -> None:
    known = _known(landmarks)
    if len(known) < ENOUGH:
        raise TemplateLandmarkError(
            f"{name} has {len(known)} landmarks; {ENOUGH} or more are needed to align scans, and "
            "corners of the eyes and the mouth and the tip of the nose are the best"
        )
    right, left = landmarks[list(OUTER_CORNERS)]
    if right < 0 or left < 0:
        missing = [LANDMARKS[k] for k in OUTER_CORNERS if landmarks[k] < 0]
        raise TemplateLandmarkError(
            f"{name} lacks {' and '.join(missing)}, the outer corners of the eyes, which give its "
            "size; add them to the table"
        )
    across = points[left] - points[right]
    size = float(np.linalg.norm(across))
    low, high = EYE_TO_EYE
    if not low <= size <= high:
        fits = [f"unit={u!r}" for u, mm in MM.items() if low <= size * mm <= high]
        advice = f"; is it in another unit? load it with {fits[0]}" if fits else "; scale it"
        raise TemplateSizeError(
            f"{name}: its eyes' outer corners are {size:.4g} mm apart, and {low:g} to {high:g} mm "
            f"is human{advice}"
        )
    lower = _known(landmarks, np.r_[AROUND["nose"][0], AROUND["lips"][0]])
    eyes = (points[left] + points[right]) / 2
    upright = across[0] > 0.9 * size and (not len(lower) or points[lower, 1].mean() < eyes[1])
    if not upright:
        raise TemplateSizeError(
            f"{name} does not look along +z with y up: the right eye is at {points[right].round(1)}"
            f" mm and the left one at {points[left].round(1)}; turn it, or swap left and right in "
            "the table (right is the subject's right, at smaller x)"
        )


def _named(rims: list[IntArray], points: FloatArray, landmarks: IntArray) -> dict[str, IntArray]:
    """The holes that were filled, called by the landmarks that they are nearest to."""
    names: dict[str, IntArray] = {}
    for k, rim in enumerate(rims):
        centre = points[rim].mean(axis=0)
        away = {}
        for name, numbers in HOLES.items():
            known = _known(landmarks, numbers)
            if name not in names and len(known):
                away[name] = float(np.linalg.norm(points[known].mean(axis=0) - centre))
        near = min(away, key=lambda n: away[n], default="")
        names[near if near and away[near] < 20 else f"hole {k + 1}"] = rim
    return names


def _around(points: FloatArray, landmarks: IntArray, region: str) -> FloatArray:
    """Membership (m,): 1 at a feature's landmarks and between them, fading with the distance."""
    numbers, near, far = AROUND[region]
    known = _known(landmarks, numbers)
    halves = np.array_split(known, 2) if region == "eyes" else [known]
    share = np.linspace(0, 1, 9)[:, None, None]
    between = []
    for part in halves:
        if len(part):
            spokes = points[part] + share * (points[part].mean(axis=0) - points[part])
            rim = points[part] + share * (points[np.roll(part, -1)] - points[part])
            between += [spokes.reshape(-1, 3), rim.reshape(-1, 3)]
    distance = cKDTree(np.concatenate(between)).query(points)[0]
    return np.clip((far - distance) / (far - near), 0, 1)


def _mirror(points: FloatArray, faces: IntArray) -> IntArray | None:
    """The mirror permutation (m,) of a template that is its own mirror image, else None."""
    away, mirror = cKDTree(points).query(points * [-1, 1, 1])
    every = np.arange(len(points))
    if away.max() > SYMMETRIC * np.ptp(points) or not np.array_equal(mirror[mirror], every):
        return None
    return mirror if contained(faces, mirror[faces[:, ::-1]]).all() else None
