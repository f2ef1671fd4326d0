"""Expressions as components of differences: identities, held-out faces, named directions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from facesynth import expressions
from facesynth.dataset import dataset
from facesynth.dataset.dataset import Dataset
from facesynth.dataset.sources import DatasetError
from facesynth.expressions import (
    MEASURES,
    ExpressionModel,
    ExpressionsError,
    explained_by_means,
    held_still,
    mean_differences,
    measure,
    measure_operator,
    pairs,
    relative_spread,
)
from facesynth.morphable_model import ComponentsError
from facesynth.population import EXPRESSIONS, sample
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import standard


@pytest.fixture(scope="module")
def faces():
    """(n, e, m, 3) mm, neutral ones first."""
    return sample(12, 1, expressions=True, progress=False).expressions


@pytest.fixture(scope="module", name="pairs")
def neutral_and_expressive(faces):
    expressive = faces[:, 1:].reshape(-1, *faces.shape[2:])
    return np.repeat(faces[:, 0], faces.shape[1] - 1, axis=0), expressive


@pytest.fixture(scope="module")
def model(pairs):
    return ExpressionModel(8).fit(pairs[0][:-8], pairs[1][:-8])


def test_two_points_by_hand():
    neutral = np.zeros((2, 1, 3))
    expressive = np.array([[[1.0, 0, 0]], [[3.0, 0, 0]]])
    model = ExpressionModel(1).fit(neutral, expressive)
    np.testing.assert_allclose(model.mean_, [[2, 0, 0]])
    np.testing.assert_allclose(model.components_, [[[1, 0, 0]]])
    np.testing.assert_allclose(model.explained_variance_, [2])
    np.testing.assert_allclose(model.apply([[5.0, 5, 5]], [1.0]), [[8, 5, 5]])
    np.testing.assert_allclose(model.neutral_, [-2])


def test_all_components_give_every_training_expression_back(pairs):
    neutral, expressive = (part[:10] for part in pairs)
    model = ExpressionModel().fit(neutral, expressive)
    rebuilt = model.apply(neutral, model.transform(neutral, expressive))
    np.testing.assert_allclose(rebuilt, expressive, atol=1e-3)


def test_expressions_of_others_are_rebuilt(model, pairs):
    neutral, expressive = (part[-8:] for part in pairs)  # of two subjects
    rebuilt = model.apply(neutral, model.transform(neutral, expressive))
    away, moved = (np.linalg.norm(x - expressive, axis=2).mean() for x in (rebuilt, neutral))
    assert away < 0.35 * moved  # everybody has ways of their own, and ten people are few


def test_a_neutral_face_s_coefficients_leave_it_about_as_it_is(model, pairs):
    face = pairs[0][0]
    away = np.linalg.norm(model.apply(face, model.neutral_) - face, axis=1)
    assert away.mean() < 0.3  # mm: the mean difference is not wholly in the components


def test_unmoved_vertices_stay(pairs):
    """What no training expression moves, no coefficients move."""
    neutral, expressive = pairs
    unmoved = np.arange(neutral.shape[1]) < 500
    held = np.where(unmoved[:, None], neutral, expressive)
    model = ExpressionModel(8).fit(neutral, held)
    made = model.apply(neutral[0], 3 * model.sample(5, random_state=0))
    np.testing.assert_allclose(made[:, unmoved], neutral[0][None, unmoved].repeat(5, 0), atol=1e-5)


def test_one_expression_on_many_faces_and_many_on_one(model, pairs):
    alpha = model.sample(3, random_state=1)
    assert np.array_equal(alpha, model.sample(3, random_state=1))
    faces = pairs[0][:3]
    each = model.apply(faces, alpha)
    for k in range(3):
        np.testing.assert_allclose(model.apply(faces[k], alpha[k]), each[k], atol=1e-4)
    assert model.apply(faces[0], alpha).shape == each.shape
    assert model.apply(faces, alpha[0]).shape == each.shape


def test_samples_have_the_model_s_variances(model):
    drawn = model.sample(20_000, random_state=0)
    np.testing.assert_allclose(drawn.var(axis=0), model.explained_variance_, rtol=0.05)


def test_a_direction_changes_its_measure_alone(model, pairs):
    face = pairs[0][0]
    before = measure(model.apply(face, model.neutral_)[None])
    for name, direction in model.directions().items():
        after = measure(model.apply(face, model.neutral_ + 3 * direction)[None])
        for other in MEASURES:
            change = after[other] - before[other]
            np.testing.assert_allclose(change, 3 if other == name else 0, atol=1e-3)


def test_measures_are_distances_of_landmarks():
    face, marks = standard().vertices, standard().landmarks
    found = measure(face[None])
    assert found["smile"] == pytest.approx(face[marks[37], 0] - face[marks[31], 0])
    assert 30 < found["smile"][0] < 70
    assert found["jaw open"] == pytest.approx(face[marks[34], 1] - face[marks[40], 1])
    assert found["brow raise"][0] > 5
    np.testing.assert_allclose(measure_operator().sum(axis=1), 0, atol=1e-12)  # wherever it is


def test_what_expressions_are_for(faces):
    change = {name: (v - v[0])[1:] for name, v in measure(faces.mean(axis=0)).items()}
    assert change["smile"].argmax() == 0  # smile, surprise, sadness, anger
    assert change["jaw open"].argmax() == 1
    assert change["brow raise"].argmin() == 3


def test_what_an_expression_leaves_alone_is_held_still(faces):
    """Surprise, with the head turned and moved, as a scan would be."""
    turn = Rotation.from_euler("xyz", [1.5, -1, 0.5], degrees=True).as_matrix()
    moved = faces[:, 2] @ turn.T + [1, -2, 0.5]
    found = held_still(faces[:, 0], moved)
    away = np.linalg.norm(found - faces[:, 2], axis=2)
    before = np.linalg.norm(moved - faces[:, 2], axis=2)
    assert away.mean() < 0.15 * before.mean()
    lengths = [np.linalg.norm(x[:, 1:] - x[:, :1], axis=2) for x in (found, moved)]
    np.testing.assert_allclose(*lengths, atol=1e-3)  # a rigid motion


def scans_of(faces):
    n, e = faces.shape[:2]
    return Dataset.of(
        faces.reshape(-1, *faces.shape[2:]).astype(np.float32),
        np.zeros((n * e, 1, 1, 3), np.uint8),
        subjects=np.repeat(np.arange(n), e),
        expressions=np.tile(np.arange(e), n),
        expression_names=tuple(EXPRESSIONS),
    )


def test_mean_differences_are_told_from_scans_that_moved(faces):
    truth = (faces - faces[:, :1]).mean(axis=0)
    turn = Rotation.from_euler("xyz", [1.5, -1, 0.5], degrees=True).as_matrix()
    turned = np.concatenate([faces[:, :1], faces[:, 1:] @ turn.T + [1, -2, 0.5]], axis=1)
    found = mean_differences(scans_of(turned))
    assert list(found) == list(EXPRESSIONS)
    np.testing.assert_allclose(found["neutral"], 0, atol=1e-3)
    for name, expected in zip(EXPRESSIONS, truth, strict=True):
        assert np.linalg.norm(found[name] - expected, axis=1).mean() < 0.3, name  # mm


def test_pairs_are_of_one_subject_and_held_still(faces):
    neutral, _, kind = pairs(scans_of(faces[:2] + [0, 0, 3]))
    rest = np.repeat(faces[:2, 0] + [0, 0, 3], 4, axis=0)
    np.testing.assert_allclose(neutral, rest, atol=1e-3)
    assert kind.tolist() == [1, 2, 3, 4] * 2
    moved = scans_of(np.stack([faces[0, :2] + [0, 0, 9 * k] for k in range(2)]))
    np.testing.assert_allclose(*(x[0] - x[1] for x in pairs(moved)[:2]), atol=1e-2)


def test_what_means_explain_by_hand():
    moved = np.array([[3.0, 0], [1, 0], [0, 2], [0, -2]])
    assert explained_by_means(moved) == pytest.approx(4 * 1 / 18)  # their mean is (1, 0)
    assert explained_by_means(moved, ["a", "a", "b", "b"]) == pytest.approx(2 * 4 / 18)
    assert explained_by_means(np.ones((3, 2, 2))) == 1


def test_a_spread_is_relative_to_that_of_others():
    reference = {name: np.array([-1.0, 1]) for name in MEASURES}
    doubled = {name: 5 + 2 * of for name, of in reference.items()}
    assert relative_spread(doubled, reference) == 2
    assert relative_spread(doubled | {"smile": reference["smile"]}, reference) == 5 / 3


def test_differences_need_every_expression_and_neutral_scans(faces):
    scans = scans_of(faces[:2])
    with pytest.raises(ExpressionsError, match="no scan shows expression 2, surprise"):
        mean_differences(scans.take(scans.expressions != 2))
    with pytest.raises(DatasetError, match="have no neutral scan"):
        mean_differences(scans.take((scans.expressions != 0) | (scans.subjects != 1)))


def test_differences_that_are_saved_are_read(faces, tmp_path):
    path = tmp_path / expressions.FILE
    found = mean_differences(scans_of(faces[:2]))
    expressions.save(str(path), found)
    for name, read in expressions.load(str(path)).items():
        np.testing.assert_allclose(read, found[name], atol=0.03)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ExpressionsError, match=r"damaged .*`make faces` writes it"):
        expressions.load(path)
    with pytest.raises(ExpressionsError, match="missing or damaged"):
        expressions.load(tmp_path / "other.npz")


def test_what_comes_with_the_package_is_what_its_scans_show(faces):
    template, released = dataset.released(0).template, expressions.released()
    still = template.vertices
    change = measure(np.stack([still + released[name] for name in EXPRESSIONS]), template)
    added = (faces - faces[:, :1]).mean(axis=0)  # of twelve others
    truth = measure(standard().vertices + added)
    for name in MEASURES:
        np.testing.assert_allclose(change[name], truth[name], atol=7)  # mm, of so few
    assert change["jaw open"].argmax() == list(EXPRESSIONS).index("surprise")
    assert np.abs(released["neutral"]).max() < 0.01
    for name, of in released.items():
        mirrored = of[template.mirror] * [-1, 1, 1]
        assert np.linalg.norm(mirrored - of, axis=1).mean() < 0.3, name


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32])
def test_whole_numbers_do_not_wrap_around(model, pairs, dtype):
    given = [(faces + 100).astype(dtype) for faces in pairs]
    exact = [faces.astype(np.float64) for faces in given]
    found, expected = (ExpressionModel(5).fit(*faces) for faces in (given, exact))
    np.testing.assert_array_equal(found.mean_, expected.mean_)
    np.testing.assert_array_equal(found.transform(*given), expected.transform(*exact))
    np.testing.assert_array_equal(held_still(*given), held_still(*exact))
    np.testing.assert_array_equal(
        model.apply(given[0], model.neutral_), model.apply(exact[0], model.neutral_)
    )


@pytest.mark.parametrize("dtype", [bool, complex, str, object])
def test_faces_of_no_real_numbers_are_named(model, pairs, dtype):
    neutral, expressive = (faces[:3].astype(dtype) for faces in pairs)
    for use in (
        lambda: ExpressionModel().fit(neutral, expressive),
        lambda: held_still(pairs[0][:3], expressive),
        lambda: model.apply(neutral, model.neutral_),
        lambda: measure(neutral),
    ):
        with pytest.raises(MeshArrayError, match=r"faces are of type .*; expected numbers, in mm"):
            use()


def test_bad_input(model, pairs):
    neutral, expressive = pairs
    with pytest.raises(MeshArrayError, match="must be pairs"):
        ExpressionModel().fit(neutral, expressive[:-1])
    with pytest.raises(MeshArrayError, match="must be pairs"):
        model.transform(neutral[:, :-1], expressive[:, :-1])
    broken = expressive.copy()
    broken[3, 5] = np.nan
    with pytest.raises(MeshArrayError, match=r"1 expressive faces .* not finite, the first 3"):
        ExpressionModel().fit(neutral, broken)
    with pytest.raises(ComponentsError, match="n_components=99"):
        ExpressionModel(99).fit(neutral, expressive)
    with pytest.raises(MeshArrayError, match="neutral faces have shape"):
        model.apply(neutral[0, :-1], model.neutral_)
    with pytest.raises(MeshArrayError, match="coefficients have shape"):
        model.apply(neutral[0], model.neutral_[:-1])
    with pytest.raises(MeshArrayError, match=r"faces have shape .*; expected \(n, "):
        measure(neutral[0])
    with pytest.raises(ValueError, match="minimum of 2"):
        ExpressionModel().fit(neutral[:0], expressive[:0])
    with pytest.raises(ValueError, match="2 components cannot change"):
        ExpressionModel(2).fit(neutral, expressive).directions()
    with pytest.raises(NotFittedError):
        clone(model).sample(1)
