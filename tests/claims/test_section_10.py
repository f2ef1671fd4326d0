"""What Section 10's claims are decided by, worked by hand and on copies."""

import numpy as np
import pytest

from facesynth.claims import section_10

RNG = np.random.default_rng(0)


def test_copies_are_not_farther_and_strangers_are():
    same = RNG.normal(0.3, 0.02, 400)
    assert section_10.farther(np.zeros(50), same).is_above(0) is False
    found = section_10.farther(RNG.normal(0.5, 0.05, 50), same)
    assert found.is_above(0)
    assert found.value == pytest.approx(0.2, abs=0.03)


def test_the_gap_of_a_gaussian_is_small_and_of_two_peaks_large():
    assert section_10.gap(RNG.normal(0.5, 0.05, 400)).value < 0.06
    assert section_10.gap(np.repeat([0.0, 1.0], 200)).value > 0.3


def test_memorised_faces_are_taken_more_often_than_held_out_ones():
    people = np.arange(60)
    held_out = RNG.normal(0.5, 0.05, 60)
    assert section_10.taken_more(np.zeros(100), held_out, people, 0.4).is_above(0.1)
    assert section_10.taken_more(held_out, held_out, people, 0.1).is_above(0.1) is False


def test_the_worst_level_is_that_whose_interval_reaches_highest():
    base = {"32": np.array([10.0, 10, 10]), "16": np.array([10.0, 10, 10])}
    row = {"32": np.array([5.0, 5, 5]), "16": np.array([8.0, 8, 8]), "mean": np.array([6.5, 6, 7])}
    found = {level: number.value for level, number in section_10.relative(row, base).items()}
    assert found == pytest.approx({32: -0.5, 16: -0.2})
    assert section_10.worst(section_10.relative(row, base)).value == found[16]
    noisy = row | {"32": np.array([1.0, 5, 9])}
    assert section_10.worst(section_10.relative(noisy, base)).interval[1] > 0


def test_labels_are_compared_with_the_most_frequent_one():
    truth = np.array(["a", "a", "a", "b"])
    people = np.arange(4)
    assert section_10.better_than_guessing(truth, truth, people).value == 0.25
    assert section_10.better_than_guessing(np.full(4, "a"), truth, people).value == 0
    assert section_10.better_than_guessing(np.full(4, "b"), truth, people).value == -0.5


def test_scans_of_others_are_of_one_person_for_one_person():
    subjects = np.array([7, 7, 3, 3, 9])
    rows = section_10.of_others(subjects, np.random.default_rng(0))
    whose = subjects[rows]
    assert whose[0] == whose[1]
    assert whose[2] == whose[3]
    assert sorted({int(whose[0]), int(whose[2]), int(whose[4])}) == [3, 7, 9]
    assert set(rows) == {1, 3, 4}  # the last scan of each
