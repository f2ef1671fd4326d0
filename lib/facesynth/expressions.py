"""Expressions as differences from the neutral geometry: Section 9 of the paper.

After Chu et al. (2014), "a linear basis for expressions": the differences of expressive faces from
their neutral ones, their mean, and the principal components of the remainder,

    g_exp = g_neutral + mu_diff + V_exp alpha_exp,

for any neutral face, including generated ones. With `Dataset.neutral_geometry`, models learn
neutral faces from textures of any expression.
"""

import functools
import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from facesynth.dataset import dataset
from facesynth.dataset.dataset import Dataset
from facesynth.files import arrays
from facesynth.files.atomic import write_whole
from facesynth.morphable_model import Floats, MorphableModel
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import Template, standard

# Distances between landmarks, in mm: each a sum of coordinates (axis, sign, numbers of landmarks,
# of which the mean is taken). The 43 are: brows 0 to 9, nose to 18, eyes to 30, lips to 42.
MEASURES: Mapping[str, tuple[tuple[int, int, tuple[int, ...]], ...]] = {
    "smile": ((0, 1, (37,)), (0, -1, (31,))),  # width of the mouth
    "jaw open": ((1, 1, (34,)), (1, -1, (40,))),  # from the upper lip's middle to the lower one's
    "brow raise": ((1, 1, tuple(range(10))), (1, -1, (19, 22, 25, 28))),  # over the eyes' corners
}

FILE = "expressions.npz"  # beside the scans that it is of
ROUNDS = 20  # of holding faces still
STILL = 0.5  # mm, beyond which a vertex is taken to move


class ExpressionsError(ValueError):
    """Expressions that cannot be measured or read."""


class ExpressionModel(BaseEstimator):
    """Principal components of differences from the neutral face.

    n_components  k, as in `MorphableModel`
    mean_         (m, 3) mm, mu_diff
    components_   (k, m, 3) V_exp: orthonormal, in order of decreasing variance
    explained_variance_, explained_variance_ratio_  (k,) in mm², and as shares
    neutral_      (k,) the coefficients of a neutral face, whose difference is closest to zero
    """

    def __init__(self, n_components: int | float | None = None):
        self.n_components = n_components

    def fit(self, neutral: ArrayLike, expressive: ArrayLike) -> Self:
        """Learn from n faces with expressions and their neutral ones, (n, m, 3) mm each.

        Raises `MeshArrayError` if the two differ in shape, or hold anything but finite numbers, and
        `ComponentsError` if there are fewer faces than components.
        """
        differences = _difference(neutral, expressive)
        shape = differences.shape[1:]
        model = MorphableModel(self.n_components)
        model.fit(differences.reshape(-1, 3 * shape[0]))
        self.mean_ = model.mean_.reshape(shape)
        self.components_ = model.components_.reshape(-1, *shape)
        self.explained_variance_ = model.explained_variance_
        self.explained_variance_ratio_ = model.explained_variance_ratio_
        self.neutral_ = -model.components_ @ model.mean_
        self._model = model
        return self

    def transform(self, neutral: ArrayLike, expressive: ArrayLike) -> Floats:
        """Coefficients (n, k) of the differences between faces (n, m, 3) mm."""
        check_is_fitted(self)
        differences = _difference(neutral, expressive, self.mean_.shape)
        return self._model.transform(differences.reshape(len(differences), -1))

    def sample(self, n: int, random_state: Any = None) -> Floats:
        """Random coefficients (n, k), normal with the variances of the training faces."""
        check_is_fitted(self)
        return self._model.sample_coefficients(n, random_state)

    def apply(self, neutral: ArrayLike, coefficients: ArrayLike) -> Floats:
        """Add expressions alpha_exp (k,) or (n, k) to neutral faces (m, 3) or (n, m, 3) in mm.

        One face takes many, and one expression goes to many faces. Returns (n, m, 3), or (m, 3)
        where both are single. Raises `MeshArrayError`.
        """
        check_is_fitted(self)
        faces, alpha = _faces(neutral, "neutral"), np.asarray(coefficients)
        if faces.shape[-2:] != self.mean_.shape or faces.ndim not in (2, 3):
            raise MeshArrayError(
                f"neutral faces have shape {faces.shape}; expected (n, {len(self.mean_)}, 3)"
            )
        if alpha.ndim not in (1, 2) or alpha.shape[-1] != len(self.components_):
            raise MeshArrayError(
                f"coefficients have shape {alpha.shape}; expected (n, {len(self.components_)})"
            )
        added = alpha @ self.components_.reshape(len(self.components_), -1)
        return faces + self.mean_ + added.reshape(*alpha.shape[:-1], *self.mean_.shape)

    def directions(self, template: Template | None = None) -> dict[str, Floats]:
        """Directions (k,) that change one of `MEASURES` by 1 mm and leave the others unchanged.

        template : of the faces, by default the project's own. Of all such directions each is the
        most likely one, in the sense of Eq. 2: with the measures A of the components and their
        variances S, the columns of S A^T (A S A^T)^-1.
        """
        check_is_fitted(self)
        operator = measure_operator(template).reshape(len(MEASURES), -1)
        V = self.components_.reshape(len(self.components_), -1)
        A = operator @ V.T  # (measures, k)
        spread = self.explained_variance_[:, None] * A.T  # S A^T
        between = A @ spread  # A S A^T
        _check_independent(between, len(self.components_))
        return dict(zip(MEASURES, np.linalg.solve(between, spread.T), strict=True))


def held_still(neutral: ArrayLike, expressive: ArrayLike) -> Floats:
    """Align faces rigidly with their neutral faces by the regions that expressions do not move.

    neutral, expressive : (n, m, 3) mm. Returns the aligned (n, m, 3). Scans are aligned with the
    template by all their vertices, many of which move with an open jaw. Here the weight of a vertex
    decreases with its distance: iteratively reweighted least squares with Cauchy weights.
    Raises `MeshArrayError`.
    """
    _difference(neutral, expressive)
    given = _faces(expressive, "expressive").dtype
    still, moved = np.asarray(neutral, np.float64), np.asarray(expressive, np.float64)
    for _ in range(ROUNDS):
        away = np.square(moved - still).sum(axis=2)
        weight = 1 / (1 + away / STILL**2)
        weight /= weight.sum(axis=1, keepdims=True)
        centre_a = np.einsum("nm,nmc->nc", weight, moved)[:, None]
        centre_b = np.einsum("nm,nmc->nc", weight, still)[:, None]
        a, b = moved - centre_a, still - centre_b
        covariance = np.einsum("nm,nmc,nmd->ncd", weight, a, b, optimize=True)
        u, _, vt = np.linalg.svd(covariance)
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]  # no reflection
        moved = a @ (u @ vt) + centre_b
    return moved.astype(given)


def pairs(scans: Dataset) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Of scans with an expression: neutral geometries (n, m, 3) mm, their own, and which it is.

    Their own are held still. Raises `DatasetError` if a subject has no neutral scan.
    """
    shown = ~scans.is_neutral
    neutral = scans.neutral_geometry[shown]
    return neutral, held_still(neutral, scans.geometry[shown]), scans.expressions[shown]


def explained_by_means(differences: ArrayLike, groups: ArrayLike | None = None) -> float:
    """The share of squared differences (n, ...) that the mean of each one's group (n,) explains.

    1 if all of a group are moved alike; 1 / n of a group of n that have nothing in common.
    All are one group where none are given.
    """
    moved = np.asarray(differences)
    kinds = np.zeros(len(moved)) if groups is None else np.asarray(groups)
    means = np.zeros_like(moved)
    for kind in np.unique(kinds):
        means[kinds == kind] = moved[kinds == kind].mean(axis=0)
    return float(np.square(means).sum() / np.square(moved).sum())


def mean_differences(faces: Dataset) -> dict[str, NDArray[np.float32]]:
    """The mean difference of each expression from the neutral face: (m, 3) mm, by name.

    Raises `ExpressionsError` if an expression has no scan, and `DatasetError` if a subject has no
    neutral scan.
    """
    resting, found = faces.neutral_geometry, {}
    for k, name in enumerate(faces.expression_names):
        shown = faces.expressions == k
        if not shown.any():
            raise ExpressionsError(
                f"no scan shows expression {k}, {name}: the data set needs all expressions"
            )
        neutral = resting[shown]
        found[name] = (held_still(neutral, faces.geometry[shown]) - neutral).mean(axis=0)
    return found


def save(path: str | os.PathLike[str], differences: Mapping[str, Floats]) -> None:
    """Write what `mean_differences` found, to 0.03 mm. Raises `WriteError`."""
    halved = {name: of.astype(np.float16) for name, of in differences.items()}
    write_whole(path, lambda file: np.savez_compressed(file, **halved))  # type: ignore[arg-type]


def load(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float32]]:
    """Read what `save` wrote. Raises `ExpressionsError` for a missing or damaged file."""
    advice = "`make faces` writes it, and training a model of faces, too"
    with arrays.readable(path, ExpressionsError, advice):
        return {name: of.astype(np.float32) for name, of in arrays.read(path).items()}


@functools.cache
def released() -> dict[str, NDArray[np.float32]]:
    """The mean differences of the training set that comes with the package."""
    return load(dataset.folder() / FILE)


def measure_operator(template: Template | None = None) -> NDArray[np.float64]:
    """Weights (measures, m, 3) of a template's coordinates in each of `MEASURES`.

    Raises `MissingLandmarkError` for a template without one of their landmarks.
    """
    face = standard() if template is None else template
    operator = np.zeros((len(MEASURES), len(face.vertices), 3))
    for row, terms in zip(operator, MEASURES.values(), strict=True):
        for axis, sign, numbers in terms:
            row[face.vertices_of(numbers), axis] += sign / len(numbers)
    return operator


def measure(faces: ArrayLike, template: Template | None = None) -> dict[str, NDArray[np.float64]]:
    """`MEASURES` (n,) in mm of faces (n, m, 3) mm on a template, by default the project's own.

    Raises `MeshArrayError` for faces of another shape.
    """
    operator, shown = measure_operator(template), _faces(faces, "measured")
    if shown.shape[1:] != operator.shape[1:]:
        raise MeshArrayError(
            f"faces have shape {shown.shape}; expected (n, {operator.shape[1]}, 3)"
        )
    found = np.einsum("kmc,nmc->kn", operator, shown.astype(np.float64))
    return dict(zip(MEASURES, found, strict=True))


def relative_spread(
    found: Mapping[str, NDArray[np.floating]], reference: Mapping[str, NDArray[np.floating]]
) -> float:
    """Standard deviations of `measure` of some faces over those of others, their mean."""
    return float(np.mean([found[name].std() / reference[name].std() for name in MEASURES]))


def _check_independent(between: Floats, k: int) -> None:
    if np.linalg.matrix_rank(between) < len(MEASURES):
        raise ValueError(
            f"{k} components cannot change {', '.join(MEASURES)} independently: use more components"
        )


def _difference(
    neutral: ArrayLike, expressive: ArrayLike, shape: tuple[int, ...] | None = None
) -> Floats:
    a, b = _faces(neutral, "neutral"), _faces(expressive, "expressive")
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or shape not in (None, a.shape[1:]):
        raise MeshArrayError(
            f"neutral faces {a.shape} and faces with expressions {b.shape} must be pairs, "
            f"(n, {'m, 3' if shape is None else ', '.join(map(str, shape))}) each"
        )
    for name, faces in (("neutral", a), ("expressive", b)):
        bad = np.flatnonzero(~np.isfinite(faces).all(axis=(1, 2)))
        if len(bad):
            raise MeshArrayError(
                f"{len(bad)} {name} faces contain values that are not finite, the first {bad[0]}"
            )
    return b - a


def _faces(given: ArrayLike, name: str) -> Floats:
    """Floating-point faces: differences of whole numbers without a sign would wrap around."""
    faces = np.asarray(given)
    if faces.dtype.kind not in "fiu":
        raise MeshArrayError(f"{name} faces are of type {faces.dtype}; expected numbers, in mm")
    return faces if faces.dtype.kind == "f" else faces.astype(np.float64)
