"""Layers and networks of the progressive GAN: hand-worked cases and two ways to the same result."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facesynth.gan import Discriminator, Generator, great_circle
from facesynth.gan.layers import (
    DownConv,
    EqualizedConv,
    EqualizedLinear,
    UpConv,
    convolve,
    downsample,
    fade,
    minibatch_deviation,
    pixel_norm,
    upsample,
)
from facesynth.gan.networks import levels, width

SMALL = dict(capacity=64, max_channels=8)


def noise(*shape, seed=0, dtype=torch.float32):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=dtype)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(100)  # the weights'; `noise` has others


def test_a_dense_layer_by_hand():
    layer = EqualizedLinear(4, 2, gain=3.0)  # 3 / sqrt(4) = 1.5
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2, 0, -1], [0, 0, 4, 0]]))
        layer.bias.copy_(torch.tensor([10.0, 20]))
    out = layer(torch.tensor([[1.0, 1, 1, 1], [0, 2, 0.5, 0]]))
    torch.testing.assert_close(out, torch.tensor([[13.0, 26], [16, 23]]))


def test_a_convolution_by_hand():
    layer = EqualizedConv(1, 1, gain=6.0)  # 6 / sqrt(9) = 2
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 10).view(1, 1, 3, 3))
        layer.bias.fill_(0.5)
    dot = torch.zeros(1, 1, 3, 3)
    dot[0, 0, 1, 1] = 1
    # what is right and below of a pixel is met by the last weight, so that a dot turns the kernel
    expected = 2 * torch.arange(9.0, 0, -1).view(1, 1, 3, 3) + 0.5
    torch.testing.assert_close(layer(dot), expected)
    corner = torch.zeros(1, 1, 3, 3)
    corner[0, 0, 0, 0] = 1
    expected = torch.tensor([[10.0, 8, 0], [4, 2, 0], [0, 0, 0]]) + 0.5  # zeros around the image
    torch.testing.assert_close(layer(corner)[0, 0], expected)


@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
@pytest.mark.parametrize("fan_in", [16, 256])
def test_variance_at_the_start_is_the_gain_squared(gain, fan_in):
    out = EqualizedLinear(fan_in, 256, gain)(noise(256, fan_in))
    assert out.var().item() == pytest.approx(gain**2, rel=0.1)
    conv = EqualizedConv(fan_in, 256, gain=gain)
    inner = conv(noise(4, fan_in, 8, 8))[..., 1:-1, 1:-1]  # where all nine products are there
    assert inner.var().item() == pytest.approx(gain**2, rel=0.1)


def test_the_default_gain_keeps_the_variance_through_a_rectifier():
    inner = EqualizedConv(256, 256)(noise(4, 256, 8, 8))[..., 1:-1, 1:-1]
    assert F.relu(inner).square().mean().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("fan_in", [4, 256])
@pytest.mark.parametrize("kind", [EqualizedLinear, EqualizedConv])
def test_one_step_of_adam_moves_all_widths_at_one_relative_speed(kind, fan_in):
    layer = kind(fan_in, 64)

    def linear(x):  # what the weights do, without the bias
        return (layer(x) - layer(torch.zeros_like(x))).detach()

    def inputs(seed):
        return noise(256, *((fan_in,) if kind is EqualizedLinear else (fan_in, 4, 4)), seed=seed)

    fresh = inputs(1)
    before = linear(fresh)
    adam = torch.optim.Adam(layer.parameters(), lr=0.01)
    layer(inputs(2)).square().sum().backward()
    adam.step()
    step = (linear(fresh) - before).norm() / before.norm()
    assert step.item() == pytest.approx(0.01, rel=0.15)  # the rate itself


def test_pixel_norm_by_hand():
    x = torch.tensor([[[[3.0, 0]], [[4, -2]]]])  # two channels of two pixels: (3, 4) and (0, -2)
    rms = torch.tensor([12.5, 2]).sqrt()
    expected = torch.tensor([[[[3.0, 0]], [[4, -2]]]]) / rms
    torch.testing.assert_close(pixel_norm(x), expected)
    torch.testing.assert_close(pixel_norm(torch.tensor([[3.0, 4]])), x[..., 0].view(1, 2) / rms[0])
    assert (pixel_norm(torch.zeros(1, 4, 2, 2)) == 0).all()


def test_minibatch_deviation_by_hand():
    x = torch.zeros(6, 2, 1, 2)
    x[0, 0], x[1, 0] = -3, 3  # deviations 3 and, in the other channel, 0: mean 1.5
    x[2:4] = 7  # all the same
    x[4, :, 0, 0], x[5, :, 0, 0] = 10, 12  # deviations 1 and 0 by the pixel: mean 0.5
    out = minibatch_deviation(x, group=2)
    assert out.shape == (6, 3, 1, 2)
    assert torch.equal(out[:, :2], x)
    expected = torch.tensor([1.5, 1.5, 0, 0, 0.5, 0.5])[:, None, None].expand(6, 1, 2)
    torch.testing.assert_close(out[:, 2], expected, atol=2e-4, rtol=0)  # 1e-4 where all is one
    assert torch.equal(out[:, 2], out[:, 2, :1, :1].expand(6, 1, 2))


def test_the_deviation_of_a_group_is_its_own():
    x = noise(12, 3, 4, 4)
    whole = minibatch_deviation(x, group=4)
    parts = torch.cat([minibatch_deviation(part, group=4) for part in (x[:8], x[8:])])
    assert torch.equal(parts, whole)  # two processes see what one does
    changed = x.clone()
    changed[4:8] *= 5
    other = minibatch_deviation(changed, group=4)[:, -1]
    torch.testing.assert_close(other[4:8], 5 * whole[4:8, -1], rtol=1e-4, atol=0)
    assert torch.equal(other[:4], whole[:4, -1])
    assert torch.equal(other[8:], whole[8:, -1])


def test_the_deviation_of_equal_samples_has_a_finite_gradient():
    x = torch.ones(4, 2, 3, 3, requires_grad=True)
    minibatch_deviation(x, group=4)[:, -1].sum().backward()
    assert (x.grad == 0).all()


def test_a_batch_that_is_no_number_of_groups_is_named():
    with pytest.raises(ValueError, match=r"multiple of the group of 4, got 6"):
        minibatch_deviation(torch.zeros(6, 2, 4, 4), group=4)


def same_weights(layer):
    """The plain convolution with the layer's own weights."""
    plain = EqualizedConv(layer.weight.shape[1], layer.weight.shape[0])
    plain.load_state_dict(layer.state_dict())
    return plain


@pytest.mark.parametrize(
    ("kind", "two_steps"),
    [
        (UpConv, lambda conv, x: conv(upsample(x))),
        (DownConv, lambda conv, x: downsample(conv(x))),
    ],
)
@pytest.mark.parametrize(("n_in", "n_out", "h", "w"), [(3, 5, 8, 8), (1, 1, 2, 6), (7, 2, 4, 4)])
def test_one_convolution_is_two_steps(kind, two_steps, n_in, n_out, h, w):
    layer = kind(n_in, n_out)
    with torch.no_grad():
        layer.bias.copy_(noise(n_out, seed=1))
    plain = same_weights(layer)
    x = noise(2, n_in, h, w)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = layer(inputs[0]), two_steps(plain, inputs[1])
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)

    slope = noise(*outputs[0].shape, seed=2)
    for output in outputs:
        output.backward(slope)
    for ours, theirs in (
        (inputs[0].grad, inputs[1].grad),
        (layer.weight.grad, plain.weight.grad),
        (layer.bias.grad, plain.bias.grad),
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("side", "stride", "padding", "transposed"),
    [(3, 1, 1, False), (1, 1, 0, False), (4, 2, 1, False), (4, 2, 1, True), (3, 1, 1, True)],
)
def test_convolutions_are_pytorchs_and_so_are_both_derivatives(side, stride, padding, transposed):
    torch.manual_seed(0)
    shape = (3, 2) if transposed else (2, 3)
    x, kernel, bias = (
        torch.randn(size, dtype=torch.float64, requires_grad=True)
        for size in ((2, 3, 4, 6), (*shape, side, side), (2,))
    )
    how = dict(stride=stride, padding=padding)

    def ours(*tensors):
        return convolve(*tensors, **how, transposed=transposed)

    theirs = (F.conv_transpose2d if transposed else F.conv2d)(x, kernel, bias, **how)
    torch.testing.assert_close(ours(x, kernel, bias), theirs)
    assert torch.autograd.gradcheck(ours, (x, kernel, bias))
    assert torch.autograd.gradgradcheck(ours, (x, kernel, bias))


def test_mixed_precision_convolves_in_it():
    x, kernel = torch.randn(1, 2, 4, 4), torch.randn(2, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = convolve(x, kernel, padding=1)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), convolve(x, kernel, padding=1), rtol=0.05, atol=0.05)


def test_up_and_down_by_hand():
    x = torch.tensor([[[[1.0, 2], [3, 6]]]])
    expected = torch.tensor([[[[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 6, 6], [3, 3, 6, 6]]]])
    assert torch.equal(upsample(x), expected)
    assert torch.equal(downsample(x), torch.tensor([[[[3.0]]]]))
    assert torch.equal(downsample(upsample(x)), x)


def test_fade_is_exact_at_its_ends_and_a_blend_between():
    old, new = noise(2, 3, 4, 4, seed=1), noise(2, 3, 4, 4, seed=2)
    assert torch.equal(fade(old, new, 0.0), old)
    assert torch.equal(fade(old, new, 1.0), new)
    torch.testing.assert_close(fade(old, new, 0.25), 0.75 * old + 0.25 * new)


def test_levels_and_widths_by_hand():
    assert levels(4) == [4]
    assert levels(32) == [4, 8, 16, 32]
    # Karras et al. (2017), table 2: 512 channels up to 32 x 32, then half for each level
    assert [width(r, 16384, 512) for r in levels(1024)] == [512] * 4 + [256, 128, 64, 32, 16]
    assert width(1024, 64, 8) == 1  # never none


@pytest.mark.parametrize("resolution", [-4, 0, 2, 6, 12, 1000])
def test_a_side_that_is_no_power_of_two_is_named(resolution):
    for make in (levels, Generator, Discriminator):
        with pytest.raises(ValueError, match=rf"power of two and at least 4, got {resolution}$"):
            make(resolution)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_shapes_at_every_level(channels):
    generator = Generator(16, channels, latent=5, **SMALL)
    discriminator = Discriminator(16, channels, group=2, **SMALL)
    z = noise(4, 5)
    for r in (4, 8, 16):
        for alpha in (0.0, 0.5, 1.0):
            image = generator(z, r, alpha)
            assert image.shape == (4, channels, r, r)
            assert image.dtype == torch.float32
            score = discriminator(image, alpha)
            assert score.shape == (4,)
            assert score.isfinite().all()
    assert generator(z).shape == (4, channels, 16, 16)  # the largest, unless told


def test_feature_maps_have_the_widths_that_are_asked_for():
    generator, discriminator = Generator(16, latent=5, **SMALL), Discriminator(16, **SMALL)
    sides = ("4", "8", "16")
    assert [generator.to_image[r].weight.shape[1] for r in sides] == [8, 8, 4]  # of 64 / r, 8
    assert [discriminator.from_image[r].weight.shape[0] for r in sides] == [8, 8, 4]


@pytest.mark.parametrize("r", [8, 16])
def test_the_generator_fades_in_exactly(r):
    generator = Generator(16, 3, latent=5, **SMALL)
    z = noise(4, 5)
    below = upsample(generator(z, r // 2))
    assert torch.equal(generator(z, r, 0.0), below)
    assert torch.equal(generator(z, r, 1.0), generator(z, r))
    between = 0.75 * below + 0.25 * generator(z, r)
    torch.testing.assert_close(generator(z, r, 0.25), between)
    assert torch.equal(generator(z, 4, 0.3), generator(z, 4))  # nothing is below the first level


@pytest.mark.parametrize("r", [8, 16])
def test_the_discriminator_fades_in_exactly(r):
    discriminator = Discriminator(16, 3, group=4, **SMALL)
    images = noise(8, 3, r, r)
    below = discriminator(downsample(images))
    assert torch.equal(discriminator(images, 0.0), below)
    assert torch.equal(discriminator(images, 1.0), discriminator(images))
    assert not torch.allclose(discriminator(images), below)
    small = noise(8, 3, 4, 4)
    assert torch.equal(discriminator(small, 0.3), discriminator(small))


def test_a_level_that_is_new_gets_gradients_as_it_fades_in():
    generator = Generator(8, 3, latent=5, **SMALL)
    norms = []
    for alpha in (0.0, 0.5, 1.0):
        generator.zero_grad()
        generator(noise(4, 5), 8, alpha).square().sum().backward()
        norms.append([generator.to_image[r].weight.grad for r in ("4", "8")])
    assert (norms[0][1] == 0).all()
    assert all(g.abs().sum() > 0 for g in norms[1])
    assert norms[2][0] is None


def test_only_a_latent_vectors_direction_counts():
    generator = Generator(8, 3, latent=5, **SMALL)
    z = noise(4, 5)
    torch.testing.assert_close(generator(7 * z), generator(z))
    assert not torch.allclose(generator(-z), generator(z))


@settings(max_examples=10)
@given(st.permutations(range(3)), st.permutations(range(4)))
def test_scores_go_with_their_images(groups, samples):
    """Neither the order of the groups nor the order in a group changes a score."""
    torch.manual_seed(1)
    discriminator = Discriminator(8, 2, group=4, **SMALL)
    images = noise(12, 2, 8, 8)
    order = (4 * np.array(groups)[:, None] + samples).ravel()
    torch.testing.assert_close(discriminator(images[order]), discriminator(images)[order])


def test_a_sample_is_scored_by_its_own_group():
    discriminator = Discriminator(8, 2, group=4, **SMALL)
    images = noise(8, 2, 8, 8)
    scores = discriminator(images)
    torch.testing.assert_close(discriminator(images[4:]), scores[4:])
    images[:4] = 0
    torch.testing.assert_close(discriminator(images)[4:], scores[4:])


def test_a_resolution_that_a_network_does_not_have_is_named():
    generator = Generator(8, 3, latent=5, **SMALL)
    discriminator = Discriminator(8, 3, **SMALL)
    for r in (6, 16):
        with pytest.raises(ValueError, match=rf"\b{r}\b"):
            generator(noise(4, 5), r)
        with pytest.raises(ValueError, match=rf"\b{r}\b"):
            discriminator(noise(4, 3, r, r))


@given(st.integers(0, 2**31), st.integers(2, 9))
def test_a_great_circle_keeps_its_length_and_turns_evenly(seed, steps):
    source = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 32, generator=source)
    way = great_circle(a, b, steps)
    torch.testing.assert_close(way[0], a, atol=1e-4, rtol=0)
    torch.testing.assert_close(way[-1], b, atol=1e-4, rtol=0)
    lengths = torch.linspace(0, 1, steps) * (b.norm() - a.norm()) + a.norm()
    torch.testing.assert_close(way.norm(dim=1), lengths, atol=1e-3, rtol=0)
    turned = torch.cosine_similarity(way[1:], way[:-1])
    torch.testing.assert_close(turned, turned[:1].expand_as(turned), atol=1e-4, rtol=0)
    still = great_circle(a, a, steps)
    torch.testing.assert_close(still, a.expand(steps, -1), atol=1e-3, rtol=0)
