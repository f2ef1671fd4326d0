"""Generators that were never trained, and make images all the same."""

import dataclasses

import torch
import torch.nn.functional as F

from facesynth import gan


def config(of, latent=12):
    """A configuration with short latent vectors, and as many components to begin with."""
    return dataclasses.replace(of, latent=latent, anchors=latent)


def anchored(of, skin=(0.6, 0.2, 0.0), seed=0):
    """An anchored generator of smooth random components, about skin and the mean face."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = of.generator()
        shape = (of.anchors, of.channels, 4, 4)
        smooth = F.interpolate(torch.randn(shape), size=of.resolution, mode="bilinear")
        network.basis.copy_(0.1 * smooth.flatten(1))
        network.mean[:3] = torch.tensor(skin)[:, None, None]
        for layer in network.to_image:
            layer.weight.data.normal_(0, 0.1)
    assert isinstance(network, gan.ImageGenerator)
    return network.eval().requires_grad_(False)
