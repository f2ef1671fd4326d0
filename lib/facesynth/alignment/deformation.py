r"""Smooth deformations of the template: what the third term of Section 5.2's energy allows.

"The third term serves as a regularization, and penalizes non-smooth deformations." A quadratic
penalty on deformations is minus the logarithm of a Gaussian distribution over them, and the modes
of that distribution say what is cheap: a deformation u = μ + Φ a costs |a|². Two are made here.

`smooth` knows nothing of faces: displacements of nearby points are alike, at three distances, and
those of mirrored points are alike too. `of_faces` adds how faces differ, which is known of the
standard template alone, from faces whose every point is known. Landmarks do not hold the forehead
and the cheeks: where a smooth skin lies in its own plane, only a notion of faces can tell.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facesynth.files.atomic import write_whole
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import Template, standard

# Displacements' standard deviation and the distance over which they are alike, both in mm.
SCALES = ((6.0, 100.0), (2.0, 40.0), (1.0, 15.0))
ASYMMETRY = 0.3  # how much of that variance is different on the two sides of a face
N_ANCHORS = 120  # points that carry the smooth modes, evenly over the template
N_SMOOTH = 60  # smooth modes of each kind and coordinate: mirror symmetric and antisymmetric
MODES_FILE = "face_modes.npz"  # in data/template, of the standard template
STEPS = 32767  # of the largest coordinate of a mode, to which the file rounds


@dataclass(frozen=True)
class Deformations:
    """A Gaussian distribution of deformations u = μ + Φ a of the template, a standard normal.

    mean   (m, 3) mm, μ
    modes  (m, 3, k) mm, Φ
    """

    mean: NDArray[np.float32]
    modes: NDArray[np.float32]


@lru_cache(maxsize=4)
@threadpool_limits.wrap(limits=1)  # the last bits of a sum depend on the number of threads
def smooth(template: Template) -> Deformations:
    """Deformations that are smooth, and know nothing else (made once for a template)."""
    points = template.vertices
    if template.mirror is None:
        functions = _smooth_modes(points)
        across = along = functions
    else:
        even, odd = _symmetric_modes(points, template.mirror)
        share = np.sqrt(ASYMMETRY)
        # A symmetric deformation moves mirrored points alike in y and z, and oppositely in x.
        across, along = np.hstack([odd, share * even]), np.hstack([even, share * odd])
    k = across.shape[1]
    modes = np.zeros((len(points), 3, 3 * k), np.float32)
    for axis, functions in enumerate((across, along, along)):
        modes[:, axis, axis * k : (axis + 1) * k] = functions
    return Deformations(np.zeros(points.shape, np.float32), modes)


@cache
def of_faces() -> Deformations:
    """Deformations of the standard template that lead to faces, and smooth ones beyond these."""
    with resources.as_file(resources.files("facesynth.data") / "template") as folder:
        faces = load(Path(folder) / MODES_FILE)
    modes = np.concatenate([faces.modes, smooth(standard()).modes], axis=2)
    return Deformations(faces.mean, modes)


def prior(template: Template) -> Deformations:
    """What is known of a template's deformations: how faces differ, or that they are smooth."""
    return of_faces() if template == standard() else smooth(template)


def save(path: Path, found: Deformations) -> None:
    """Write deformations, modes to 16 bits of their largest coordinate. Raises `WriteError`."""
    scale = np.abs(found.modes).max(axis=(0, 1)) / np.float32(STEPS)  # (k,)
    steps = np.rint(found.modes / scale).astype(np.int16)
    write_whole(
        path, lambda file: np.savez_compressed(file, mean=found.mean, steps=steps, scale=scale)
    )


def load(path: Path) -> Deformations:
    """Read what `save` wrote."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Deformations(arrays["mean"], arrays["steps"] * arrays["scale"])


def _symmetric_modes(points: FloatArray, mirror: IntArray) -> tuple[FloatArray, FloatArray]:
    """Functions (m, k) on points (m, 3), even and odd under the mirror, of smoothness `SCALES`.

    Those of a Gaussian process with a sum of Gaussian kernels, reduced by Nyström's method.
    """
    anchors = _spread(points, N_ANCHORS)
    anchors = np.union1d(anchors, mirror[anchors])
    straight = _kernel(points, points[anchors])  # (m, a)
    crossed = _kernel(points, points[mirror[anchors]])
    even, odd = (_functions((straight + sign * crossed) / 2, anchors, N_SMOOTH) for sign in (1, -1))
    return even, odd


def _smooth_modes(points: FloatArray) -> FloatArray:
    """The same functions, as many, on points without a mirror."""
    anchors = np.sort(_spread(points, min(2 * N_ANCHORS, len(points))))
    return _functions(_kernel(points, points[anchors]), anchors, 2 * N_SMOOTH)


def _functions(covariance: FloatArray, anchors: IntArray, count: int) -> FloatArray:
    """Nyström's method: functions (m, k) from covariances (m, a) with the anchors (a,)."""
    values, vectors = np.linalg.eigh(covariance[anchors])
    values, vectors = values[-count:], vectors[:, -count:]
    kept = values > 1e-9 * values[-1]
    return np.asarray(covariance @ (vectors[:, kept] / np.sqrt(values[kept])))


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)  # (m, k)
    return np.asarray(sum(s**2 * np.exp(-squared / (2 * reach**2)) for s, reach in SCALES))


def _spread(points: FloatArray, count: int) -> IntArray:
    """Indices (count,) of points (m, 3), each as far as can be from those before it."""
    chosen = [int(points[:, 2].argmax())]
    squared = np.full(len(points), np.inf)
    while len(chosen) < count:
        squared = np.minimum(squared, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(squared.argmax()))
    return np.array(chosen)


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
        """The similarity that moves points back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)


class TooFewPointsError(ValueError):
    """Fewer than three pairs of known points, or all on a line."""


def similarity(source: FloatArray, target: FloatArray) -> Similarity:
    """The similarity that brings points (k, 3) closest to others (k, 3), in least squares.

    In closed form (Umeyama 1991). Pairs with a NaN are left out. Raises `TooFewPointsError`.
    """
    known = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1)
    a, b = source[known], target[known]
    if len(a) < 3:
        raise TooFewPointsError(f"{len(a)} pairs of known points; a similarity needs three")
    from_a, from_b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(from_b.T @ from_a)
    if min(_second(from_a), _second(from_b)) < 1e-9:
        raise TooFewPointsError("all points lie on a line: the rotation about it is not known")
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # a rotation, not a reflection
    rotation = u * signs @ vt
    scale = float((s * signs).sum() / (from_a**2).sum())
    return Similarity(scale, rotation, b.mean(axis=0) - scale * rotation @ a.mean(axis=0))


def _second(centred: FloatArray) -> float:
    values = np.linalg.svd(centred, compute_uv=False)
    return float(values[1] / values[0]) if values[0] > 0 else 0.0
