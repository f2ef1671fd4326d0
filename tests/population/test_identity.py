"""Who is drawn: balance, independence, the rule of acceptance, expressions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesynth.population.expression import EXPRESSIONS, sample_expressions
from facesynth.population.head import head, on_face
from facesynth.population.identity import neutral_geometry, sample_identities
from facesynth.population.plausibility import (
    PROPORTIONS,
    acceptable,
    crosses,
    folded,
    plausible,
    proportions,
)
from facesynth.template import standard


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return neutral_geometry(sample_identities(250, seed=11))


@pytest.fixture(scope="module")
def more_faces() -> np.ndarray:
    return neutral_geometry(sample_identities(250, seed=12))


@pytest.mark.parametrize("sample", ["faces", "more_faces"])
def test_no_face_of_500_passes_through_itself(sample: str, request: pytest.FixtureRequest) -> None:
    drawn = request.getfixturevalue(sample)
    assert np.isfinite(drawn).all()
    assert not crosses(drawn).any()  # exact, on the whole face


def test_every_face_obeys_the_rule(faces: np.ndarray) -> None:
    assert plausible(faces).all()
    assert not folded(faces).any()
    assert acceptable(faces[:5]).all()


def test_the_rule_rejects_what_it_says() -> None:
    face = head().vertices[None]
    assert acceptable(face)[0]
    wide = face.copy()
    wide[..., 0] *= np.where(np.abs(wide[..., 1] + 18) < 8, 3.0, 1.0)  # a nose as wide as a mouth
    assert not plausible(wide)[0]
    creased = face.copy()
    centre = face[0, head().landmarks[28 - 17]]
    near = np.linalg.norm(face[0] - centre, axis=1) < 6.0
    creased[0, near, 1] = 2 * centre[1] - creased[0, near, 1]  # a patch of skin upside down
    assert folded(creased)[0]
    assert not acceptable(creased)[0]
    crossed = face.copy()
    lips = head().curves["upper_lip"][5:-5]
    crossed[0, lips, 1] -= 6.0  # the upper lip below the lower one
    assert plausible(crossed)[0]
    assert crosses(crossed)[0]
    assert not acceptable(crossed)[0]


def test_proportions_do_not_depend_on_size_or_pose(faces: np.ndarray) -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    turned = 1.7 * faces[:3] @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) + 5.0
    for name in PROPORTIONS:
        np.testing.assert_allclose(proportions(turned)[name], proportions(faces[:3])[name])


def test_labels_are_balanced_within_every_six() -> None:
    drawn = sample_identities(24, seed=3)
    cells = (drawn.gender * 3 + drawn.ancestry).reshape(-1, 6)
    np.testing.assert_array_equal(np.sort(cells, axis=1), np.tile(np.arange(6), (4, 1)))
    np.testing.assert_array_equal(drawn.shares.argmax(1), drawn.ancestry)
    np.testing.assert_allclose(drawn.shares.sum(1), 1)
    assert ((drawn.masculinity > 0.5) == (drawn.gender == 1)).all()
    assert drawn.age.min() >= 18
    assert drawn.age.max() <= 75


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 8), st.integers(1, 6), st.integers(0, 100))
def test_a_subject_depends_on_seed_and_number_only(first: int, n: int, seed: int) -> None:
    whole = sample_identities(first + n, seed)
    part = sample_identities(n, seed, first)
    np.testing.assert_array_equal(whole.local[first:], part.local)
    np.testing.assert_array_equal(whole.age[first:], part.age)


def test_no_subject_and_bad_arguments() -> None:
    assert len(sample_identities(0, seed=0)) == 0
    with pytest.raises(ValueError, match="must not be negative"):
        sample_identities(-1, seed=0)


def test_faces_lie_rigidly_on_the_template(faces: np.ndarray) -> None:
    faces, target = on_face(faces), standard().vertices
    np.testing.assert_allclose(faces.mean(1), np.tile(target.mean(0), (len(faces), 1)), atol=1e-9)
    # a small turn away must not bring the face closer
    a = 0.01
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    for face in faces[:5]:
        best = np.linalg.norm(face - target)
        for rotation in (turn, turn.T):
            assert np.linalg.norm((face - face.mean(0)) @ rotation + face.mean(0) - target) >= best


def test_expressions_are_whole_and_vary() -> None:
    drawn = sample_identities(18, seed=5)
    sets, amplitudes = sample_expressions(drawn, seed=5)
    assert len(EXPRESSIONS) >= 5
    assert next(iter(EXPRESSIONS)) == "neutral"
    assert sets.shape[:2] == (18, len(EXPRESSIONS))
    np.testing.assert_allclose(sets[:, 0], neutral_geometry(drawn), atol=1e-9)
    assert not crosses(sets.reshape(-1, *sets.shape[2:])).any()
    assert (amplitudes[:, 0] == 0).all()
    assert amplitudes[:, 1:].std(0).min() > 0.05
    part, _ = sample_expressions(drawn[6:9], seed=5, first=6)
    np.testing.assert_allclose(part, sets[6:9], atol=1e-9)
    # an open mouth, raised brows or wide eyes in a surprise, a wider mouth in a smile
    points, names = head().landmarks, list(EXPRESSIONS)
    moves = sets[:, :, points] - sets[:, :1, points]
    surprise, smile = moves[:, names.index("surprise")], moves[:, names.index("smile")]
    opened = -surprise[:, 57 - 17, 1]
    raised = surprise[:, 2, 1] + surprise[:, 7, 1]
    assert np.maximum(opened, 2 * raised).min() > 1.0
    assert opened.mean() > 3.0
    assert raised.mean() > 2.0
    wider = smile[:, 54 - 17, 0] - smile[:, 48 - 17, 0]
    assert wider.mean() > 4.0
    assert (wider > 0.5).mean() > 0.9


def test_people_differ_in_how_they_make_an_expression() -> None:
    sets, _ = sample_expressions(sample_identities(72, seed=9), seed=9)
    moves = (sets[:, 1:] - sets[:, :1]).reshape(72, len(EXPRESSIONS) - 1, -1)
    total = (moves**2).sum(2).mean(0)
    shared = (moves.mean(0) ** 2).sum(1)  # what the mean of all explains
    assert shared.sum() / total.sum() < 0.62  # 0.55 in large samples
    assert (shared / total < 0.72).all()
    assert (shared / total > 0.25).all()  # and yet an expression is one
    # no single direction tells how subjects differ, as amplitudes alone would
    for k in range(len(total)):
        spread = np.linalg.svd(moves[:, k] - moves[:, k].mean(0), compute_uv=False) ** 2
        assert spread[0] / spread.sum() < 0.97
