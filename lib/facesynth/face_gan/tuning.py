"""What is set when training is over, by scans that were held out: one number after the other."""

import statistics
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from facesynth import gan
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation.artefacts import artefacts
from facesynth.evaluation.scores import shrunk
from facesynth.evaluation.swd import sliced_wasserstein
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import scoring
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.detailing import NOISE, detailed
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.gan.anchored import AnchoredGenerator
from facesynth.gan.detail import SCALE, SMALL

NOISES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # of the lift, of which one is chosen
CALMED = tuple(k / 10 for k in range(2, 11))  # shares of the finest noise, of which one is chosen
LEVELLED = 300  # scans held out, of whose detail the power is measured
FEWEST_UNSEEN = 10  # faces held out, to choose by


def calm(generator: AnchoredGenerator, unseen: Dataset, colours: Colours) -> float:
    """Lessen the noise in the finest pixels, which training overdoes where there is hair.

    Returns its share with which textures are nearest to scans held out, at their finest level.
    """
    n, finest = len(unseen), generator.fine[-1].noise
    assert isinstance(finest, torch.Tensor)
    if n < FEWEST_UNSEEN:
        return 1.0
    whole, side = finest.detach().clone(), generator.resolution
    scans = shrunk(unseen.textures, side)

    def away(share: float) -> float:
        with torch.no_grad():
            finest.copy_(share * whole)
        images = gan.sample(generator, n, seed=3)[..., : face_gan.N_TEXTURE]
        return sliced_wasserstein(scans, gan.to_uint8(colours.colours(images)))[side]

    share = min(CALMED, key=away)
    with torch.no_grad():
        finest.copy_(share * whole)
    return share


def level(
    networks: list[gan.Detailer], generator: AnchoredGenerator, unseen: Dataset, colours: Colours
) -> list[float]:
    """Scale detail to have the highest frequencies' power of scans held out; return the shares.

    Detail that is finer than the scans' pixels stays as it is.
    """
    scans = unseen.textures[:LEVELLED]
    if len(unseen) < FEWEST_UNSEEN:
        return [1.0] * len(networks)
    images = gan.sample(generator, len(scans), seed=4)[..., : face_gan.N_TEXTURE]
    made: NDArray[np.floating] = colours.colours(images)
    z = torch.randn(len(scans), NOISE, generator=torch.Generator().manual_seed(4))
    shares = []
    for network in networks:
        side, share = SCALE * made.shape[1], 1.0
        if side <= unseen.resolution:
            finer, _ = detailed(network, made, z)
            found = artefacts(shrunk(scans, side), gan.to_uint8(finer))
            share = float((2 / (found.rows + found.columns)) ** 0.5)  # of amplitudes, not powers
            with torch.no_grad():
                for values in network.to_detail.parameters():
                    values[:SMALL] *= share
            made, _ = detailed(network, made, z)
        shares.append(round(share, 3))
    return shares


def trusted(lift: Lift, generator: gan.ImageGenerator, unseen: NDArray[np.float32]) -> Lift:
    """The lift with the noise by which what it makes is nearest to faces held out (n, m, 3)."""
    n = len(unseen)
    if n < FEWEST_UNSEEN:
        return lift
    fine = mapping(scoring.SCORED, lift.to.mapping.template)
    at = GeometryImages(fine, lift.to.mean, lift.to.unit)
    images = gan.sample(generator, n, seed=2)[..., face_gan.N_TEXTURE :][..., : face_gan.REST]
    drawn = np.random.default_rng(2).normal(size=(n, len(lift.components)))

    def away(noise: float) -> float:
        made = replace(lift, noise=noise).faces(images, drawn)
        found = sliced_wasserstein(at.to_images(unseen), at.to_images(made))
        return statistics.fmean(found.values())

    return replace(lift, noise=min(NOISES, key=away))
