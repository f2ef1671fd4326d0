"""The finest levels of generated faces."""

import numpy as np
import pytest
import torch

from facesynth import gan
from facesynth.dataset.dataset import Dataset
from facesynth.face_gan.detailing import NOISE, detailed, training_tiles
from facesynth.template import standard


@pytest.fixture(scope="module", params=[0, 8])
def network(request):
    torch.manual_seed(0)
    made = gan.Detailer(4, 8, request.param)
    torch.nn.init.normal_(made.to_detail.weight)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    return rng.uniform(-0.8, 0.8, (2, 16, 16, 3)).astype(np.float32)


def test_means_are_the_small_image(network, small):
    colours, displacement = detailed(network, small, torch.randn(2, NOISE))
    assert colours.shape == (2, 32, 32, 3)
    assert displacement.shape == (2, 32, 32)
    means = colours.reshape(2, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(means, small, atol=1e-4)


def test_the_same_latents_make_the_same_detail_and_near_ones_nearly(network, small):
    z = torch.randn(2, NOISE)
    one, again = (detailed(network, small, z)[0] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    alone, _ = detailed(network, small[1:], z[1:])
    np.testing.assert_allclose(alone[0], one[1], atol=1e-6)  # sums' order is the batch's
    away = [
        np.abs(detailed(network, small, z + step * torch.randn(2, NOISE))[0] - one).mean()
        for step in (0.01, 0.1, 3.0)
    ]
    assert 0 < away[0] < 0.2 * away[1] < 0.2 * away[2]


def test_without_displacement(small):
    colours, displacement = detailed(gan.Detailer(3, 8), small, torch.randn(2, NOISE))
    assert colours.shape == (2, 32, 32, 3)
    assert displacement is None


def test_tiles_hold_textures_and_displacements():
    rng, n, R = np.random.default_rng(0), 3, 128
    valid = np.ones((n, R, R), bool)
    valid[:, 40:60, 40:60] = False
    mm = np.where(valid, 0.5, 0.0)
    textures = rng.integers(0, 256, (n, R, R, 3), np.uint8)
    geometry = np.repeat(standard().vertices[None], n, 0).astype(np.float32)
    scans = Dataset.of(geometry, textures, valid, displacement=mm)
    tiles = training_tiles(scans, R)
    np.testing.assert_array_equal(tiles.pixels[..., :3], textures)
    steps = tiles.pixels[..., 3]
    np.testing.assert_allclose((steps.astype(float) - 128) * 0.04, 0.5, atol=0.021)  # filled, too
    assert training_tiles(scans, R // 2).pixels.shape == (n, R // 2, R // 2, 4)
    plain = Dataset.of(geometry, textures, valid)
    assert training_tiles(plain, R).channels == 3
