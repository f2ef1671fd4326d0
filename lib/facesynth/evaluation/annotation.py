"""Labels for generated faces, by the nearest cluster of real ones: Section 10, Figure 16.

"By assigning each generated sample to the nearest cluster, we can automatically assign each new
sample with its nearest cluster in order to obtain automatic annotation of our generated data." The
clusters are the training set's descriptors of one gender, ancestry or age group. Distances are in
units of the scatter within clusters (Fisher's linear discriminant), which also gives a confidence:
how much nearer the nearest cluster is than the others.

The labels name the group of the population that a synthetic face resembles. They must not be
applied to people.
"""

import functools
import os
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted, validate_data

from facesynth.dataset import aligned_scan, dataset
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation import identity
from facesynth.files import arrays
from facesynth.files.atomic import write_whole

FILE = "identities.npz"  # beside the scans that it is of
AGES = ("under 30", "30 to 44", "45 and over")
_YEARS = (30, 45)  # where the second and the third of AGES begin
GROUPS = ("gender", "ancestry", "age")
LABELS = np.dtype([("gender", "U6"), ("ancestry", "U9"), ("age", "f4")])


class IdentitiesError(ValueError):
    """Descriptors that cannot be read, or whose labels are all the same."""


@dataclass(frozen=True)
class Identities:
    """Descriptors of n scans, with their subjects, expressions and labels."""

    subjects: NDArray[np.intp]  # (n,) numbers of the data set's subjects
    expressions: NDArray[np.intp]  # (n,) numbers of the data set's expressions
    descriptors: NDArray[np.float32]  # (n, 128)
    labels: NDArray[np.void]  # (n,) fields gender, ancestry, age (years)

    def __len__(self) -> int:
        return len(self.subjects)

    def take(self, rows: ArrayLike) -> "Identities":
        """Return some of the scans, by a mask (n,) or numbers."""
        return Identities(*(getattr(self, field.name)[rows] for field in fields(self)))


class Label(NamedTuple):
    """The nearest cluster of a face, and its confidence in (0, 1]."""

    name: str
    confidence: float


def measure(faces: Dataset, *, n_jobs: int = -1, progress: bool = True) -> Identities:
    """Compute the descriptors of scans with labels: gender, ancestry, and age in years.

    Raises `IdentitiesError` if they have not.
    """
    labels = np.empty(len(faces), LABELS)
    for name in labels.dtype.names or ():
        if name not in faces.labels:
            raise IdentitiesError(f"the scans have no label {name!r}: add it to their table")
        labels[name] = faces.labels[name]
    uv = aligned_scan.mapping(faces.resolution, faces.template).uv
    found = identity.describe(
        faces.geometry, faces.textures, uv, faces.template, n_jobs=n_jobs, progress=progress
    )
    return Identities(faces.subjects, faces.expressions, found, labels)


def save(path: str | os.PathLike[str], found: Identities) -> None:
    """Write descriptors, in half precision. Raises `WriteError`."""
    content = {field.name: getattr(found, field.name) for field in fields(found)}
    content["descriptors"] = content["descriptors"].astype(np.float16)
    write_whole(path, lambda file: np.savez_compressed(file, **content))


def load(path: str | os.PathLike[str]) -> Identities:
    """Read what `save` wrote. Raises `IdentitiesError` for a missing or damaged file."""
    with arrays.readable(path, IdentitiesError, "`make faces` writes it again"):
        content = arrays.read(path)
        found = {field.name: content[field.name] for field in fields(Identities)}
    found["descriptors"] = found["descriptors"].astype(np.float32)
    return Identities(**found)


@functools.cache
def released() -> Identities:
    """Read the descriptors of the package's data set, once in a process."""
    return load(dataset.folder() / FILE)


def age_group(years: ArrayLike) -> NDArray[np.str_]:
    """Which of `AGES` each age (n,) in years belongs to."""
    return np.array(AGES)[np.searchsorted(_YEARS, np.asarray(years), side="right")]


def groups(labels: NDArray[np.void]) -> dict[str, NDArray[np.str_]]:
    """The gender, ancestry and age group (n,) of labels (n,)."""
    return {
        "gender": labels["gender"],
        "ancestry": labels["ancestry"],
        "age": age_group(labels["age"]),
    }


def pairs_of_one_group(labels: NDArray[np.void]) -> NDArray[np.bool_]:
    """Whether both of a pair are of the same groups (p,), in the order of `identity.pairs`."""
    first, second = np.triu_indices(len(labels), 1)
    return np.all([of[first] == of[second] for of in groups(labels).values()], axis=0)


class Annotator(BaseEstimator):
    """Assigns descriptors to the nearest cluster of labelled ones.

    clusters_  for each of `GROUPS`, scikit-learn's linear discriminant
    """

    def fit(self, X: ArrayLike, y: NDArray[np.void]) -> Self:
        """Learn the clusters of descriptors (n, 128) with the population's labels (n,).

        Raises `IdentitiesError` where all labels are the same, and ValueError for NaN.
        """
        X = validate_data(self, X)
        named = groups(y)
        for name, of in named.items():
            if len(np.unique(of)) < 2:
                raise IdentitiesError(
                    f"{name} is {of[0]} for all {len(of)} faces: give two groups or more"
                )
        self.clusters_ = {
            name: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, of)
            for name, of in named.items()
        }
        return self

    def predict(self, X: ArrayLike) -> list[dict[str, Label]]:
        """Gender, ancestry and age group of descriptors (n, 128), each with its confidence.

        Raises `NotFittedError`, and ValueError for NaN or another number of features.
        """
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, X, reset=False))
        found: list[dict[str, Label]] = [{} for _ in rows]
        for name, model in self.clusters_.items():
            for labels, p in zip(found, model.predict_proba(rows), strict=True):
                labels[name] = Label(str(model.classes_[p.argmax()]), float(p.max()))
        return found


def of_unseen(people: Identities, folds: int = 5) -> list[dict[str, Label]]:
    """Labels of scans (n,) by annotators that were trained without their subjects.

    Raises what `Annotator` does, and ValueError where there are fewer subjects than folds.
    """
    found: list[dict[str, Label]] = [{} for _ in range(len(people))]
    split = GroupKFold(folds).split(people.descriptors, groups=people.subjects)
    for learn, ask in split:
        part = people.take(learn)
        known = Annotator().fit(part.descriptors, part.labels)
        for k, labels in zip(ask, known.predict(people.descriptors[ask]), strict=True):
            found[k] = labels
    return found


@functools.cache
def annotator() -> Annotator:
    """The annotator fitted to the package's training set, once in a process."""
    known = released()
    return Annotator().fit(known.descriptors, known.labels)
