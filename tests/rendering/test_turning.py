"""What a turntable's file says: another reader, trimesh, finds the face that was put in."""

import base64
import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from facesynth.rendering import MaterialError, interactive, turntable
from facesynth.rendering.turning import MIME, TOLERANCE, morphs

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sheet():
    """A wavy sheet of 20 x 20 vertices: vertices (m, 3) mm, faces and uv."""
    v, u = np.mgrid[0:20, 0:20] / 19
    vertices = np.stack([60 * u - 30, 60 * v - 30, 5 * np.sin(9 * u)], -1).reshape(-1, 3)
    index = np.arange(400).reshape(20, 20)
    a, b, c, d = (
        i.ravel() for i in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    )
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return vertices, faces, np.stack([u, v], -1).reshape(-1, 2)


def tree_of(glb):
    length = struct.unpack("<I", glb[12:16])[0]
    return json.loads(glb[20 : 20 + length])


def test_a_face_is_read_back_with_its_texture_the_right_way_up(sheet):
    vertices, faces, uv = sheet
    texture = np.zeros((32, 32, 3), np.uint8)
    texture[:16] = [200, 40, 40]  # row 0 is at v = 1: the upper half is red
    found = turntable(vertices, faces, uv, texture)
    mesh = trimesh.load(io.BytesIO(found.glb), file_type="glb", process=False).to_geometry()
    np.testing.assert_allclose(1000 * mesh.vertices, vertices, atol=0.002)
    np.testing.assert_array_equal(mesh.faces, faces)
    np.testing.assert_allclose(mesh.visual.uv, uv, atol=1e-4)
    image = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"), int)
    assert np.abs(image[4, 16] - [200, 40, 40]).max() < 6
    assert image[28, 16].max() < 6
    assert "animations" not in tree_of(found.glb)
    poster = Image.open(io.BytesIO(found.poster))
    assert poster.mode == "RGBA"


def test_steps_are_blended_by_the_fewest_targets(sheet):
    vertices = sheet[0]
    one, other = RNG.normal(size=(2, *vertices.shape))
    amounts = np.array([[-1, 0], [0, 0], [2, 0], [0, 1], [1, 1]])
    steps = vertices + np.einsum("sr,rmc->smc", amounts, np.stack([one, other]))
    base, targets, weights = morphs(steps)
    assert len(targets) == 2  # of five sets, which span a plane
    back = base + np.einsum("sr,rmc->smc", weights, targets)
    np.testing.assert_allclose(back, steps, atol=1e-9)
    np.testing.assert_allclose(np.abs(weights).max(axis=0), 1)


def test_what_nobody_sees_takes_no_target(sheet):
    steps = sheet[0] + TOLERANCE / 10 * RNG.normal(size=(3, *sheet[0].shape))
    assert morphs(steps)[1].shape == (0, *sheet[0].shape)


def test_second_k_of_the_animation_is_step_k(sheet):
    vertices, faces, uv = sheet
    steps = np.stack([vertices, vertices + [0, 0, 6], vertices + [0, 0, 24]])
    textures = np.zeros((3, 8, 8, 3), np.uint8)
    found = turntable(steps, faces, uv, textures, labels=["a", "b", "c"], slider="far ")
    tree = tree_of(found.glb)
    (animation,) = tree["animations"]
    times = tree["accessors"][animation["samplers"][0]["input"]]
    assert (times["min"], times["max"]) == ([0], [2])
    assert len(tree["meshes"][0]["weights"]) == len(tree["meshes"][0]["primitives"][0]["targets"])
    shown = found._repr_mimebundle_()[MIME]
    assert (shown["labels"], shown["slider"], len(shown["textures"])) == (
        ["a", "b", "c"],
        "far ",
        3,
    )
    kind, _, content = shown["glb"].partition(",")
    assert kind == "data:model/gltf-binary;base64"
    assert base64.b64decode(content) == found.glb


def test_elsewhere_it_is_a_plotly_figure_with_the_textures_colours(sheet):
    vertices, faces, uv = sheet
    texture = np.full((8, 8, 3), 77, np.uint8)
    found = turntable(vertices, faces, uv, texture)
    assert len(repr(found)) < 80  # what is kept beside it as text
    figure = found.figure
    np.testing.assert_array_equal(figure.data[0].vertexcolor, np.full(vertices.shape, 77))
    np.testing.assert_array_equal(figure.data[0].x, interactive(vertices, faces).data[0].x)


def test_what_does_not_fit_is_refused(sheet):
    vertices, faces, uv = sheet
    texture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(MaterialError, match="uv has shape"):
        turntable(vertices, faces, uv[1:], texture)
    with pytest.raises(MaterialError, match="need as many labels"):
        turntable(np.stack([vertices, vertices]), faces, uv, texture)
    with pytest.raises(MaterialError, match="one texture, or as many"):
        turntable(vertices, faces, uv, np.stack([texture, texture]))
