"""Similarities: how points are moved, turned and scaled on to others."""

from dataclasses import dataclass

import numpy as np

from facesynth.surface.mesh import FloatArray


@dataclass(frozen=True)
class Similarity:
    """x -> s R x + t: a uniform `scale`, a `rotation` (3, 3) and a `translation` (3,) in mm."""

    scale: float
    rotation: FloatArray
    translation: FloatArray

    def apply(self, points: FloatArray) -> FloatArray:
        """Points (..., 3) moved."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)

    def inverse(self) -> "Similarity":
        """The inverse similarity."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)


class TooFewPointsError(ValueError):
    """Fewer than three pairs of known points, or all of them collinear."""


def similarity(source: FloatArray, target: FloatArray, mirrored: bool = False) -> Similarity:
    """The least-squares similarity from points (k, 3) to others (k, 3).

    In closed form (Umeyama 1991). Pairs with a NaN are left out. Raises `TooFewPointsError`.

    mirrored : the rotation is to be one with a reflection
    """
    known = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1)
    a, b = source[known], target[known]
    if len(a) < 3:
        raise TooFewPointsError(f"{len(a)} pairs of known points; a similarity needs three")
    from_a, from_b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(from_b.T @ from_a)
    if min(_second(from_a), _second(from_b)) < 1e-9:
        raise TooFewPointsError("points on a line leave the rotation undetermined")
    turning = np.sign(np.linalg.det(u @ vt))  # -1: it would be a reflection
    signs = np.array([1.0, 1.0, -turning if mirrored else turning])
    rotation = u * signs @ vt
    scale = float((s * signs).sum() / (from_a**2).sum())
    translation = b.mean(axis=0) - scale * rotation @ a.mean(axis=0)
    return Similarity(scale, rotation, translation)


def _second(centred: FloatArray) -> float:
    values = np.linalg.svd(centred, compute_uv=False)
    return float(values[1] / values[0]) if values[0] > 0 else 0.0
