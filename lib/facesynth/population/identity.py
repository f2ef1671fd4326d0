"""Who the subjects are: labels and local shape, drawn until the face is one that could be."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from facesynth.population import targets
from facesynth.population.head import on_face
from facesynth.population.plausibility import acceptable
from facesynth.population.shape import Weights, shape_model
from facesynth.population.tables import table
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import standard

GENDERS = ("female", "male")
ANCESTRIES = targets.ANCESTRIES
N_CELLS = len(GENDERS) * len(ANCESTRIES)  # of gender and ancestry; every six subjects fill them
YOUNGEST, OLDEST = 18.0, 75.0  # years
MAX_ATTEMPTS = 50

_TABLES = table("local_axes.toml")
GROUP_SIGMA: dict[str, float] = _TABLES["deviation"]
AXIS_FACTOR: dict[str, float] = _TABLES["factor"]
SIZE: dict[str, float] = _TABLES["size"]
TIED_AXES: dict[str, dict[str, Any]] = _TABLES["tied"]
ASYMMETRY_SIGMA = 0.25
# Factors by which gender and age reach beyond MakeHuman's own extremes, which are mild.
DIMORPHISM, AGEING = 1.25, 1.25
MAX_DEVIATION = 2.3  # standard deviations at which a local axis is cut off


@dataclass(frozen=True)
class Identities:
    """Traits of n subjects; all that is random about their neutral geometry."""

    gender: IntArray  # (n,) index into GENDERS
    ancestry: IntArray  # (n,) index into ANCESTRIES, that of the largest share
    age: FloatArray  # (n,) years
    shares: FloatArray  # (n, 3) mixture of ancestries, rows sum to 1
    masculinity: FloatArray  # (n,) 0 to 1, near 0 for women and near 1 for men
    weight: FloatArray  # (n,) 0 to 1
    muscle: FloatArray  # (n,) 0 to 1
    size: FloatArray  # (n,) factor of the whole face, about 1
    local: FloatArray  # (n, 89) coefficients of the local axes
    asymmetry: FloatArray  # (n, 23)

    def __len__(self) -> int:
        return len(self.age)

    def __getitem__(self, subjects: slice | IntArray) -> "Identities":
        columns = dataclasses.fields(self)
        return Identities(**{f.name: getattr(self, f.name)[subjects] for f in columns})

    def weights(self) -> Weights:
        """Target weights (n, t) of the neutral faces."""
        age = AGEING * targets.years_to_age(self.age)
        male = 0.5 + DIMORPHISM * (self.masculinity - 0.5)
        macro = targets.macro_weights(male, age, self.shares, self.muscle, self.weight)
        local = targets.local_weights(self.local)
        return macro + local + targets.asymmetry_weights(self.asymmetry)


def sample_identities(n: int, seed: int, first: int = 0, *, screened: bool = True) -> Identities:
    """Draw subjects first to first + n - 1, balanced in gender and ancestry within every six.

    Subject i depends on the seed and on i only. Unless `screened` is False, a subject whose face is
    not acceptable is drawn again.

    Raises ValueError for a negative n, seed or first, and RuntimeError where no acceptable face was
    found for a subject (which the rules make practically impossible).
    """
    if screened:
        return sample_faces(n, seed, first)[0]
    _check_counts(n, seed, first)
    return _stack([_draw(seed, first + i, attempt=0) for i in range(n)])


def sample_faces(n: int, seed: int, first: int = 0) -> tuple[Identities, FloatArray]:
    """The screened subjects of `sample_identities`, and their neutral heads (n, m, 3) in mm."""
    _check_counts(n, seed, first)
    drawn = [_draw(seed, first + i, attempt=0) for i in range(n)]
    faces = neutral_geometry(_stack(drawn))
    pending = np.flatnonzero(~acceptable(faces))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        if not pending.size:
            return _stack(drawn), faces
        for i in pending:
            drawn[i] = _draw(seed, first + int(i), attempt)
        faces[pending] = neutral_geometry(_stack([drawn[i] for i in pending]))
        pending = pending[~acceptable(faces[pending])]
    raise RuntimeError(f"no acceptable face for subjects {pending[:5]} in {MAX_ATTEMPTS} attempts")


def _check_counts(n: int, seed: int, first: int) -> None:
    if min(n, seed, first) < 0:
        raise ValueError(f"n, seed and first must not be negative, got {n}, {seed}, {first}")


def neutral_geometry(identities: Identities) -> FloatArray:
    """Neutral heads (n, m, 3) in mm, each moved rigidly so that its face lies on the template."""
    model = shape_model()
    heads = model.surface(model.neutral(identities.weights()))
    rotation, centre = _onto_template(heads)
    return (heads - centre) @ (rotation * _sized(identities)) + standard().vertices.mean(0)


def geometry(identities: Identities, actions: Weights) -> FloatArray:
    """Heads (n, e, m, 3) in mm with facial actions, given as target weights (n, e, t).

    Each subject is moved rigidly onto the template by its neutral face, expressions with it.
    """
    model = shape_model()
    neutral = model.neutral(identities.weights())
    rotation, centre = _onto_template(model.surface(neutral))
    origin = standard().vertices.mean(0)
    expressive = [model.expressive(neutral, action) for action in actions.swapaxes(0, 1)]
    turned = rotation * _sized(identities)
    heads = [(model.surface(points) - centre) @ turned + origin for points in expressive]
    return np.stack(heads, axis=1)


def _sized(identities: Identities) -> FloatArray:
    """Factors (n, 1, 1) of the heads' sizes: MakeHuman's targets change shapes, but no sizes."""
    return identities.size[:, None, None]


def _onto_template(heads: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations (n, 3, 3), to be applied from the right, and centres (n, 1, 3) (Kabsch 1976)."""
    faces = on_face(heads)
    centre = faces.mean(1, keepdims=True)
    still = standard().vertices - standard().vertices.mean(0)
    u, _, vt = np.linalg.svd((faces - centre).transpose(0, 2, 1) @ still)
    reflected = np.linalg.det(u @ vt) < 0
    u[reflected, :, -1] *= -1
    return u @ vt, centre


def _draw(seed: int, i: int, attempt: int) -> Identities:
    """One subject, as arrays of length 1."""
    # a block of six subjects holds each pair of gender and ancestry once, in random order
    block = np.random.default_rng([seed, 0, i // N_CELLS]).permutation(N_CELLS)
    gender, ancestry = divmod(int(block[i % N_CELLS]), len(ANCESTRIES))
    rng = np.random.default_rng([seed, 1, i, attempt])
    masculinity = np.clip((0.93 if gender else 0.07) + rng.normal(0, 0.08), 0, 1)
    shares = rng.dirichlet(0.25 + 4.0 * np.eye(3)[ancestry])
    while shares.argmax() != ancestry:
        shares = rng.dirichlet(0.25 + 4.0 * np.eye(3)[ancestry])
    age = np.clip(YOUNGEST + rng.gamma(2.2, 10.5), YOUNGEST, OLDEST)
    weight = np.clip(rng.normal(0.44 + 0.0022 * (age - 35), 0.18), 0.05, 0.97)
    muscle = np.clip(rng.normal(0.5 + 0.1 * (gender - 0.5), 0.14), 0.1, 0.9)
    z = np.clip(rng.normal(size=len(_sigma())), -MAX_DEVIATION, MAX_DEVIATION)
    shift = _label_shift(shares - 1 / 3, masculinity - 0.5, age, weight - 0.5)
    asymmetry = rng.normal(0, ASYMMETRY_SIGMA, len(targets.asymmetry_axes()))
    size = SIZE[GENDERS[gender]] * np.exp(SIZE["deviation"] * rng.normal())
    return Identities(
        gender=np.array([gender]),
        ancestry=np.array([ancestry]),
        age=np.array([age]),
        shares=shares[None],
        masculinity=np.array([masculinity]),
        weight=np.array([weight]),
        muscle=np.array([muscle]),
        size=np.array([size]),
        local=(z * _sigma() + shift)[None],
        asymmetry=asymmetry[None],
    )


@functools.cache
def _sigma() -> FloatArray:
    """Standard deviations of the local axes."""
    names = list(targets.local_axes())
    factors = [[factor for part, factor in AXIS_FACTOR.items() if part in name] for name in names]
    return np.array([GROUP_SIGMA[n.split("/")[0]] for n in names]) * [*map(np.prod, factors)]


@functools.cache
def _tied() -> FloatArray:
    """(k, a) how far one unit of each entry of `TIED_AXES` moves the local axes."""
    names = targets.local_axes()
    return np.array(
        [
            [any(part in name for part in tied["axes"]) for name in names]
            * (_sigma() if "shift" in tied else np.ones(len(names)))
            for tied in TIED_AXES.values()
        ]
    )


def _label_shift(shares: FloatArray, male: float, age: float, weight: float) -> FloatArray:
    """Shift (a,) of the local axes that goes with the labels."""
    labels = {"male": male, "age": (age - 40) / 20, "weight": weight, "constant": 1.0}
    labels |= dict(zip(ANCESTRIES, shares, strict=True))
    shifts = [
        sum(factor * labels[name] for name, factor in (tied.get("shift") or tied["amount"]).items())
        for tied in TIED_AXES.values()
    ]
    return np.array(shifts) @ _tied()


def _stack(drawn: list[Identities]) -> Identities:
    first = drawn or [_draw(0, 0, 0)]  # gives the columns' types where no subject was asked for
    columns = {
        f.name: np.concatenate([getattr(d, f.name) for d in first])[: len(drawn)]
        for f in dataclasses.fields(Identities)
    }
    return Identities(**columns)
