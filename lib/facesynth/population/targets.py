"""Weights of MakeHuman's targets: how a person's traits become a sum of blend shapes.

Macro traits (gender, age, ancestry, muscle, weight) mix targets multilinearly, as MakeHuman does.
Local axes (nose width, eye height, …) each move a face along a target or against it.
"""

import functools
import itertools

import numpy as np
import numpy.typing as npt

from facesynth.population.shape import Weights, shape_model
from facesynth.surface.mesh import FloatArray

ANCESTRIES = ("african", "asian", "caucasian")  # MakeHuman's names for its targets
LOCAL_GROUPS = ("head", "nose", "mouth", "eyes", "chin", "cheek", "forehead", "eyebrows", "neck")
# moves of the whole head, which alignment would undo, and shapes that overlap with the macro traits
LEFT_OUT = ("head/head-trans", "head/head-back", "head/head-age", "head/head-angle")
OPPOSITES = (
    ("-decr", "-incr"),
    ("-down", "-up"),
    ("-in", "-out"),
    ("-backward", "-forward"),
    ("-concave", "-convex"),
    ("-compress", "-uncompress"),
)


def macro_weights(
    male: FloatArray, age: FloatArray, ancestry: FloatArray, muscle: FloatArray, weight: FloatArray
) -> Weights:
    """Target weights (n, t) of macro traits.

    male, muscle, weight (n,) in [0, 1]; age (n,) from 0 = young to 1 = old; ancestry (n, 3), rows
    sum to 1, in the order of `ANCESTRIES`.
    """
    model = shape_model()
    weights = np.zeros((len(male), len(model.names)))
    genders = {"female": 1 - male, "male": male}
    ages = {"young": 1 - age, "old": age}
    for (gender, g), (stage, a) in itertools.product(genders.items(), ages.items()):
        for name, part in zip(ANCESTRIES, ancestry.T, strict=True):
            weights[:, model.row(f"macro/{name}-{gender}-{stage}")] = g * a * part
        for (m_name, m), (w_name, w) in itertools.product(_thirds(muscle), _thirds(weight)):
            target = f"macro/universal-{gender}-{stage}-{m_name}muscle-{w_name}weight"
            if target in model.names:  # the average one moves nothing
                weights[:, model.row(target)] = g * a * m * w
    return weights


def _thirds(x: FloatArray) -> list[tuple[str, FloatArray]]:
    """Linear interpolation between minimum (0), average (1/2) and maximum (1)."""
    return [
        ("min", np.maximum(0, 1 - 2 * x)),
        ("average", 1 - np.abs(2 * x - 1)),
        ("max", np.maximum(0, 2 * x - 1)),
    ]


def mean_weights() -> Weights:
    """Weights (1, t) of the template: midway between the genders and ancestries, aged 35."""
    half = np.array([0.5])
    return macro_weights(half, years_to_age(np.array([35.0])), np.full((1, 3), 1 / 3), half, half)


def years_to_age(years: FloatArray) -> FloatArray:
    """MakeHuman's age, from young (0, at 25 years) to old (1, at 90); the youngest lie below 0."""
    return np.clip((years - 25.0) / 65.0, -0.1, 0.8)


@functools.cache
def local_axes() -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Local axes: name -> rows of the targets of its negative and of its positive direction.

    Left and right targets of eyes and cheeks are tied (their name begins with `@`).
    """
    model = shape_model()
    axes: dict[str, tuple[list[int], list[int]]] = {}
    for row, name in enumerate(model.names):
        group, stem = name.split("/")
        if group not in LOCAL_GROUPS or name.startswith(LEFT_OUT):
            continue
        if stem[:2] in ("l-", "r-"):
            stem = "@" + stem[2:]
        for down, up in OPPOSITES:
            if stem.endswith((down, up)):
                side = int(stem.endswith(up) and not stem.endswith(down))
                stem = stem.removesuffix(up if side else down)
                # a translation has an axis for each direction
                stem += f":{down[1:]}" if "trans" in stem else ""
                break
        else:
            side = 1
        axes.setdefault(f"{group}/{stem}", ([], []))[side].append(row)
    return {name: (tuple(low), tuple(high)) for name, (low, high) in sorted(axes.items())}


def local_weights(coefficients: FloatArray) -> Weights:
    """Target weights (n, t) of local coefficients (n, len(local_axes())).

    An axis without a negative direction moves the same way for both signs.
    """
    weights = np.zeros((len(coefficients), len(shape_model().names)))
    for value, (low, high) in zip(coefficients.T, local_axes().values(), strict=True):
        for row in high:
            weights[:, row] += np.maximum(value, 0) if low else np.abs(value)
        for row in low:
            weights[:, row] += np.maximum(-value, 0)
    return weights


@functools.cache
def asymmetry_axes() -> tuple[tuple[int, int], ...]:
    """Rows of the targets of each asymmetry to the left and to the right."""
    model = shape_model()
    stems = sorted(name[:-2] for name in model.names if name.startswith("asym/asym-"))
    kept = sorted({s for s in stems if "ear" not in s and "top" not in s})
    return tuple(
        (model.row(f"{s}-l"), model.row(f"{s}-r"))
        for s in kept
        if {f"{s}-l", f"{s}-r"} <= set(model.names)
    )


def asymmetry_weights(coefficients: FloatArray) -> Weights:
    """Target weights (n, t) of asymmetries (n, len(asymmetry_axes()))."""
    weights = np.zeros((len(coefficients), len(shape_model().names)))
    for value, (left, right) in zip(coefficients.T, asymmetry_axes(), strict=True):
        weights[:, left] += np.maximum(value, 0)
        weights[:, right] += np.maximum(-value, 0)
    return weights


def action_weights(actions: dict[str, npt.ArrayLike], n: int) -> Weights:
    """Target weights (n, t) of facial actions; a name without Left or Right means both sides."""
    model = shape_model()
    weights = np.zeros((n, len(model.names)))
    for action, amount in actions.items():
        whole = f"action/{action}"
        for name in [whole] if whole in model.names else [f"{whole}Left", f"{whole}Right"]:
            weights[:, model.row(name)] += np.asarray(amount)
    return weights
