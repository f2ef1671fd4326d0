"""What the face GANs learn from."""

import numpy as np
import pytest
import torch

from facesynth import face_gan, gan
from facesynth.geometry_images import GeometryImages
from facesynth.population import sample, template
from facesynth.training_set import TrainingSet
from facesynth.universal_mapping import UniversalMapping

N, R = 4, 32


@pytest.fixture(scope="module")
def faces():
    drawn = sample(N, 2, resolution=64, progress=False)
    valid = np.random.default_rng(0).random((N, 64, 64)) < 0.97
    return TrainingSet(np.arange(N), np.zeros(N, int), drawn.geometry, drawn.textures, valid)


@pytest.fixture(scope="module")
def to(faces):
    return GeometryImages.fit(UniversalMapping(template(), R), faces.geometry)


@pytest.mark.parametrize(
    ("model", "variants", "channels"), [("textures", 2, 3), ("geometries", 8, 3), ("faces", 2, 6)]
)
def test_every_model_learns_from_its_images(model, variants, channels, faces, to, tmp_path):
    data = face_gan.training_images(model, faces, to)
    assert (len(data), data.resolution, data.channels) == (variants * N, R, channels)
    assert (data.masks is None) == (model == "geometries")
    config = gan.Config(
        resolution=R,
        channels=channels,
        masks="none" if data.masks is None else "paired",
        latent=8,
        capacity=64,
        max_channels=8,
        first_resolution=16,
        fade_images=8,
        stable_images=8,
        last_images=8,
        batch={R: 4},
    )
    run = gan.train(config, data, tmp_path / "run", progress=False)
    made = gan.sample(run.generator(), 2, seed=0)
    assert made.shape == (2, R, R, channels)
    assert np.isfinite(made).all()


def test_the_second_half_is_the_face_in_a_mirror(faces, to):
    mirrored = TrainingSet(
        faces.subjects,
        faces.expressions,
        faces.geometry[:, template().mirror] * np.float32([-1, 1, 1]),
        faces.textures[:, :, ::-1],
        faces.valid[:, :, ::-1],
    )
    data, other = (face_gan.training_images("faces", f, to) for f in (faces, mirrored))
    first, second = np.arange(N), np.arange(N, 2 * N)
    np.testing.assert_allclose(data.pixels[second], other.pixels[first], atol=1e-5)
    np.testing.assert_allclose(data.pixels[first], other.pixels[second], atol=1e-5)
    np.testing.assert_array_equal(data.masks[second], other.masks[first])


def test_masks_go_with_their_textures(faces, to):
    data = face_gan.training_images("textures", faces, to)
    blocks = faces.valid[1].reshape(R, 2, R, 2)
    for i, flip in ((1, 1), (N + 1, -1)):
        images, masks = data.batch(np.array([i]), R, 1.0, torch.device("cpu"))
        np.testing.assert_array_equal(masks[0, 0].numpy(), blocks.all((1, 3))[:, ::flip])
        mean = faces.textures[1].reshape(R, 2, R, 2, 3).mean((1, 3))[:, ::flip]
        np.testing.assert_allclose(images[0].permute(1, 2, 0), mean / 127.5 - 1, atol=1e-5)


def test_what_cannot_be_learned_is_named(faces, to):
    with pytest.raises(face_gan.UnknownModelError, match="unknown model 'hair'; there are tex"):
        face_gan.training_images("hair", faces, to)
    large = GeometryImages(UniversalMapping(template(), 128), to.mean, to.reach)
    with pytest.raises(gan.ImageSizeError, match="64 x 64 pixels do not shrink to 128 x 128"):
        face_gan.training_images("textures", faces, large)
