"""Moving and retoning images."""

import numpy as np
import pytest
import torch

from facesynth.gan.augmentation import move, retone

IMAGES = torch.arange(32.0).reshape(1, 2, 4, 4) + 1


def test_a_move_by_hand():
    moved = move(IMAGES, torch.tensor([[0.5, -1.0]]), 0.5)  # 1 pixel down, 2 to the left
    expected = torch.zeros_like(IMAGES)
    expected[:, :, 1:, :2] = IMAGES[:, :, :3, 2:]
    torch.testing.assert_close(moved, expected)


def test_no_move_changes_nothing():
    torch.testing.assert_close(move(IMAGES, torch.zeros(1, 2), 0.5), IMAGES)


def test_each_image_is_moved_on_its_own():
    images = torch.randn(5, 3, 8, 8)
    moves = 2 * torch.rand(5, 2) - 1
    together = move(images, moves, 0.25)
    for k in range(5):
        alone = move(images[k : k + 1], moves[k : k + 1], 0.25)
        torch.testing.assert_close(together[k : k + 1], alone)
        assert (together[k] != 0).float().mean() >= (1 - 0.25) ** 2 - 1e-6


def test_a_move_can_be_differentiated_twice():
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    moves = torch.tensor([[0.3, 1.0], [-1.0, 0.2]])
    assert torch.autograd.gradcheck(lambda x: move(x, moves, 0.5), images)
    assert torch.autograd.gradgradcheck(lambda x: move(x, moves, 0.5).square(), images)


def test_tones_by_hand():
    tones = torch.tensor([[0.5, -1.0, 1.0]])  # of two channels, and contrast
    toned = retone(IMAGES, tones, 0.2)
    torch.testing.assert_close(toned[:, 0], 1.2 * IMAGES[:, 0] + 0.1)
    torch.testing.assert_close(toned[:, 1], 1.2 * IMAGES[:, 1] - 0.2)
    torch.testing.assert_close(retone(IMAGES, 0 * tones, 0.2), IMAGES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_move_is_exact_in_every_precision(dtype):
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 8, 8))).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        moved = move(images, torch.tensor([[0.25, 0.0]]), 0.5)
    torch.testing.assert_close(moved[:, :, 1:], images[:, :, :-1], rtol=0, atol=0)
