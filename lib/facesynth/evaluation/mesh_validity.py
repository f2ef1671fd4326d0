"""Whether generated meshes are faces: four measures that are compared with those of scans.

Nothing guarantees that a generated image maps back to a valid surface: it could fold over, tear, or
be no face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.morphable_model import Floats, MorphableModel
from facesynth.surface.mesh import IntArray, edges

UNITS = {
    "flipped": "flipped triangles (%)",
    "stretched": "most stretched edge (ratio)",
    "distance": "Mahalanobis distance",
    "residual": "residual of the model (mm, r.m.s.)",
}


@dataclass(frozen=True)
class Validity:
    """What is measured of each of n meshes (n,); `UNITS` names it.

    flipped    share of triangles whose normal points away from that of the mean face
    stretched  longest edge, in lengths of the mean face's
    distance   of the coefficients in the morphable model from the mean, in standard deviations
    residual   what the morphable model cannot represent
    """

    flipped: NDArray[np.floating]
    stretched: NDArray[np.floating]
    distance: NDArray[np.floating]
    residual: NDArray[np.floating]


def validity(vertices: Floats, faces: IntArray, mean: Floats, model: MorphableModel) -> Validity:
    """Measure meshes (n, m, 3) of triangles (f, 3), beside a mean face (m, 3) and a model."""
    turned = (_normals(vertices, faces) * _normals(mean[None], faces)).sum(axis=2) < 0
    longer = _lengths(vertices, faces) / _lengths(mean[None], faces)
    rows = vertices.reshape(len(vertices), -1)
    coefficients = model.transform(rows)
    outside = rows - model.inverse_transform(coefficients)
    return Validity(
        100 * turned.mean(axis=1),
        longer.max(axis=1),
        model.mahalanobis(coefficients),
        np.sqrt(3 * np.square(outside).mean(axis=1)),
    )


def beyond(
    kinds: Sequence[NDArray[np.floating]],
    plain: NDArray[np.floating],
    subjects: ArrayLike,
    seed: int = 0,
) -> Measured:
    """By how much the worst median of some kinds (n,) exceeds what nine in ten of `plain` have.

    All are of the same subjects (n,), over whom the interval is.
    """
    return intervals.statistic(
        lambda rows: float(
            max(np.median(values[rows]) for values in kinds) - np.quantile(plain[rows], 0.9)
        ),
        subjects,
        seed,
    )


def _normals(vertices: Floats, faces: IntArray) -> Floats:
    """Normals (n, f, 3) as long as triangles are large, twice."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _lengths(vertices: Floats, faces: IntArray) -> Floats:
    first, second = edges(faces).T
    return np.linalg.norm(vertices[:, first] - vertices[:, second], axis=2)
