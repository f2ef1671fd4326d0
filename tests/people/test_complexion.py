"""Aggregates of people's skin: how they are made, and that they show nobody."""

import dataclasses
import os

import numpy as np
import pytest

from facesynth.people import complexion as made
from facesynth.people import real_data, realism
from facesynth.population import complexion
from facesynth.population.appearance import COMPLEXIONS, sample_appearance
from facesynth.population.head import head

S = complexion.SIDE


@pytest.fixture(scope="module")
def people() -> list[real_data.Portrait]:
    if "CI" not in os.environ and real_data.FOLDER not in os.environ:
        pytest.skip(f"needs the photographs of the London set; set {real_data.FOLDER}")
    return real_data.london()


def look(**changes: object) -> object:
    plain = sample_appearance(np.random.default_rng(0), 1.0, [0, 0, 1], 30)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_a_subject_has_its_groups_complexion_and_its_own_components():
    table, none = complexion.table(), (0.0,) * COMPLEXIONS
    women, men, others = table["groups"]
    for male, european, expected in (
        (0.0, 1.0, women),
        (1.0, 1.0, men),
        (0.5, 1.0, 0.5 * (women + men)),
        (0.5, 0.0, others),
        (1.0, 0.0, others + 0.5 * (men - women)),
    ):
        image = complexion.frontal(look(male=male, european=european, complexion=none))
        np.testing.assert_allclose(image, expected, atol=1e-5)
    third = complexion.frontal(
        look(male=1.0, european=1.0, complexion=tuple(2.0 * np.eye(COMPLEXIONS)[2]))
    )
    np.testing.assert_allclose(third - men, 2 * table["components"][1, 2], atol=1e-5)


def test_the_tables_are_small_and_symmetric():
    table = complexion.table()
    assert table["groups"].shape == (3, S, S, 3)
    assert table["components"].shape == (2, COMPLEXIONS, S, S, 3)
    assert table["skin"].shape == head().vertices.shape
    for images in (table["groups"], *table["components"]):
        np.testing.assert_allclose(images, images[:, :, ::-1], atol=2e-3)
    mirror = head().mirror
    np.testing.assert_allclose(table["skin"], table["skin"][mirror], atol=2e-3)
    # the factors of colour stay what skin can be
    assert np.abs(table["groups"]).max() < 1.2
    # orthogonal, largest first: principal components
    for components in table["components"].reshape(2, COMPLEXIONS, -1).astype(float):
        sizes = np.linalg.norm(components, axis=1)
        assert (np.diff(sizes) <= 1e-2).all()
        cosines = (components / sizes[:, None]) @ (components / sizes[:, None]).T
        assert np.abs(cosines - np.eye(COMPLEXIONS)).max() < 0.02


def test_every_group_has_at_least_twenty_people(people: list[real_data.Portrait]):
    gender = np.array([person.gender for person in people])
    group = made.groups_of(gender, np.array([p.ethnicity == "white" for p in people]))
    assert np.bincount(group).tolist() == [35, 34, 33]
    assert set(gender[group == 0]) == {"female"}
    assert set(gender[group == 1]) == {"male"}


def test_relative_images_are_symmetric_and_do_not_know_the_exposure():
    images = np.random.default_rng(0).normal(-1.5, 0.1, (3, S, S, 3))
    found = made.relative(images)
    np.testing.assert_allclose(found, found[:, :, ::-1])
    np.testing.assert_allclose(made.relative(images + [0.4, -0.2, 0.1]), found, atol=1e-12)
    hairy = images.copy()
    hairy[0, 4:8, 10:20] -= 3.0  # a lock on one side of the forehead
    np.testing.assert_allclose(made.relative(hairy)[1:], found[1:])
    assert np.isfinite(made.relative(hairy)[0]).all()  # the other side tells
    assert np.abs(made.relative(hairy) - found).max() < 0.5


def test_photographs_are_warped_to_one_shape(people: list[real_data.Portrait]):
    crops = np.stack([realism.photographed(person) for person in people[:3]])
    images = made.shape_free(crops)[0]
    assert images.shape == (3, S, S, 3)
    # warped to its own landmarks, a crop is only resampled: what lies at a pixel stays there
    own, marks = made.shape_free(crops[:1])
    again, kept = made.shape_free(crops[:1], marks)
    np.testing.assert_array_equal(own, again)
    np.testing.assert_array_equal(marks, kept)
    # eyes are darker than cheeks at the same places in all
    dark = images.mean(axis=-1)
    assert (dark[:, 24, 18] < dark[:, 36, 18]).all()
