"""Widths and heights of faces, as surveys of people measure them, and what the surveys found."""

import functools

import numpy as np

from facesynth.population.tables import table
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import LANDMARKS, standard

# name -> gender -> mean and standard deviation of people
PEOPLE: dict[str, dict[str, list[float]]] = table("sizes.toml")
# mm behind the eyes' outer corners up to where a cheek is measured: a caliper finds the cheekbones'
# arches in front of the ears
CHEEK_DEPTH = 60.0
NOSE = 0.9  # least membership of the nose's wings: the skin beside them belongs to it by less
ABOVE_WINGS = 6.0  # mm over the nose's tip up to where its wings are measured


def sizes(faces: FloatArray) -> dict[str, FloatArray]:
    """The measures of `PEOPLE` on faces (n, m, 3) in mm, turned as the template: name -> (n,)."""
    cheeks, wings, menton = _places()
    eyes = [faces[:, _landmarks(f"{side}_eye_", range(1, 7))].mean(1) for side in ("right", "left")]
    corners = faces[:, _landmarks("mouth_", (1, 7))]
    pupils = np.linalg.norm(eyes[0] - eyes[1], axis=1)
    sellion = faces[:, _landmarks("nose_bridge_", [1])[0]]
    down = (eyes[0] + eyes[1] - corners.sum(1))[:, 1] / 2
    found = (
        np.ptp(faces[:, cheeks, 0], axis=1),
        np.linalg.norm(sellion - faces[:, menton], axis=1),
        pupils,
        np.ptp(faces[:, wings, 0], axis=1) / pupils,
        np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1) / pupils,
        down / pupils,
    )
    return dict(zip(PEOPLE, found, strict=True))


def _landmarks(prefix: str, numbers: range | tuple[int, ...] | list[int]) -> IntArray:
    return standard().landmarks[[LANDMARKS.index(f"{prefix}{k}") for k in numbers]]


@functools.cache
def _places() -> tuple[IntArray, IntArray, int]:
    """Vertices of the cheeks (k,) and of the nose's wings (l,), and the menton.

    The cheeks are what lies between the heights of the eyes and of the nose's base. The menton, the
    lowest point of the chin's bone, is where the midline's profile has turned back by half a right
    angle: the profile has no lowest point, as below it skin goes on to the neck.
    """
    face = standard()
    vertices = face.vertices
    y, z = vertices[:, 1], vertices[:, 2]
    base, eye = (
        vertices[_landmarks("nose_base_", [3])[0]],
        vertices[_landmarks("left_eye_", [4])[0]],
    )
    cheeks = (y > base[1]) & (y < eye[1]) & (z > eye[2] - CHEEK_DEPTH)
    tip = y[_landmarks("nose_bridge_", [4])[0]]
    wings = (face.regions["nose"] > NOSE) & (y < tip + ABOVE_WINGS)
    below = y < y[_landmarks("mouth_", [10])[0]]
    profile = np.flatnonzero((np.abs(vertices[:, 0]) < 1e-6) & below)
    profile = profile[np.argsort(-y[profile])]
    back = np.diff(z[profile]) / np.diff(y[profile])
    menton = profile[1:][np.abs(back - 1).argmin()]
    return np.flatnonzero(cheeks), np.flatnonzero(wings), int(menton)
