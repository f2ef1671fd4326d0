"""How good an aligned scan is, and what is doubtful about it.

A scan of another size, with its picture upside down, or with landmarks at other places than the
face's, is aligned, too, and looks like nobody. Some numbers tell, each from another side:

    size       of the face over the mean face's
    landmarks  mm, how far the scan's landmarks are from the aligned template's, root mean square
    seen       mm, how far from there the detector sees them in a picture of the scan that is not
               shaded, in which only the photographs count: median
    surface    mm from the template to the scan, median
    modes      how far the face is from the mean one in standard deviations of its modes, root mean
               square: 1 is usual
    valid      share of the canonical image that the scan shows
    features   share of the landmarks at which it does

Found in a picture of the shape alone, of a scan without a texture, `landmarks` and `seen` are named
`landmarks_of_shape` and `seen_in_shape`, and may be larger: a detector made for photographs sees
eyes less well in clay. Landmarks that came with the scan are held to the usual bound.
Bounds on them were set on scans of the open population, all of which are good, and on the same
scans spoilt in known ways.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from facesynth.alignment import deformation
from facesynth.dataset.canonical import Canonical
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.scans import ScanError, landmarks
from facesynth.scans.posture import Recognised
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray
from facesynth.surface.similarity import similarity
from facesynth.template import Template, standard

Numbers = dict[str, float]


class QualityError(ScanError):
    """A scan that could be aligned with the template, and is not of a face as people have it."""


AROUND = 2  # pixels around a landmark in which something must be valid
RIDGE = 1.0  # of coefficients in standard deviations, against a misfit in mm
_OFF = "landmarks are {:.1f} mm (root mean square) from where the aligned face has them"
# quantity -> the least and the most of scans that are not doubtful, of those that are used at all,
# and what is said of one beyond
BOUNDS: Mapping[str, tuple[tuple[float, float], tuple[float, float], str]] = {
    "size": ((0.84, 1.2), (0.7, 1.4), "the face is {:.3g} times as large as a mean face"),
    "landmarks": ((0, 5.0), (0, 25.0), _OFF),
    "landmarks_of_shape": ((0, 9.0), (0, 25.0), _OFF),
    "seen_in_shape": (
        (0, 9.0),
        (0, np.inf),
        "landmarks are seen on it {:.1f} mm from where the aligned face has them (inf: no face is "
        "seen)",
    ),
    "seen": (
        (0, 4.5),
        (0, np.inf),
        "landmarks are seen in its picture {:.1f} mm from where the shape has them (inf: no face "
        "is seen): is the picture upside down, mirrored, or another's?",
    ),
    "surface": ((0, 0.5), (0, 3.0), "its surface is {:.2f} mm from the aligned face"),
    "modes": ((0, 2.0), (0, 8.0), "its shape is {:.1f} times as far from the mean as faces are"),
    "valid": ((0.7, 1), (0.2, 1), "only {:.0%} of the face are shown"),
    "features": ((0.75, 1), (0.3, 1), "only {:.0%} of the eyes, nose and mouth are shown"),
}


def measure(
    found: Recognised, vertices: FloatArray, canonical: Canonical, mapping: UniversalMapping
) -> Numbers:
    """The quantities of an aligned scan, of its template's vertices (m, 3) in the scan's frame.

    NaN where one does not apply: a template without modes, no face in the picture.
    """
    template, surface = mapping.template, found.surface
    marked = template.at_detected if found.detected else template.at_landmarks
    known = abs(template.at_landmarks).sum(axis=1) > 0
    off = np.linalg.norm(marked @ vertices - found.landmarks, axis=1)[known]
    places = surface.nearest(vertices)
    gap = np.linalg.norm(surface.points(places) - vertices, axis=1)[~surface.on_border(places)]
    textured = surface.scan.has_texture
    sure = textured or not found.detected
    return {
        "size": found.size,
        "landmarks" if sure else "landmarks_of_shape": float(np.sqrt(np.nanmean(off**2))),
        "seen" if textured else "seen_in_shape": seen(surface, template, vertices),
        "surface": float(np.median(gap)) if len(gap) else np.inf,
        "modes": _modes(vertices, template),
        "valid": float(canonical.valid.mean()),
        "features": _features(canonical, mapping),
    }


def doubts(numbers: Mapping[str, float], beyond_reason: bool = False) -> list[str]:
    """What is doubtful, or beyond reason, in plain words with the numbers."""
    return [
        text.format(numbers[name])
        for name, (usual, reasonable, text) in BOUNDS.items()
        for low, high in [reasonable if beyond_reason else usual]
        if not low <= numbers.get(name, low) <= high and not np.isnan(numbers[name])
    ]


def told(numbers: Numbers) -> dict[str, Any]:
    """The numbers to three digits, null where there is none, and what is doubtful."""
    rounded = {
        name: float(f"{value:.3g}") if np.isfinite(value) else None
        for name, value in numbers.items()
    }
    return rounded | {"doubtful": doubts(numbers)}


def seen(surface: ScannedSurface, template: Template, vertices: FloatArray) -> float:
    """How far (mm) the landmarks in a picture of the scan are from those of vertices (m, 3).

    Infinite where no face is seen.
    """
    expected = template.at_detected @ vertices
    expected[abs(template.at_landmarks).sum(axis=1) == 0] = np.nan
    off = landmarks.disagreement(surface, expected)
    return np.inf if off is None else float(np.nanmedian(off))


def _features(canonical: Canonical, mapping: UniversalMapping) -> float:
    """Share of the template's landmarks around which the scan shows something."""
    size, template = mapping.resolution, mapping.template
    marked = template.at_landmarks[template.known]
    column, row = ((marked @ mapping.uv) * [1, -1] + [0, 1]).T * size
    shown = []
    for x, y in zip(column, row, strict=True):
        around = np.s_[
            max(0, int(y) - AROUND) : int(y) + AROUND + 1,
            max(0, int(x) - AROUND) : int(x) + AROUND + 1,
        ]
        shown.append(canonical.valid[around].any())
    return float(np.mean(shown))


def _modes(vertices: FloatArray, template: Template) -> float:
    """Root mean square of the coefficients of the face modes; NaN for another template."""
    if template != standard():
        return np.nan
    mean, solve = _projection()
    face = similarity(vertices, mean).apply(vertices)
    coefficients = solve @ (face - mean).ravel()
    return float(np.sqrt(np.mean(coefficients**2)))


@functools.cache
def _projection() -> tuple[FloatArray, FloatArray]:
    """The mean face (m, 3), and the operator (k, 3m) to coefficients."""
    found = deformation.of_faces()
    k = found.modes.shape[2] - deformation.smooth(standard()).modes.shape[2]
    flat = np.asarray(found.modes[..., :k], np.float64).reshape(-1, k)
    normal = flat.T @ flat + RIDGE * len(flat) / 1000 * np.eye(k)
    mean = standard().vertices + found.mean
    return mean, np.asarray(np.linalg.solve(normal, flat.T), np.float64)
