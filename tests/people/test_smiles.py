"""Smiles that are drawn by hand are measured as they were drawn."""

import os

import numpy as np
import pytest

from facesynth.people import real_data, smiles
from facesynth.people.shape_free import PUPILS
from facesynth.surface.mesh import MeshArrayError


@pytest.fixture
def rest():
    """(2, 43, 2) mm, with pupils as far apart as all faces have them."""
    points = np.random.default_rng(0).normal(scale=20, size=(2, 43, 2))
    points[:, [19, 22, 25, 28]] = [[-40, 0], [-22, 0], [22, 0], [40, 0]]
    assert PUPILS == 62
    return points


@pytest.fixture
def drawn(rest):
    """The same faces: the mouth 4 mm wider, its corners 3 mm up, the upper lip 1 mm up."""
    smiling = rest.copy()
    smiling[:, 31] += [-2, 3]
    smiling[:, 37] += [2, 3]
    smiling[:, 34, 1] += 1
    return smiling


def test_a_smile_is_measured_whatever_the_picture(rest, drawn):
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    for smiling in (drawn, 5 * drawn @ turn + [100, -30]):
        at_rest, moves = smiles.in_mm(7 * rest + [4, 9], smiling)
        np.testing.assert_allclose(np.diff(at_rest, axis=1), np.diff(rest, axis=1), atol=1e-9)
        np.testing.assert_allclose(moves, drawn - rest, atol=1e-9)
        np.testing.assert_allclose(at_rest[:, smiles.STILL].mean(axis=1), 0, atol=1e-9)
    found = [values.tolist() for values in smiles.measured(moves).values()]
    np.testing.assert_allclose(found, [[4, 4], [3, 3], [1, 1], [0, 0]], atol=1e-9)


def test_landmarks_that_are_no_pairs_are_named(rest):
    for bad in (rest[:1], rest[:, :42], rest[..., :1]):
        with pytest.raises(MeshArrayError, match="must be pairs"):
            smiles.in_mm(rest, bad)
        with pytest.raises(MeshArrayError, match="must be pairs"):
            smiles.in_mm(bad, bad if bad.shape[1:] != (43, 2) else rest)


def test_people_who_smile_have_wider_mouths():
    if "CI" not in os.environ and real_data.FOLDER not in os.environ:
        pytest.skip(f"needs the photographs of the London set; set {real_data.FOLDER}")
    neutral, smiling = (
        smiles.detected(real_data.london(kind)[:3]) for kind in ("neutral", "smiling")
    )
    found = smiles.measured(smiles.in_mm(neutral, smiling)[1])
    assert found["mouth wider by"].mean() > 3  # mm
    assert found["corners of the mouth up by"].mean() > 1
