"""Latent inversion: textures that the generator made itself can be found again."""

import numpy as np
import pytest
import untrained

from facesynth import gan
from facesynth.face_gan import latent_inversion
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.latent_inversion import invert
from facesynth.face_gan.models import configuration
from facesynth.face_gan.released_models import ReleasedModel
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population import sample
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import standard

R = 32


@pytest.fixture(scope="module")
def model():
    """A generator that was never trained: it makes images all the same."""
    config = untrained.config(configuration("faces", R, channels=12, n_shown=48))
    to = GeometryImages.fit(UniversalMapping(standard(), R), sample(6, 3, progress=False).geometry)
    generator = untrained.anchored(config)
    return ReleasedModel("faces", generator, config, standard(), to, None, "")


@pytest.fixture(scope="module")
def made(model):
    return gan.sample(model.generator, 5, seed=9)


def away(a, b, part):
    return np.abs(a[..., part] - b[..., part]).mean(axis=(1, 2, 3))


def test_descent_comes_closer_to_texture_and_geometry(model, made):
    textures = model.textures(made)
    start, end = (
        invert(model, textures, steps=steps, n_start=60, progress=False) for steps in (0, 80)
    )
    chance = gan.sample(model.generator, 5, seed=10)
    for part in (slice(0, 3), slice(3, 6)):
        assert away(end, made, part).mean() < away(start, made, part).mean()
        assert away(end, made, part).mean() < 0.5 * away(chance, made, part).mean()


def test_hidden_pixels_do_not_count(model, made):
    """From one start, whatever is painted where the mask hides it."""
    wanted = made[..., :3]
    weight = np.ones(wanted.shape[:3], np.float32)
    weight[:, :10] = 0
    painted = np.where(weight[..., None] > 0, wanted, 1).astype(np.float32)
    z = gan.latents(model.generator, len(made), 3)
    one, other, whole = (
        latent_inversion._descend(model.generator, z, target, w, 5).numpy()
        for target, w in ((wanted, weight), (painted, weight), (painted, np.ones_like(weight)))
    )
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - whole).max() > 0.01


def test_each_texture_is_inverted_for_itself(model, made):
    textures = model.textures(made)
    one, many = (
        invert(model, t, steps=5, n_start=60, progress=False) for t in (textures[:1], textures)
    )
    np.testing.assert_allclose(one[0], many[0], atol=0.02)


def test_the_same_twice(model, made):
    textures = model.textures(made[:2])
    a, b = (invert(model, textures, steps=3, n_start=40, progress=False) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_textures_of_another_size(model):
    with pytest.raises(MeshArrayError, match=r"not \(n, 32, 32, 3\)"):
        invert(model, np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(MeshArrayError, match="with masks"):
        invert(model, np.zeros((1, R, R, 3), np.uint8), np.zeros((2, R, R), bool))
