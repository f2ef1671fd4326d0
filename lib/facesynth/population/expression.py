"""Facial expressions: which actions each is made of, and how much they vary between subjects."""

import numpy as np
import numpy.typing as npt

from facesynth.population import targets
from facesynth.population.identity import Identities, geometry
from facesynth.population.plausibility import crosses
from facesynth.population.shape import Weights, shape_model
from facesynth.population.tables import table
from facesynth.surface.mesh import FloatArray

EXPRESSIONS: dict[str, dict[str, float]] = table("expressions.toml")  # amounts of actions
AMPLITUDE_SIGMA, AMPLITUDE_RANGE = 0.22, (0.5, 1.3)  # of a whole expression, by subject
SIDE_SIGMA = 0.08  # of what the left side does more than the right one, as a share
WEAKENED, MAX_WEAKENINGS = 0.75, 10  # an expression that crosses itself is weakened by this factor


def sample_expressions(
    identities: Identities, seed: int, first: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Heads (n, e, m, 3) in mm with each of `EXPRESSIONS`, and their amplitudes (n, e).

    Amplitude 0 is a neutral face, 1 the amounts of `EXPRESSIONS`. Amplitudes differ between
    subjects, and sides within each. An expression that would make a face pass through itself is
    weakened until it does not. Subject i of the seed is the i-th, counted from `first`.
    """
    n, e = len(identities), len(EXPRESSIONS)
    draws = [np.random.default_rng([seed, 2, first + i]).normal(size=(e, 2)) for i in range(n)]
    z = np.array(draws).reshape(n, e, 2)
    amplitude = np.clip(1 + AMPLITUDE_SIGMA * z[..., 0], *AMPLITUDE_RANGE)
    amplitude[:, 0] = 0.0  # neutral
    unit = np.stack([_unit_weights(a, z[:, k, 1]) for k, a in enumerate(EXPRESSIONS.values())], 1)
    faces = geometry(identities, unit * amplitude[..., None])
    crossing = crosses(faces[:, 1:].reshape(-1, *faces.shape[2:])).reshape(n, e - 1)
    pending = np.argwhere(crossing) + [0, 1]  # subjects and expressions, after the neutral one
    for attempt in range(MAX_WEAKENINGS):
        if not pending.size:
            break
        for i, k in pending:
            amplitude[i, k] *= WEAKENED if attempt < MAX_WEAKENINGS - 1 else 0.0
            weights = unit[i, k][None, None] * amplitude[i, k]
            faces[i, k] = geometry(identities[i : i + 1], weights)[0, 0]
        pending = pending[crosses(faces[tuple(pending.T)])]
    return faces, amplitude


def _unit_weights(actions: dict[str, float], side: FloatArray) -> Weights:
    """Target weights (n, t) of an expression of amplitude 1, with side (n,) standard normal."""
    names = shape_model().names
    amounts: dict[str, npt.ArrayLike] = {}
    for action, amount in actions.items():
        if f"action/{action}" in names:
            amounts[action] = amount
        else:
            amounts[f"{action}Left"] = amount * (1 + SIDE_SIGMA * side)
            amounts[f"{action}Right"] = amount * (1 - SIDE_SIGMA * side)
    return targets.action_weights(amounts, len(side))
