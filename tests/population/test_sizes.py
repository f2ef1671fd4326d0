"""Facial widths and heights: measured right, and those of people."""

import numpy as np
import pytest

from facesynth.population.head import on_face
from facesynth.population.identity import GENDERS, sample_faces
from facesynth.population.sizes import PEOPLE, sizes
from facesynth.template import standard


def test_sizes_grow_with_a_face_and_proportions_do_not() -> None:
    face = standard().vertices
    one, larger = (sizes(s * face[None] + 3.0) for s in (1.0, 1.1))
    for name in PEOPLE:
        grown = 1.1 if name.endswith("(mm)") else 1.0
        np.testing.assert_allclose(larger[name], grown * one[name])


def test_widths_and_heights_are_told_apart() -> None:
    face = standard().vertices
    one, wider, taller = (sizes(face[None] * s) for s in (1.0, [1.1, 1, 1], [1, 1.1, 1]))
    factor = {name: [float(f[name][0] / one[name][0]) for f in (wider, taller)] for name in PEOPLE}
    breadths = ("bizygomatic breadth (mm)", "between the pupils (mm)")
    for name in breadths:
        assert factor[name] == pytest.approx([1.1, 1.0], abs=0.005)
    assert factor["menton to sellion (mm)"] == pytest.approx([1.0, 1.1], abs=0.005)
    assert factor["nose breadth / pupils"] == pytest.approx([1.0, 1.0], abs=0.005)
    assert factor["mouth breadth / pupils"] == pytest.approx([1.0, 1.0], abs=0.005)
    assert factor["pupils down to mouth / pupils"] == pytest.approx([1 / 1.1, 1.1], abs=0.005)


def test_faces_have_peoples_sizes() -> None:
    n = 360
    subjects, heads = sample_faces(n, seed=21)
    found = sizes(on_face(heads))
    each = n / 2
    for name, people in PEOPLE.items():
        for k, gender in enumerate(GENDERS):
            values = found[name][subjects.gender == k]
            mean, deviation = people[gender]
            # three standard errors of the sample beside what the population itself may be off
            assert abs(values.mean() - mean) < 0.02 * mean + 3 * deviation / each**0.5
            assert (
                0.9 - 3 / (2 * each) ** 0.5 < values.std() / deviation < 1.1 + 3 / (2 * each) ** 0.5
            ), (name, gender)


def test_breadths_go_together_as_in_people() -> None:
    subjects, heads = sample_faces(240, seed=22)
    found = sizes(on_face(heads))
    rows = [found[name] for name in list(PEOPLE)[:3]]
    within = np.array(
        [row - [row[subjects.gender == g].mean() for g in subjects.gender] for row in rows]
    )
    breadth_height, breadth_pupils, height_pupils = np.corrcoef(within)[np.triu_indices(3, 1)]
    # ANSUR II: 0.20, 0.44 (men) and 0.48 (women), 0.16 and 0.23
    assert -0.05 < breadth_height < 0.5
    assert 0.3 < breadth_pupils < 0.75
    assert -0.05 < height_pupils < 0.45
    assert breadth_pupils > max(breadth_height, height_pupils)
