"""How people's landmarks move when they smile, seen from the front."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesynth.people.real_data import Portrait
from facesynth.people.shape_free import PUPILS
from facesynth.scans import landmarks
from facesynth.surface.mesh import FloatArray, MeshArrayError

# Numbers of the 43 landmarks: brows 0 to 9, nose to 18, eyes to 30, lips to 42.
CORNERS_OF_EYES = ((19, 22), (25, 28))
STILL = (10, 11, 12, 19, 22, 25, 28)  # bridge of the nose and corners of the eyes
CORNERS_OF_MOUTH = (31, 37)
UPPER_LIP = 34


def detected(portraits: list[Portrait]) -> FloatArray:
    """The 43 landmarks (n, 43, 2) of photographs: pixels of half the resolution, y up.

    Raises `scans.landmarks.NoFaceError`.
    """
    halved = (np.ascontiguousarray(person.read()[::2, ::2]) for person in portraits)
    return np.stack([landmarks.in_photograph(image) * [1, -1] for image in halved])


def in_mm(rest: ArrayLike, smiling: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Landmarks of neutral faces (n, 43, 2), and by how much a smile moves each, in mm.

    rest, smiling : the same n people, y up, each picture in its own unit and place. Smiling faces
    are brought to neutral ones by a similarity of what a smile does not move; faces are at the mean
    of it, and have pupils `PUPILS` apart. Raises `MeshArrayError` for other shapes.
    """
    a, b = np.asarray(rest, np.float64), np.asarray(smiling, np.float64)
    if a.shape != b.shape or a.shape[1:] != (43, 2):
        raise MeshArrayError(f"landmarks {a.shape} and {b.shape} must be pairs, (n, 43, 2) each")
    at_rest, moved = _centred(a), _centred(b)
    right, left = (at_rest[:, corners].mean(axis=1) for corners in CORNERS_OF_EYES)
    at_rest *= (PUPILS / np.abs(left - right))[:, None]
    still, theirs = at_rest[:, STILL], moved[:, STILL]
    turn = (theirs.conj() * still).sum(axis=1) / np.square(np.abs(theirs)).sum(axis=1)
    moved = moved * turn[:, None] - at_rest  # a complex factor turns and scales
    return _as_xy(at_rest), _as_xy(moved)


def measured(moves: FloatArray) -> dict[str, NDArray[np.float64]]:
    """What moves (n, 43, 2) of landmarks amount to: (n,) each, in their unit."""
    right, left = CORNERS_OF_MOUTH
    return {
        "mouth wider by": moves[:, left, 0] - moves[:, right, 0],
        "corners of the mouth up by": moves[:, CORNERS_OF_MOUTH, 1].mean(axis=1),
        "upper lip up by": moves[:, UPPER_LIP, 1],
        "brows up by": moves[:, :10, 1].mean(axis=1),
    }


def _centred(points: FloatArray) -> NDArray[np.complex128]:
    """Points (n, 43) in the complex plane, with the mean of the still ones at 0."""
    plane = points @ [1, 1j]
    return np.asarray(plane - plane[:, STILL].mean(axis=1, keepdims=True))


def _as_xy(plane: NDArray[np.complex128]) -> FloatArray:
    return np.stack([plane.real, plane.imag], axis=-1)
