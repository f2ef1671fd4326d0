"""A generator that begins as a morphable model."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from facesynth.gan import Config, ConfigError, Images, generate, latents, sample, train
from facesynth.gan.anchored import (
    AnchoredGenerator,
    ResidualDiscriminator,
    StyledConv,
    TwoDiscriminators,
)
from facesynth.morphable_model import MorphableModel

R, N = 16, 60
SMALL = Config(
    resolution=R, architecture="anchored", anchors=12, latent=16, capacity=128, max_channels=8,
    first_resolution=R, fade_images=0, stable_images=0, last_images=32, group=4, batch={R: 4},
    mirrored=((0, 1, 2),), negated=(1,), log_images=8, checkpoint_images=8, sample_images=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    """Images that are combinations of five smooth patterns, in which nothing is symmetric."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:R, :R] / R
    waves = [
        np.sin(3 * a * x + 2 * b * y + c)[..., None] * [a, b, c] for a, b, c in rng.random((5, 3))
    ]
    pixels = 0.3 * np.einsum("nk,khwc->nhwc", rng.normal(size=(N, 5)), np.array(waves))
    return Images(pixels.astype(np.float32))


@pytest.fixture
def anchored(faces):
    torch.manual_seed(0)
    network = SMALL.generator()
    assert isinstance(network, AnchoredGenerator)
    network.anchor(faces, SMALL.negated, 0)
    return network.eval().requires_grad_(False)


def both(faces):
    """The images and their mirror images, a row each."""
    flipped = faces.pixels[:, :, ::-1] * np.float32([1, -1, 1])
    whole = np.concatenate([faces.pixels, flipped]).transpose(0, 3, 1, 2)
    return whole.reshape(2 * N, -1)


def test_it_begins_as_the_morphable_model(anchored, faces):
    z = latents(anchored, 500, 0)
    model = MorphableModel(10).fit(both(faces))  # five patterns, symmetric and antisymmetric
    deviations = np.sqrt(model.explained_variance_)
    expected = model.mean_ + (z[:, :10].numpy() * deviations) @ model.components_
    signs = np.sign((anchored.basis[:10].numpy() * model.components_).sum(axis=1))
    z[:, :10] *= torch.from_numpy(signs)  # components have no sign of their own
    found = anchored.face(z).numpy().reshape(500, -1)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    made = generate(anchored, z).transpose(0, 3, 1, 2).reshape(500, -1)
    np.testing.assert_allclose(made, found, atol=1e-6)  # the network adds nothing yet


def test_a_mirror_image_is_as_likely(anchored):
    mean = anchored.mean
    signs = torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    torch.testing.assert_close(signs * mean.flip(2), mean, atol=1e-5, rtol=0)
    basis = anchored.basis[:10].unflatten(1, mean.shape)
    turned = (signs * basis.flip(3)).flatten(1)
    own = anchored.basis[:10]
    alike = (turned * own).sum(1) / own.square().sum(1)
    torch.testing.assert_close(alike.abs(), torch.ones(10), atol=1e-2, rtol=0)


def test_fewer_images_than_components(faces):
    network = SMALL.generator()
    network.anchor(Images(faces.pixels[:3]), (), 0)
    assert network.basis[:5].any(dim=1).all()  # three and their mirror images span five directions
    assert not network.basis[5:].any()
    assert np.isfinite(sample(network.eval(), 2, 0)).all()


def test_truncation_leads_to_the_mean_face(anchored):
    z = latents(anchored, 4, 1)
    still = generate(anchored, z, 0.0)
    np.testing.assert_allclose(still[1:], still[:1].repeat(3, 0), atol=0.02)
    spread = [generate(anchored, z, t).std(axis=0).mean() for t in (0.2, 0.6, 1.0)]
    assert spread[0] < spread[1] < spread[2]


def test_latent_vectors_mix_noise(anchored):
    z = latents(anchored, 40, 3)
    fields = anchored._noise(z)
    assert {r: tuple(field.shape) for r, field in fields.items()} == {
        r: (40, 1, r, r) for r in (4, 8, 16)
    }
    assert abs(fields[16].square().mean() - 1) < 0.05
    of_vectors, of_fields = (F.normalize(x.flatten(1)) for x in (z, fields[16]))
    torch.testing.assert_close(  # fields are as near to each other as their vectors are
        of_fields @ of_fields.T, of_vectors @ of_vectors.T, atol=0.3, rtol=0
    )
    torch.testing.assert_close(anchored._noise(2 * z)[8], fields[8])  # of any length
    assert not anchored._noise(0 * z)[8].any()  # none for the mean face
    assert "fields" not in anchored.state_dict()  # drawn anew, the same


def test_noise_changes_features_where_it_has_learned_to(anchored):
    layer, x, style = anchored.fine[-1], torch.randn(2, 11, R, R), torch.randn(2, 128)
    one, other = torch.randn(2, 2, 1, R, R)
    torch.testing.assert_close(layer(x, style, one), layer(x, style, other))
    layer.noise += 0.5
    assert (layer(x, style, one) - layer(x, style, other)).abs().mean() > 0.1


def test_a_constant_image_stays_constant_up_to_the_border():
    torch.manual_seed(0)
    layer = StyledConv(4, 6)
    y = layer(torch.ones(2, 4, 8, 8), torch.randn(2, 128), torch.randn(2, 1, 8, 8))
    torch.testing.assert_close(y, y[:, :, :1, :1].expand_as(y))


def test_features_keep_their_variance_whatever_the_style():
    torch.manual_seed(0)
    layer = StyledConv(64, 64).requires_grad_(False)
    x = torch.randn(8, 64, 16, 16)
    for size in (0.1, 1.0, 10.0):
        y = layer(x, size * torch.randn(8, 128), torch.randn(8, 1, 16, 16))
        assert 0.7 < y.square().mean().item() < 1.4


def test_a_discriminator_does_not_look_at_the_margin():
    torch.manual_seed(0)
    network = ResidualDiscriminator(R, 3, 128, 8, margin=4)
    images = torch.randn(4, 3, R + 8, R + 8)
    other = images.clone()
    other[:, :, 4:-4, 4:-4] = 0
    other = images - other + torch.randn_like(images) * (other != 0)  # the middle is kept
    torch.testing.assert_close(network(images), network(other))
    assert network(images).shape == (4,)


def test_of_two_discriminators_one_sees_no_fine_coordinates():
    torch.manual_seed(0)
    network = TwoDiscriminators(R, 6, 128, 8, 4, fine=3).requires_grad_(False)
    images = torch.randn(4, 6, R, R)
    checks = (-1.0) ** torch.arange(R)  # stripes, whose means over 2 x 2 pixels are 0
    score = network(images)
    assert score.shape == (4,)
    for channel in range(6):
        other = images.clone()
        other[:, channel] += checks
        changed = (network(other) - score).abs().max()
        assert changed > 1e-3 if channel < 3 else changed < 1e-4
        other = images.clone()
        other[:, channel] += 1
        assert (network(other) - score).abs().max() > 1e-3


@pytest.mark.parametrize("fine", [0, 4])
def test_fine_channels_are_some_of_all(fine):
    with pytest.raises(ConfigError, match=f"fine_channels must be from 1 to 3, .* got {fine}"):
        dataclasses.replace(SMALL, fine_channels=fine)


@pytest.mark.parametrize("fine", [None, 2])
def test_a_run_resumes_to_the_same_weights(fine, faces, tmp_path):
    config = dataclasses.replace(SMALL, fine_channels=fine)
    whole = train(config, faces, tmp_path / "whole", progress=False)

    class Stopped:
        def __init__(self, pixels):
            self.pixels, self.asked = pixels, 0

        def __getattr__(self, name):
            return getattr(self.pixels, name)

        def __len__(self):
            return len(self.pixels)

        def __getitem__(self, index):
            self.asked += 1
            if self.asked == 6:  # the first read is the components'
                raise InterruptedError
            return self.pixels[index]

    with pytest.raises(InterruptedError):
        train(config, Images(Stopped(faces.pixels)), tmp_path / "cut", progress=False)
    cut = train(config, faces, tmp_path / "cut", progress=False)
    for name in ("generator.safetensors", "checkpoint.safetensors"):
        a, b = load_file(whole.path / name), load_file(cut.path / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    moved = whole.generator()
    assert isinstance(moved, AnchoredGenerator)
    assert moved.mix != 0
    again = sample(moved, 3, 0)
    assert again.shape == (3, R, R, 3)
    other = train(dataclasses.replace(config, seed=1), faces, tmp_path / "other", progress=False)
    assert np.abs(sample(other.generator(), 3, 0) - again).max() > 0.01
