"""The 3DMMs that generated faces are compared with: what is drawn is found again."""

import numpy as np
import pytest

from facesynth.evaluation.baseline import FEW, Baseline, Faces


@pytest.fixture(scope="module")
def faces():
    """Faces of few vertices and pixels, without extremes that sampling would clip."""
    rng = np.random.default_rng(0)
    geometry = rng.normal(0, 10, (12, 5, 3)).astype(np.float32)
    return Faces(geometry, rng.integers(100, 150, (12, 4, 4, 3)).astype(np.uint8))


def test_all_components_tell_a_face(faces):
    model = Baseline.fit(faces, 200)
    of_skin, of_shape = model.coefficients(faces)
    assert of_skin.shape == of_shape.shape == (12, 11)
    textures = model.skin.inverse_transform(of_skin).reshape(faces.textures.shape)
    np.testing.assert_allclose(textures, faces.textures, atol=0.01)
    geometry = model.shape.inverse_transform(of_shape).reshape(faces.geometry.shape)
    np.testing.assert_allclose(geometry, faces.geometry, atol=0.01)


def test_smaller_textures_are_enlarged_and_parts_are_joined(faces):
    blocks = np.repeat(faces.textures[:, ::2, ::2], 2, axis=1).repeat(2, axis=2)
    model = Baseline.fit(Faces(faces.geometry, blocks), 3)
    rows = np.arange(FEW + 3) % 12
    small = Faces(faces.geometry[rows], faces.textures[rows, ::2, ::2])
    of_skin, _ = model.coefficients(small)
    whole = model.skin.transform(blocks.reshape(12, -1).astype(np.float32))
    np.testing.assert_allclose(of_skin, whole[rows], atol=1e-3)
