"""Adversarial losses: Eq. 3 and related losses that train more stably.

With C(x) the discriminator's score before the sigmoid, D = sigmoid(C), Eq. 3 is

    min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))].                                          (3)

Each loss below is a pair of functions. The discriminator's takes the critics of real and of fake
images (functions from images to scores, which apply the masks if there are any), real and fake
images (b, c, r, r), the weight of the penalty (0: none), and a vector (b,) of uniform random
numbers. The generator's takes the critics and the images.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus  # softplus(x) = -log sigmoid(-x)

Critic = Callable[[Tensor], Tensor]


class Terms(NamedTuple):
    """The two terms whose sum the discriminator minimises."""

    adversarial: Tensor
    penalty: Tensor


class Loss(NamedTuple):
    """The losses of discriminator and generator."""

    discriminator: Callable[[Critic, Critic, Tensor, Tensor, float, Tensor], Terms]
    generator: Callable[[Critic, Critic, Tensor, Tensor], Tensor]


def squared_gradient(critic: Critic, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores (b,) and the squared norm (b,) of each score's gradient.

    The gradient is with respect to the image before it is masked: hidden pixels do not contribute.
    """
    images = images.detach().requires_grad_()
    scores = critic(images)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return scores, gradient.square().sum((1, 2, 3))


def _scored(critic: Critic, images: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    if weight:
        return squared_gradient(critic, images)
    return critic(images.detach()), images.new_zeros(1)


def _wasserstein_discriminator(
    real_critic: Critic, fake_critic: Critic, real: Tensor, fake: Tensor, weight: float, u: Tensor
) -> Terms:
    scores = real_critic(real)
    # Karras et al. 2017: keeps the scores of real images from drifting.
    adversarial = (fake_critic(fake.detach()) - scores).mean() + 0.001 * scores.square().mean()
    if not weight:
        return Terms(adversarial, adversarial.new_zeros(()))
    between = torch.lerp(real, fake.detach(), u[:, None, None, None])
    _, squared = squared_gradient(real_critic, between)
    return Terms(adversarial, weight * ((squared + 1e-12).sqrt() - 1).square().mean())


def _wasserstein_generator(_r: Critic, fake_critic: Critic, _real: Tensor, fake: Tensor) -> Tensor:
    return -fake_critic(fake).mean()


def _saturating_discriminator(
    real_critic: Critic, fake_critic: Critic, real: Tensor, fake: Tensor, weight: float, _u: Tensor
) -> Terms:
    real_scores, squared = _scored(real_critic, real, weight)
    fake_scores = fake_critic(fake.detach())
    adversarial = (softplus(-real_scores) + softplus(fake_scores)).mean()  # Eq. 3
    return Terms(adversarial, weight / 2 * squared.mean())  # R1


def _nonsaturating_generator(
    _r: Critic, fake_critic: Critic, _real: Tensor, fake: Tensor
) -> Tensor:
    # Eq. 3 minimises log(1 - D), whose gradient vanishes where D is confident.
    return softplus(-fake_critic(fake)).mean()


def _relativistic_discriminator(
    real_critic: Critic, fake_critic: Critic, real: Tensor, fake: Tensor, weight: float, _u: Tensor
) -> Terms:
    real_scores, real_squared = _scored(real_critic, real, weight)
    fake_scores, fake_squared = _scored(fake_critic, fake, weight)
    adversarial = softplus(fake_scores - real_scores).mean()
    return Terms(adversarial, weight / 2 * (real_squared.mean() + fake_squared.mean()))  # R1, R2


def _relativistic_generator(
    real_critic: Critic, fake_critic: Critic, real: Tensor, fake: Tensor
) -> Tensor:
    with torch.no_grad():
        real_scores = real_critic(real)
    return softplus(real_scores - fake_critic(fake)).mean()


LOSSES = {
    # The paper's, as in its reference Karras et al. (2017); penalty of Gulrajani et al. (2017).
    "wgan-gp": Loss(_wasserstein_discriminator, _wasserstein_generator),
    # Goodfellow et al. (2014), penalty of Mescheder et al. (2018).
    "non-saturating": Loss(_saturating_discriminator, _nonsaturating_generator),
    # Jolicoeur-Martineau (2019), with both penalties: Huang et al. (2024).
    "relativistic": Loss(_relativistic_discriminator, _relativistic_generator),
}
