"""Facial expressions: the ways of making each, and each subject's own mixture of them."""

from itertools import chain

import numpy as np
import numpy.typing as npt

from facesynth.population import targets
from facesynth.population.identity import Identities, geometry
from facesynth.population.plausibility import crosses
from facesynth.population.shape import Weights, shape_model
from facesynth.population.tables import table
from facesynth.surface.mesh import FloatArray

# expression -> way of making it -> amounts of actions
EXPRESSIONS: dict[str, dict[str, dict[str, float]]] = table("expressions.toml")
ACTIONS = sorted({*chain(*(way for ways in EXPRESSIONS.values() for way in ways.values()))})
AMPLITUDE_SIGMA, AMPLITUDE_RANGE = 0.3, (0.4, 1.5)  # of a whole expression, by subject
CONCENTRATION = 0.25  # of the Dirichlet distribution of a subject's shares: mostly one way or two
ACTION_SIGMA = 0.4  # of the logarithm of each action's amount
SIDE_SIGMA, MOST_SIDED = 0.22, 0.8  # of what the left side does more than the right one, as a share
BOTH_SIDES = ("eyeBlink", "eyeWide")  # one lid that closes further than the other is a wink
WEAKENED, MAX_WEAKENINGS = 0.75, 10  # an expression that crosses itself is weakened by this factor


def sample_expressions(
    identities: Identities, seed: int, first: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Heads (n, e, m, 3) in mm with each of `EXPRESSIONS`, and their amplitudes (n, e).

    Each subject makes an expression in its own mixture of the ways of making it, does more of one
    action and less of another, and more on one side. Amplitude 0 is a neutral face, 1 the whole of
    the subject's mixture. An expression that would make a face pass through itself is weakened
    until it does not. Subject i of the seed is the i-th, counted from `first`.
    """
    n, e = len(identities), len(EXPRESSIONS)
    drawn = [_draw(np.random.default_rng([seed, 2, first + i])) for i in range(n)]
    amplitude = np.array([a for a, _ in drawn]).reshape(n, e)
    unit = np.array([w for _, w in drawn]).reshape(n, e, len(shape_model().names))
    faces = geometry(identities, unit * amplitude[..., None])
    crossing = crosses(faces[:, 1:].reshape(-1, *faces.shape[2:])).reshape(n, e - 1)
    pending = np.argwhere(crossing) + [0, 1]  # subjects and expressions, after the neutral one
    for attempt in range(MAX_WEAKENINGS):
        if not pending.size:
            break
        i, k = pending.T
        amplitude[i, k] *= WEAKENED if attempt < MAX_WEAKENINGS - 1 else 0.0
        faces[i, k] = geometry(identities[i], (unit[i, k] * amplitude[i, k, None])[:, None])[:, 0]
        pending = pending[crosses(faces[i, k])]
    return faces, amplitude


def _draw(rng: np.random.Generator) -> tuple[FloatArray, Weights]:
    """Amplitudes (e,) of a subject's expressions, and target weights (e, t) of amplitude 1."""
    names = shape_model().names
    amplitudes, weights = [], []
    for ways in EXPRESSIONS.values():
        spread = AMPLITUDE_SIGMA * rng.normal()
        amplitudes.append(np.clip(1 + spread, *AMPLITUDE_RANGE) if ways else 0.0)
        shares = rng.dirichlet([CONCENTRATION] * len(ways)) if ways else np.empty(0)
        own = dict(zip(ACTIONS, np.exp(ACTION_SIGMA * rng.normal(size=len(ACTIONS))), strict=True))
        # one side for all actions, as a lopsided smile is lopsided in all of them
        side = np.clip(SIDE_SIGMA * rng.standard_t(3), -MOST_SIDED, MOST_SIDED)
        amounts: dict[str, float] = {}
        for share, way in zip(shares, ways.values(), strict=True):
            for action, amount in way.items():
                amounts[action] = amounts.get(action, 0.0) + share * amount * own[action]
        sided: dict[str, npt.ArrayLike] = {}
        for action, amount in amounts.items():
            if f"action/{action}" in names:
                sided[action] = amount
            else:
                more = 0.0 if action in BOTH_SIDES else side
                sided[f"{action}Left"] = amount * (1 + more)
                sided[f"{action}Right"] = amount * (1 - more)
        weights.append(targets.action_weights(sided, 1)[0])
    return np.array(amplitudes), np.array(weights)
