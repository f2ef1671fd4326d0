"""Sets of identities compared: Table 3's distances, neighbourhoods, and a classifier.

People are drawn anew, with all their scans, and so are generated faces: what is found varies as it
would with others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from facesynth.evaluation.coverage import coverage, energy_distance
from facesynth.evaluation.swd import EvaluationError, Floats, TooFewImagesError, distance

DRAWS = 40
DIRECTIONS = 128  # of the sliced distance
DISTANCES = ("SWD", "energy")


@dataclass(frozen=True)
class Described:
    """Descriptors of scans or of generated faces.

    descriptors  (n, d)
    whose        (n,) which person each is of; None: all are of different ones
    """

    descriptors: Floats
    whose: NDArray[np.integer] | None = None

    def __len__(self) -> int:
        return len(self.descriptors)

    def drawn(self, n: int, rng: np.random.Generator) -> Floats:
        """N descriptors of people drawn with replacement, as many people as there are."""
        if self.whose is None:
            return self.descriptors[rng.integers(len(self), size=n)]
        names, which = np.unique(self.whose, return_inverse=True)
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which))
        of_each = np.split(order, ends[:-1])
        rows = np.empty(0, np.intp)
        while len(rows) < n:
            drawn = rng.integers(len(names), size=len(names))
            rows = np.concatenate([rows, *(of_each[person] for person in drawn)])
        return self.descriptors[rng.permutation(rows)[:n]]

    def one_each(self, rng: np.random.Generator) -> Floats:
        """A descriptor of each person, in random order."""
        order = rng.permutation(len(self))
        if self.whose is None:
            return self.descriptors[order]
        first = np.unique(self.whose[order], return_index=True)[1]
        return self.descriptors[order[rng.permutation(first)]]


def distances(
    people: Described, sets: Mapping[str, Described], n: int, draws: int = DRAWS, seed: int = 0
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Distances of sets from people, draw by draw: {set: {"SWD": (draws,), "energy": (draws,)}}.

    n : descriptors in each set that is compared. The sliced Wasserstein distance is x 1000, as in
    Table 3; the energy distance has more power. A draw has the same people and the same directions
    for all sets: differences are paired. Raises `EvaluationError` for an empty set.
    """
    if not n or not all(map(len, (people, *sets.values()))):
        raise EvaluationError("an empty set of identities has no distance")
    found = {name: {kind: np.empty(draws) for kind in DISTANCES} for name in sets}
    for draw in range(draws):
        real = people.drawn(n, np.random.default_rng([seed, draw]))
        for name, of in sets.items():
            some = of.drawn(n, np.random.default_rng([seed, draw, 1]))
            same = np.random.default_rng([seed, draw, 2])
            found[name]["SWD"][draw] = 1000 * distance(real, some, same, DIRECTIONS)
            found[name]["energy"][draw] = energy_distance(real, some)
    return found


def neighbourhoods(
    people: Described, sets: Mapping[str, Described], draws: int = DRAWS, seed: int = 0
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Precision, recall, density and coverage of sets, draw by draw, one scan of each person.

    Scans of one person are near each other, whatever is asked. Raises `TooFewImagesError`.
    """
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in sets}
    for draw in range(draws):
        for name, of in sets.items():
            real, some = _equally_many(people, of, np.random.default_rng([seed, draw]))
            rows[name].append(vars(coverage(real, some)))
    return {
        name: {key: np.array([row[key] for row in each]) for key in each[0]}
        for name, each in rows.items()
    }


def classified(people: Described, others: Described, seed: int = 0) -> NDArray[np.bool_]:
    """Whether a linear classifier is right (k,) about descriptors that it has not seen.

    It learns from one half of the people and of the others, one descriptor of each. Half of its
    answers are right where the two are alike. Raises `TooFewImagesError`.
    """
    real, fake = _equally_many(people, others, np.random.default_rng(seed))
    if len(real) < 4:
        raise TooFewImagesError(f"{len(real)} people are too few to learn from: four are the least")
    learn = np.arange(len(real)) % 2 == 0
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    classifier.fit(np.concatenate([real[learn], fake[learn]]), np.repeat([0, 1], learn.sum()))
    unseen = np.concatenate([real[~learn], fake[~learn]])
    return np.asarray(classifier.predict(unseen) == np.repeat([0, 1], (~learn).sum()))


def _equally_many(
    people: Described, others: Described, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    real, fake = people.one_each(rng), others.one_each(rng)
    n = min(len(real), len(fake))
    return real[:n], fake[:n]
