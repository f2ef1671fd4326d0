"""The figures that faces are compared by, on pictures whose figures are known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facesynth.people import real_data, realism
from facesynth.people.real_data import Portrait
from facesynth.people.realism import (
    BANDS,
    BETWEEN_EYES,
    CHEEKS,
    EYES_ROW,
    HEIGHT,
    MM_BETWEEN_EYES,
    MOUTH_BELOW,
    WIDTH,
    FacePointsError,
    align,
)
from facesynth.population.head import head
from facesynth.population.sampling import LABELS

PLACES = np.array(
    [
        [WIDTH / 2 - BETWEEN_EYES / 2, EYES_ROW],
        [WIDTH / 2 + BETWEEN_EYES / 2, EYES_ROW],
        [WIDTH / 2, EYES_ROW + MOUTH_BELOW * BETWEEN_EYES],
    ]
)


def uniform(rgb: tuple[int, int, int], n: int = 1) -> np.ndarray:
    return np.tile(np.array(rgb, np.uint8), (n, HEIGHT, WIDTH, 1))


@settings(max_examples=15)
@given(st.floats(0.5, 2), st.floats(-0.6, 0.6), st.floats(-30, 30), st.floats(-30, 30))
def test_eyes_and_mouth_come_to_their_places(
    scale: float, turn: float, dx: float, dy: float
) -> None:
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    points = (PLACES - PLACES.mean(axis=0)) @ np.array([[c, s], [-s, c]]) + [500 + dx, 500 + dy]
    y, x = np.mgrid[:1000, :1000]
    image = np.zeros((1000, 1000, 3), np.uint8)
    for channel, (px, py) in enumerate(points):
        squared = (x + 0.5 - px) ** 2 + (y + 0.5 - py) ** 2
        image[..., channel] = 255 * np.exp(-squared / (2 * (6 * scale) ** 2))
    crop = align(image, points).astype(float)
    assert crop.shape == (HEIGHT, WIDTH, 3)
    for channel, place in enumerate(PLACES):
        weight = crop[..., channel] / crop[..., channel].sum()
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        found = np.array([(weight * columns).sum(), (weight * rows).sum()])
        assert found == pytest.approx(place, abs=0.3)


def test_a_face_that_cannot_be_aligned() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    for points in (np.zeros((3, 2)), np.full((3, 2), np.nan), np.zeros((2, 2))):
        with pytest.raises(FacePointsError, match="two eyes and a mouth"):
            align(image, points)


@pytest.mark.parametrize(
    ("rgb", "wanted"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((119, 119, 119), (50.0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_known_colours(rgb: tuple[int, int, int], wanted: tuple[float, ...]) -> None:
    assert realism.lab(np.array(rgb, np.uint8)) == pytest.approx(wanted, abs=0.1)


def test_a_rendered_face_has_its_eyes_and_mouth_in_their_places() -> None:
    face = head()
    uv, texture = np.zeros((len(face.vertices), 2)), np.full((2, 2, 3), 0.4)
    crop = realism.rendered(face.vertices, uv, texture)
    assert crop.shape == (HEIGHT, WIDTH, 3)
    shifted = realism.rendered(face.vertices * 1.1 + [9.0, -7.0, 0.0], uv, texture)
    inside = slice(80, 400), slice(60, 340)
    difference = np.abs(crop.astype(int) - shifted)[inside]
    assert np.percentile(difference, 95) < 12  # size and place make no difference to a crop
    np.testing.assert_allclose(crop[:, ::-1][inside], crop[inside], atol=40)  # about symmetric


def person(age: float, gender: str, ethnicity: str) -> Portrait:
    return Portrait("x", age, gender, ethnicity, Path("x.jpg"), None)


def test_counterparts_have_the_same_labels_and_the_nearest_age() -> None:
    rows = [
        ("female", "caucasian", 30),
        ("female", "caucasian", 22),
        ("male", "african", 60),
        ("male", "asian", 25),
        ("female", "asian", 26),
    ]
    labels = np.array(rows, dtype=LABELS)
    people = [
        person(23, "female", "white"),
        person(20, "female", "west_asian"),  # the best is taken by then
        person(np.nan, "", "east_asian"),
        person(30, "male", "black"),
    ]
    np.testing.assert_array_equal(realism.counterparts(people, labels), [1, 0, 4, 2])
    with pytest.raises(ValueError, match=r"5 subjects are too few.*male, black"):
        realism.counterparts([*people, people[-1]], labels)
    with pytest.raises(FacePointsError, match="no landmarks"):
        realism.photographed(people[0])


def test_photographs_are_aligned_by_their_landmarks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    landmarks = np.zeros((189, 2))
    landmarks[[0, 1]] = PLACES[:2] + 50
    landmarks[[87, 93]] = PLACES[2] + 50 + np.array([[-30, 0], [30, 0]])
    image = np.random.default_rng(0).integers(0, 255, (600, 600, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    portrait = Portrait("x", 20, "female", "white", tmp_path / "x.png", landmarks)
    crop = realism.photographed(portrait)
    wanted = image[50 : 50 + HEIGHT, 50 : 50 + WIDTH]
    assert np.abs(crop.astype(int) - wanted).max() <= 1


def test_skin_colour_is_the_patches_median() -> None:
    crops = uniform((200, 160, 140), 2)
    crops[1, ::7] = 0  # a seventh of the rows is black: a median does not see them
    colours = realism.skin_colours(crops)
    np.testing.assert_allclose(colours[1], colours[0])
    np.testing.assert_allclose(colours[0], realism.lab(crops[0, 0, 0]))


def test_detail_of_a_smooth_face_is_none() -> None:
    np.testing.assert_allclose(realism.detail(uniform((150, 120, 100))), 0, atol=1e-4)


@pytest.mark.parametrize("band", range(len(BANDS) - 1))
def test_stripes_are_found_in_their_band(band: int) -> None:
    low, high = max(BANDS[band], 0.2), BANDS[band + 1]
    sigma = np.sqrt(low * high) * BETWEEN_EYES / MM_BETWEEN_EYES  # pixels
    wave = 2 * np.pi * sigma  # a Gaussian takes away 40 % of waves of this length
    x = np.arange(WIDTH)
    grey = (128 + 20 * np.sin(2 * np.pi * x / max(wave, 2.5))).astype(np.uint8)
    crops = np.broadcast_to(grey[None, None, :, None], (1, HEIGHT, WIDTH, 3)).copy()
    assert realism.detail(crops)[0].argmax() == band


def test_components_of_faces_that_differ_in_one_way() -> None:
    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 100, (HEIGHT, WIDTH, 3))
    pattern = np.kron(pattern[::8, ::8], np.ones((8, 8, 1), int))
    amounts = (0, 1, 2, 2, 1)
    crops = np.stack([(50 + a * pattern).astype(np.uint8) for a in amounts])
    shares = realism.component_shares(crops, (1, 2))
    np.testing.assert_allclose(shares, 1, atol=1e-3)
    noise = rng.integers(0, 255, (6, HEIGHT, WIDTH, 3)).astype(np.uint8)
    spread = realism.component_shares(noise, (1, 2, 5))
    np.testing.assert_allclose(spread, [0.2, 0.4, 1.0], atol=0.05)  # five ways, all alike


def test_distances_by_hand() -> None:
    assert realism.distances([[0, 0], [3, 4], [0, 1]]) == pytest.approx([5, 1, np.sqrt(18)])


def face(seed: int) -> np.ndarray:
    """Something with eyes and a mouth at their places."""
    rng = np.random.default_rng(seed)
    crop = uniform((200, 160, 140))[0].copy()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for px, py in PLACES:
        crop[np.hypot((x - px) / 2, y - py) < rng.uniform(8, 18)] = rng.integers(0, 90, 3)
    return crop


def test_descriptors_tell_pictures_apart_and_know_the_same_one() -> None:
    crops = np.stack([face(1), face(1), face(2)])
    vectors = realism.descriptors(crops)
    assert vectors.shape == (3, 128)
    same, other, _ = realism.distances(vectors)
    assert same == pytest.approx(0, abs=1e-6)
    assert other > 0.02


def test_measure_gathers_the_figures_of_each_function() -> None:
    crops = np.stack([face(k) for k in range(4)])
    crops[:, :, :, 0] += np.arange(4, dtype=np.uint8)[:, None, None] * 10
    found = realism.measure(crops)
    np.testing.assert_allclose(found.cheek, realism.skin_colours(crops, CHEEKS).mean(0))
    np.testing.assert_allclose(found.shares[-1], 1)
    table = found.table()
    assert table["cheek L*, mean"] == pytest.approx(found.cheek[0])
    assert table["cheek a*, SD"] == pytest.approx(np.sqrt(found.cheek_covariance[1, 1]))
    assert table["descriptor distance, 5th percentile"] <= table["descriptor distance, median"]
    assert all(np.isfinite(value) for value in table.values())


def test_real_people_are_told_apart(real_data_folder: Path) -> None:
    people = real_data.london()[:6]
    crops = np.stack([realism.photographed(person) for person in people])
    found = realism.measure(crops)
    assert 30 < found.cheek[0] < 85
    assert found.cheek[1:].min() > 4  # skin is reddish and yellowish
    assert found.distance_low > 0.5  # dlib takes two pictures below 0.6 for one person
    assert (found.detail > 0.1).all()
