"""Relief and the squeeze that deepens it: known deformations, known hollows, faces with both."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth.population.appearance import Appearance, sample_appearance
from facesynth.population.compression import MOST, Compression
from facesynth.population.identity import neutral_geometry, sample_identities
from facesynth.population.photometry import Photometry, hollow_light
from facesynth.template import standard


def grid(n: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet of n x n vertices a mm apart: places (n², 2) and faces."""
    x, y = np.meshgrid(np.arange(float(n)), np.arange(float(n)))
    index = np.arange(n * n).reshape(n, n)
    a, b, c, d = (
        q.ravel() for q in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    )
    return np.stack([x.ravel(), y.ravel()], axis=1), np.concatenate(
        [np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]
    )


PLANE, FACES = grid()
SHEET = np.c_[PLANE, np.zeros(len(PLANE))]


def measured(expressive: np.ndarray, neutral: np.ndarray = SHEET) -> np.ndarray:
    return Compression(SHEET, PLANE, FACES).tensor(neutral, expressive)


@given(st.floats(0.55, 1.0), st.floats(0, np.pi))
def test_a_sheet_pressed_along_one_direction(left: float, angle: float) -> None:
    d = np.array([np.cos(angle), np.sin(angle)])
    pressed = PLANE - (1 - left) * np.outer(PLANE @ d, d)
    tensor = measured(np.c_[pressed, np.zeros(len(PLANE))])
    wanted = (1 - left) * np.array([d[0] ** 2, d[0] * d[1], d[1] ** 2])
    np.testing.assert_allclose(tensor, np.tile(wanted, (len(PLANE), 1)), atol=2e-4)


def test_what_moves_rigidly_or_is_stretched_is_not_squeezed() -> None:
    c, s = np.cos(0.4), np.sin(0.4)
    turned = SHEET @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) + [3.0, -8.0, 1.0]
    np.testing.assert_allclose(measured(turned), 0, atol=1e-4)
    np.testing.assert_allclose(measured(SHEET * [1.4, 1.1, 1]), 0, atol=1e-4)


def test_only_the_change_between_the_two_faces_counts() -> None:
    """A subject whose face is narrower than the template's is not squeezed by that."""
    narrow = SHEET * [0.7, 1.0, 1.0]
    np.testing.assert_allclose(measured(narrow, neutral=narrow), 0, atol=1e-4)
    half = measured(narrow * [1.0, 0.8, 1.0], neutral=narrow)
    np.testing.assert_allclose(half, np.tile([0, 0, 0.2], (len(PLANE), 1)), atol=1e-4)


def test_a_collapsed_sheet_has_a_limit() -> None:
    assert measured(SHEET * [0.0, 1.0, 1.0]).max() == pytest.approx(MOST, abs=1e-4)


# On faces


@cache
def photometry(resolution: int = 256) -> Photometry:
    return Photometry(standard(), resolution)


def subject(**changes: object) -> Appearance:
    look = sample_appearance(np.random.default_rng(3), 0.05, [0, 0, 1], 22)
    bare = {"fringe": 0.0, "frame": 0.0, "freckles": 0.0, "moles": 0, "wrinkles": 0.0}
    return replace(look, **(bare | changes))


def on(x: tuple[float, float], y: tuple[float, float], resolution: int = 256) -> np.ndarray:
    """Mask (R, R) of places on the template, x by its distance from the midline, mm."""
    a = photometry(resolution).anatomy
    inside = (a.side_x >= x[0]) & (a.side_x <= x[1]) & (a.y >= y[0]) & (a.y <= y[1])
    return inside.reshape(resolution, resolution)


FOREHEAD, CHEEK = ((0.0, 22.0), (34.0, 58.0)), ((18.0, 38.0), (-45.0, -22.0))


def painted(look: Appearance, **arguments: object) -> tuple[np.ndarray, np.ndarray]:
    vertices = arguments.pop("vertices", standard().vertices)
    return photometry().paint(photometry().subject(look, 7), vertices, **arguments)


def test_relief_is_fine_and_lies_on_the_skin() -> None:
    _, relief = painted(subject())
    assert relief.shape == (256, 256)
    assert np.isfinite(relief).all()
    assert np.abs(relief).max() < 1.5
    a = photometry().anatomy
    eyeball = (a.eye > 0.9).reshape(256, 256)
    assert np.abs(relief[eyeball]).max() < 1e-6


def test_wrinkles_grow_with_age() -> None:
    spread = [painted(subject(wrinkles=w))[1][on(*FOREHEAD)].std() for w in (0.0, 0.6, 1.2)]
    assert spread[0] < 0.8 * spread[1] < 0.64 * spread[2]


def test_hollows_are_darker_and_redder() -> None:
    texture, relief = painted(subject(wrinkles=1.0, mottling=0.0))
    where = on(*FOREHEAD)
    rgb, height = texture[where], relief[where]
    deep = height < np.percentile(height, 10)
    high = height > np.percentile(height, 90)
    assert rgb[deep].mean() < 0.93 * rgb[high].mean()
    assert (rgb[deep, 0] / rgb[deep, 1]).mean() > (rgb[high, 0] / rgb[high, 1]).mean()


def test_cavity_of_a_furrow() -> None:
    fields = photometry()._relief
    across = np.arange(256) - 128.0
    furrow = np.tile(-np.exp(-((across / 2) ** 2)), (256, 1))
    cavity = fields.cavity(furrow.ravel().astype(np.float32)).reshape(256, 256)
    assert cavity[128, 128] == cavity.max() > 0
    assert cavity[128, 138] < 0  # the skin beside it stands out
    assert cavity.mean() == pytest.approx(0, abs=1e-3)  # shading keeps the skin's mean colour
    assert np.abs(fields.cavity(np.full(256 * 256, 3.0, np.float32))).max() < 1e-5
    light = hollow_light(np.array([0.0, 0.3, 0.8], np.float32))
    np.testing.assert_allclose(light[0], 1)
    assert (np.diff(light, axis=0) < 0).all()
    assert (light[1:, 0] > light[1:, 2]).all()


def squeezed_forehead() -> np.ndarray:
    """The template with the brows raised: the forehead is a quarter lower."""
    vertices = standard().vertices.copy()
    middle = photometry().anatomy.origin[1] + 46.0
    near = np.exp(-(((vertices[:, 1] - middle) / 22) ** 2))
    vertices[:, 1] -= 0.30 * near * (vertices[:, 1] - middle)
    return vertices


def test_raised_brows_make_lines_across_the_forehead() -> None:
    look = subject(wrinkles=0.3)
    _, still = painted(look)
    _, raised = painted(look, vertices=squeezed_forehead(), neutral=standard().vertices)
    change = (raised - still)[on(*FOREHEAD)]
    assert change.min() < -0.1  # new furrows
    down, right = np.gradient(raised - still)
    where = on(*FOREHEAD)
    assert down[where].std() > 2 * right[where].std()  # that lie level
    assert np.abs(raised - still)[on(*CHEEK)].max() < 0.02  # and nowhere else


def test_an_unmoved_face_is_its_neutral_one() -> None:
    look = subject(wrinkles=0.5)
    texture, relief = painted(look)
    again, same = painted(look, neutral=standard().vertices)
    np.testing.assert_allclose(same, relief, atol=1e-5)
    np.testing.assert_allclose(again, texture, atol=1e-4)


def test_a_persons_pores_stay_where_they_are() -> None:
    look = subject()
    _, still = painted(look)
    _, raised = painted(look, vertices=squeezed_forehead(), neutral=standard().vertices)
    where = on(*CHEEK)
    assert np.corrcoef(still[where], raised[where])[0, 1] > 0.99


def test_men_and_women_differ_by_more_than_size() -> None:
    drawn = sample_identities(60, seed=6)
    faces = neutral_geometry(drawn)
    faces = faces / np.linalg.norm(faces, axis=(1, 2), keepdims=True) * 1000
    flat = faces.reshape(60, -1)
    male = drawn.gender == 1
    towards = flat[male][:15].mean(0) - flat[~male][:15].mean(0)
    score = flat @ towards
    told = score > (score[male][:15].mean() + score[~male][:15].mean()) / 2
    held_out = np.r_[np.flatnonzero(male)[15:], np.flatnonzero(~male)[15:]]
    assert (told == male)[held_out].mean() > 0.85
