"""The three losses against their definitions, on critics whose gradients are known."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from facesynth.gan import Discriminator
from facesynth.gan.losses import LOSSES, squared_gradient
from facesynth.gan.masks import apply_mask

REAL = torch.tensor([[1.0, 2], [0, -1], [3, 0]]).view(3, 1, 1, 2)
FAKE = torch.tensor([[-1.0, 0], [2, 2], [0, -4]]).view(3, 1, 1, 2)
U = torch.tensor([0.0, 0.25, 1.0])
SLOPE = np.array([3.0, 4.0])  # of length 5


def linear(images):
    """C(x) = 3 x_0 + 4 x_1 - 2, of which the gradient's length is 5 everywhere."""
    return (images * torch.tensor(SLOPE, dtype=images.dtype)).sum((1, 2, 3)) - 2


def quadratic(images):
    """C(x) = |x|^2 / 2, of which the gradient is x."""
    return images.square().sum((1, 2, 3)) / 2


def rows(images):
    return images.flatten(1).numpy().astype(float)


def scores(images):
    return rows(images) @ SLOPE - 2


def log_sigmoid(x):
    return np.array([-math.log(1 + math.exp(-v)) for v in x])


def discriminator(name, critic, weight=0.0):
    return LOSSES[name].discriminator(critic, critic, REAL, FAKE, weight, U)


def test_the_squared_gradient_of_known_critics():
    s, squared = squared_gradient(linear, REAL)
    np.testing.assert_allclose(s.detach(), scores(REAL))
    np.testing.assert_allclose(squared.detach(), [25, 25, 25])
    s, squared = squared_gradient(quadratic, REAL)
    np.testing.assert_allclose(s.detach(), [2.5, 0.5, 4.5])
    np.testing.assert_allclose(squared.detach(), [5, 1, 9])


def test_the_paper_s_loss_is_eq_3():
    # max E[log D(x)] + E[log(1 - D(G(z)))] with D = sigmoid(C), so that 1 - D = sigmoid(-C)
    value = log_sigmoid(scores(REAL)).mean() + log_sigmoid(-scores(FAKE)).mean()
    terms = discriminator("non-saturating", linear)
    assert terms.adversarial.item() == pytest.approx(-value, rel=1e-6)
    g = LOSSES["non-saturating"].generator(linear, linear, REAL, FAKE)
    assert g.item() == pytest.approx(-log_sigmoid(scores(FAKE)).mean(), rel=1e-6)


def test_the_relativistic_loss_compares_pairs():
    more_real = scores(REAL) - scores(FAKE)
    terms = discriminator("relativistic", linear)
    assert terms.adversarial.item() == pytest.approx(-log_sigmoid(more_real).mean(), rel=1e-6)
    g = LOSSES["relativistic"].generator(linear, linear, REAL, FAKE)
    assert g.item() == pytest.approx(-log_sigmoid(-more_real).mean(), rel=1e-6)


def test_the_wasserstein_loss_is_a_difference_of_means():
    difference = scores(FAKE).mean() - scores(REAL).mean()
    drift = 0.001 * (scores(REAL) ** 2).mean()
    terms = discriminator("wgan-gp", linear)
    assert terms.adversarial.item() == pytest.approx(difference + drift, rel=1e-6)
    g = LOSSES["wgan-gp"].generator(linear, linear, REAL, FAKE)
    assert g.item() == pytest.approx(-scores(FAKE).mean(), rel=1e-6)


@pytest.mark.parametrize("weight", [0.5, 10.0])
def test_penalties_by_hand(weight):
    # |gradient|^2 is 25 everywhere for the linear critic, and |x|^2 for the quadratic one:
    # 5, 1, 9 for real images and 1, 8, 16 for fake ones.
    def penalty(name, critic):
        return discriminator(name, critic, weight).penalty.item()

    assert penalty("non-saturating", linear) == pytest.approx(weight / 2 * 25)
    assert penalty("non-saturating", quadratic) == pytest.approx(weight / 2 * 5)
    assert penalty("relativistic", linear) == pytest.approx(weight / 2 * 50)
    assert penalty("relativistic", quadratic) == pytest.approx(weight / 2 * (5 + 25 / 3))
    # between real and fake at u: (1, 2), (0.5, -0.25) and (0, -4); the length is to be 1
    between = np.linalg.norm([[1, 2], [0.5, -0.25], [0, -4]], axis=1)
    assert penalty("wgan-gp", linear) == pytest.approx(weight * (5 - 1) ** 2)
    assert penalty("wgan-gp", quadratic) == pytest.approx(weight * ((between - 1) ** 2).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_zero_leaves_the_penalty_out(name):
    calls = []

    def critic(images):
        calls.append(images)
        return quadratic(images)

    terms = discriminator(name, critic, 0.0)
    assert terms.penalty.item() == 0
    assert len(calls) == 2  # each batch is scored once
    assert not any(images.requires_grad for images in calls)
    whole = discriminator(name, quadratic, 1.0)
    assert terms.adversarial.item() == pytest.approx(whole.adversarial.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_generator_s_loss_falls_when_fakes_score_higher(name):
    def loss(shift):
        return LOSSES[name].generator(linear, lambda x: linear(x) + shift, REAL, FAKE).item()

    falling = [loss(shift) for shift in (-5.0, -1.0, 0.0, 1.0, 5.0)]
    assert all(a > b for a, b in itertools.pairwise(falling))


@pytest.mark.parametrize("name", LOSSES)
def test_the_discriminator_s_loss_falls_when_it_tells_them_apart(name):
    def loss(shift):
        terms = LOSSES[name].discriminator(
            lambda x: linear(x) + shift, lambda x: linear(x) - shift, REAL, FAKE, 0.0, U
        )
        return terms.adversarial.item()

    falling = [loss(shift) for shift in (-3.0, -1.0, 0.0, 1.0, 3.0)]
    assert all(a > b for a, b in itertools.pairwise(falling))


@pytest.mark.parametrize("name", LOSSES)
def test_the_discriminator_s_loss_leaves_the_generator_alone(name):
    fake = FAKE.clone().requires_grad_()
    weight = torch.ones((), requires_grad=True)

    def critic(images):
        return weight * quadratic(images)

    terms = LOSSES[name].discriminator(critic, critic, REAL, fake, 1.0, U)
    (terms.adversarial + terms.penalty).backward()
    assert fake.grad is None
    assert weight.grad != 0
    LOSSES[name].generator(critic, critic, REAL, fake).backward()
    assert (fake.grad != 0).any()


@pytest.mark.parametrize("name", LOSSES)
def test_real_and_fake_have_their_own_critics(name):
    def other(images):
        return 2 * linear(images) + 1

    plain = LOSSES[name].discriminator(linear, linear, REAL, FAKE, 0.0, U).adversarial
    moved = LOSSES[name].discriminator(linear, other, REAL, FAKE, 0.0, U).adversarial
    twice = (
        LOSSES[name].discriminator(linear, linear, REAL, (FAKE * 2).add(-1 / 7), 0.0, U).adversarial
    )  # 3 (2 a - 1/7) + 4 (2 b - 1/7) - 2 = 2 (3 a + 4 b - 2) + 1
    assert moved.item() == pytest.approx(twice.item(), rel=1e-5)
    assert moved.item() != pytest.approx(plain.item(), rel=1e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_hidden_pixels_do_not_count(name):
    """A hidden pixel's gradient is 0, so that a mask takes its part out of the penalty."""
    masks = torch.tensor([1.0, 0]).expand(3, 1, 1, 2)

    def critic(images):
        return linear(apply_mask(images, masks)[:, :1])

    terms = LOSSES[name].discriminator(critic, critic, REAL, FAKE, 1.0, U)
    by_hand = {"wgan-gp": (3 - 1) ** 2, "non-saturating": 9 / 2, "relativistic": (9 + 9) / 2}
    assert terms.penalty.item() == pytest.approx(by_hand[name])
    anything = torch.where(masks > 0, REAL, 1000.0)
    changed = LOSSES[name].discriminator(critic, critic, anything, FAKE, 1.0, U)
    assert changed == terms


@pytest.fixture
def double(monkeypatch):
    """A small discriminator that computes in float64 all through, real images and fake ones."""
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x)  # not down to float32 for its scores
    torch.manual_seed(1)
    network = Discriminator(8, 2, capacity=32, max_channels=4, group=2).double()
    for parameter in network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.1)  # biases, too
    real, fake = torch.randn(2, 4, 1, 8, 8, dtype=torch.float64)
    return network, real, fake


def masked(score):
    masks = torch.ones(4, 1, 8, 8, dtype=torch.float64)
    masks[:, :, 2:5, 3:7] = 0
    return lambda images: score(apply_mask(images, masks))


@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_through_a_penalty_against_finite_differences(name, alpha, double):
    """Double backward through a whole discriminator, along two directions for each parameter."""
    network, real, fake = double
    critic = masked(lambda images: network(images, alpha))
    u = torch.linspace(0.1, 0.9, 4, dtype=torch.float64)

    def penalty():
        return LOSSES[name].discriminator(critic, critic, real, fake, 1.0, u).penalty

    parameters = dict(network.named_parameters())
    value = penalty()
    gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    assert value > 1e-4
    source = torch.Generator().manual_seed(2)
    h = 1e-6  # so small that no rectifier turns on the way
    for (label, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        known = torch.zeros_like(parameter) if gradient is None else gradient
        along = torch.randn(parameter.shape, generator=source, dtype=torch.float64)
        for direction in (along, known):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.add_(sign * h * direction)
                ends.append(penalty().item())
                with torch.no_grad():
                    parameter.sub_(sign * h * direction)
            slope = (ends[0] - ends[1]) / (2 * h)
            expected = (known * direction).sum().item()
            assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7), label


def test_the_squared_gradient_through_a_discriminator_passes_gradcheck(double):
    network, real, _ = double
    weights = dict(network.named_parameters())

    def squared(weight):
        def score(images):
            return functional_call(network, {name: weight}, images)

        return squared_gradient(masked(score), real)[1]  # (b,)

    for name in ("from_image.8.weight", "score.weight"):
        assert gradcheck(squared, weights[name].detach().clone().requires_grad_(), atol=1e-6)
