"""How good a generator of faces is: what it makes beside scans, part by part."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesynth import gan
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation.artefacts import artefacts
from facesynth.evaluation.coverage import NEIGHBOURS, coverage, thumbnails
from facesynth.evaluation.scores import as_scanned, halves, largest_half, scores
from facesynth.face_gan import models as face_gan
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.released_models import Made, ReleasedModel
from facesynth.files import arrays

COMPONENTS = (200, None)  # of the morphable models compared with; None: all there are
N_SCORED = 940  # scans that as many generated images are compared with
FINEST_SCORED = 256  # pixels of the textures that are compared
AT_A_TIME = 50  # faces
SCORED = 128  # pixels of the images of lifted geometries


def some(n: int, most: int) -> NDArray[np.intp]:
    """Some of n scans, at random."""
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


@dataclass(frozen=True)
class Compared:
    """Images of scans (k, R, R, c), of whom they are (k,), generated ones, and the scans' masks."""

    scans: NDArray[Any]
    subjects: NDArray[np.integer]
    generated: NDArray[Any]
    masks: NDArray[np.bool_] | None = None


def compared(made: ReleasedModel, scans: Dataset, to: GeometryImages) -> dict[str, Compared]:
    """What a model makes beside scans, part by part."""
    chosen = some(len(scans), 2 * N_SCORED)
    at_rest = scans.neutral_geometry[chosen] if made.tells_rest else None
    scans = scans.take(chosen)
    who, found = scans.subjects, {}
    n = largest_half(who)
    images = gan.sample(made.generator, n, seed=1)
    side = min(made.resolution, FINEST_SCORED, scans.resolution)
    faces = in_parts(made, n, seed=1, resolution=side) if made.lift is not None else None
    if made.model != "geometries":
        at = GeometryImages(mapping(side, scans.template), to.mean, to.unit)
        data = face_gan.training_images("textures", scans, at)
        textures = made.textures(images) if faces is None else faces.textures
        found["textures"] = Compared(np.asarray(data.pixels), who, textures, data.masks)
    if made.geometries is not None and made.model != "textures":
        real = made.geometries.to_images(scans.geometry)
        own = Compared(real, who, images[..., made.geometry_channels()])
        if faces is None:
            found["geometries"] = own
        else:
            found["geometries, before they are lifted"] = own
            at = GeometryImages.fit(mapping(SCORED, scans.template), scans.geometry)
            lifted = at.to_images(faces.geometry)
            found["geometries"] = Compared(at.to_images(scans.geometry), who, lifted)
        if at_rest is not None:
            resting = in_parts(made, n, seed=1, resolution=made.config.resolution, neutral=True)
            resting_images = at.to_images(resting.geometry)
            found["geometries at rest"] = Compared(at.to_images(at_rest), who, resting_images)
    return found


def score(parts: dict[str, Compared]) -> dict[str, Any]:
    """Sliced Wasserstein distances x 1000 of what a model makes to scans, part by part."""
    found: dict[str, Any] = {"n": min(len(of.generated) for of in parts.values())}
    for name, of in parts.items():
        components = tuple(k for k in COMPONENTS if k is None or k < len(of.scans))
        found[name] = scores(of.scans, of.generated, of.masks, components, subjects=of.subjects)
    return found


def fidelity(parts: dict[str, Compared]) -> dict[str, dict[str, float]]:
    """Precision, recall, density and coverage, and artefacts, part by part.

    As in `scores`, textures get the masks of scans, and one half of the people is compared with.
    """
    found = {}
    for name, of in parts.items():
        n = min(len(of.generated), largest_half(of.subjects))
        half, other = halves(of.subjects, n, np.random.default_rng(0))
        real, generated = of.scans[half], of.generated[:n]
        if of.masks is not None:
            real = as_scanned(real, of.masks[half])
            generated = as_scanned(generated, of.masks[other])
        numbers = vars(artefacts(real, generated))
        if n > NEIGHBOURS:
            numbers = vars(coverage(*thumbnails(real, generated))) | numbers
        found[name] = {key: round(value, 4) for key, value in numbers.items()}
    return found


def in_parts(made: ReleasedModel, n: int, seed: int, **settings: Any) -> Made:
    """Make n faces, some at a time; settings are those of `ReleasedModel.make`."""
    whole: dict[str, NDArray[Any] | None] = {}
    start = 0
    for z in made.latents(n, seed).split(AT_A_TIME):
        part = made.make(z, **settings)
        for name, values in vars(part).items():
            if values is None:
                whole[name] = None
                continue
            into = whole.setdefault(name, arrays.scratch((n, *values.shape[1:]), values.dtype))
            assert into is not None
            into[start : start + len(z)] = values
        start += len(z)
    return Made(**whole)  # type: ignore[arg-type]
