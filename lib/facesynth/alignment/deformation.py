r"""Priors of the template's deformations: the third term of Section 5.2's energy.

"The third term serves as a regularization, and penalizes non-smooth deformations." A quadratic
penalty on deformations is the negative logarithm of a Gaussian distribution over them: with its
modes Φ, a deformation u = μ + Φ a costs |a|². There are two such priors.

`smooth` is a Gaussian process (Lüthi et al. 2018) for any template: displacements of nearby points
are correlated, at three distances, and so are those of mirrored points. `of_faces` adds the
principal components of faces in dense correspondence, which exist for the standard template alone.
Only these determine how the forehead and the cheeks, which have no landmarks, slide within the
surface.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facesynth.files import arrays
from facesynth.files.atomic import write_whole
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import MIRROR, Template, standard

# Displacements' standard deviation and correlation length, both in mm.
SCALES = ((6.0, 100.0), (2.0, 40.0), (1.0, 15.0))
ASYMMETRY = 0.3  # variance of antisymmetric deformations, relative to symmetric ones
N_ANCHORS = 120  # inducing points of Nyström's method, evenly over the template
N_SMOOTH = 60  # smooth modes of each kind and coordinate: mirror symmetric and antisymmetric
# mm, standard deviation of a surface from what modes can describe. Smooth modes describe faces less
# well than face modes; if they had to fit as closely, the template would slide along the surface.
MISFIT, SMOOTH_MISFIT = 0.4, 0.8
# mm, the same of detected landmarks. Those of an eye are off together, up to 3 mm with a texture
# and 6 without: where the surface and face modes tell where an eye is, it is known better.
LANDMARK_ERROR, SMOOTH_LANDMARK_ERROR = 6.0, 3.0
MODES_FILE = "face_modes.npz"  # in data/template, of the standard template
STEPS = 32767  # of the largest coordinate of a mode, to which the file rounds


@dataclass(frozen=True)
class Deformations:
    """A Gaussian distribution of deformations u = μ + Φ a of the template, a standard normal.

    mean    (m, 3) mm, μ
    modes   (m, 3, k) mm, Φ
    misfit  mm, standard deviation along the normal of faces from what modes can describe
    landmark_error  mm, the same of detected landmarks, in each direction
    specific  whether they are of faces, so that a surface alone tells where each feature is
    """

    mean: NDArray[np.float32]
    modes: NDArray[np.float32]
    misfit: float = MISFIT
    landmark_error: float = LANDMARK_ERROR
    specific: bool = True


@lru_cache(maxsize=4)
@threadpool_limits.wrap(limits=1)  # the last bits of a sum depend on the number of threads
def smooth(template: Template) -> Deformations:
    """Smooth, mostly symmetric deformations of any template (computed once for each)."""
    even, odd = _symmetric_modes(template)
    share = np.sqrt(ASYMMETRY)
    # A symmetric deformation moves mirrored points alike in y and z, and oppositely in x.
    across, along = np.hstack([odd, share * even]), np.hstack([even, share * odd])
    k = across.shape[1]
    modes = np.zeros((len(template.vertices), 3, 3 * k), np.float32)
    for axis, functions in enumerate((across, along, along)):
        modes[:, axis, axis * k : (axis + 1) * k] = functions
    still = np.zeros(template.vertices.shape, np.float32)
    return Deformations(still, modes, SMOOTH_MISFIT, SMOOTH_LANDMARK_ERROR, specific=False)


@cache
def of_faces() -> Deformations:
    """Deformations of the standard template: face modes, followed by its smooth modes."""
    with resources.as_file(resources.files("facesynth.data") / "template") as folder:
        faces = load(Path(folder) / MODES_FILE)
    modes = np.concatenate([faces.modes, smooth(standard()).modes], axis=2)
    return Deformations(faces.mean, modes)


def prior(template: Template) -> Deformations:
    """The prior to align a template with: face modes for the standard one, else smooth ones."""
    if template == standard():
        return of_faces()
    return smooth(template)


def save(path: Path, found: Deformations) -> None:
    """Write deformations, modes to 16 bits of their largest coordinate. Raises `WriteError`."""
    scale = np.abs(found.modes).max(axis=(0, 1)) / np.float32(STEPS)  # (k,)
    steps = np.rint(found.modes / scale).astype(np.int16)
    write_whole(
        path, lambda file: np.savez_compressed(file, mean=found.mean, steps=steps, scale=scale)
    )


def load(path: Path) -> Deformations:
    """Read what `save` wrote."""
    found = arrays.read(path)
    return Deformations(found["mean"], found["steps"] * found["scale"])


def _symmetric_modes(template: Template) -> tuple[FloatArray, FloatArray]:
    """Functions (m, k) on the vertices, even and odd under the mirror, of smoothness `SCALES`.

    Those of a Gaussian process with a sum of Gaussian kernels, reduced by Nyström's method. The
    kernels need a plane of symmetry alone, not vertices in mirrored pairs.
    """
    points, mirror = template.vertices, template.mirror
    if mirror is None:
        anchors = np.sort(_spread(points, min(2 * N_ANCHORS, len(points))))
        images = _reflected(template)[anchors]
    else:
        anchors = _spread(points, N_ANCHORS)
        anchors = np.union1d(anchors, mirror[anchors])
        images = points[mirror[anchors]]
    straight, crossed = _kernel(points, points[anchors]), _kernel(points, images)  # (m, a)
    even, odd = (_functions((straight + sign * crossed) / 2, anchors, N_SMOOTH) for sign in (1, -1))
    return even, odd


def _reflected(template: Template) -> FloatArray:
    """The vertices (m, 3) reflected in the plane of symmetry that fits the landmarks best."""
    known = template.known[template.landmarks[MIRROR[template.known]] >= 0]
    marks, others = (template.vertices[template.landmarks[k]] for k in (known, MIRROR[known]))
    middle = marks.mean(axis=0)
    across = np.linalg.eigh((marks - middle).T @ (others - middle))[1][:, 0]
    return template.vertices - 2 * np.outer((template.vertices - middle) @ across, across)


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
    """Indices (count,) of points (m, 3), each the farthest from those before it."""
    chosen = [int(points[:, 2].argmax())]
    squared = np.full(len(points), np.inf)
    while len(chosen) < count:
        squared = np.minimum(squared, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(squared.argmax()))
    return np.array(chosen)
