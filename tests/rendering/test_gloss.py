"""What lamps look like on skin and on eyes."""

import dataclasses

import numpy as np

from facesynth.rendering.gloss import gloss
from facesynth.rendering.light import WET, Light, shade
from facesynth.template import standard


def test_gloss_is_strongest_in_the_t_zone() -> None:
    face = standard()
    oily = gloss(face)
    points = face.vertices[face.landmarks]
    assert oily.shape == (len(face.vertices),)
    assert oily.min() >= 0
    nose, jaw = oily[face.landmarks[30 - 17]], oily[np.abs(face.vertices[:, 0]).argmax()]
    assert nose > 1.5 * jaw
    assert np.isfinite(points).all()
    np.testing.assert_allclose(oily[face.mirror], oily, rtol=1e-4)
    eyes = np.maximum(face.regions["left_eye"], face.regions["right_eye"])
    assert (oily[eyes > 0.9] == WET).all()
    assert oily[eyes == 0].max() < WET - 1


def test_any_templates_gloss() -> None:
    bare = dataclasses.replace(standard(), regions={})
    assert gloss(bare).max() < WET - 1  # nobody knows where its eyes are


def test_wet_eyes_mirror_the_lamp_and_skin_does_not() -> None:
    """A sheet that faces the lamp and the camera: its reflection is small, and bright."""
    turns = np.radians([0.0, 2.0, 20.0])
    normals = np.stack([np.sin(turns), 0 * turns, np.cos(turns)], axis=1)
    rays, ones, black = np.tile([0.0, 0, -1], (3, 1)), np.ones(3), np.zeros((3, 3))
    light = Light(key=(0, 0, 1), fill_colour=(0, 0, 0))
    skin, eye = (
        shade(black, normals, normals, rays, ones, ones, light, of)[:, 0] for of in (1.0, WET)
    )
    assert eye[0] > 5 * skin[0]
    assert eye[2] < 0.01 * eye[0] < skin[2]


def test_relief_shows_less_in_red_light_which_skin_scatters() -> None:
    flat, bent = np.array([[0.0, 0, 1]]), np.array([[0.6, 0, 0.8]])
    rays, one = np.array([[0.0, 0, -1]]), np.ones(1)
    light = Light(key=(-1, 0, 1), specular=0.0)
    plain, tilted = (
        shade(np.ones((1, 3)), normal, flat, rays, one, one, light)[0] for normal in (flat, bent)
    )
    red, green, blue = (tilted / plain).tolist()
    assert blue < green < red < 1
