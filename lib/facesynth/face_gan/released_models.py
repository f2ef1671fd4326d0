"""The generators that come with the package: what is in their files, and that it is unchanged.

Weights are kept in half precision, which halves their size and changes an image by less than a grey
level. A file holds all that makes faces of them: the generator and its configuration, and, where it
makes geometries, the mean face and the unit of its images.
"""

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facesynth import gan
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.models import CHANNELS, N_TEXTURE, Model, check_model
from facesynth.files.atomic import write_text
from facesynth.gan.run_folder import load_tensors, save_tensors
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.template import standard

FOLDER, SUMS = "weights", "SHA256SUMS"
GENERATOR = "generator."  # begins the names of its tensors
BLUR = 1.5  # pixels: as few triangles of generated faces are turned over as of scans (chapter 06)


class WeightsError(OSError):
    """A file of weights is missing, or not the one that was released."""


@dataclass(frozen=True)
class ReleasedModel:
    """A trained generator, and what takes its images to faces.

    model       as in `face_gan.Model`
    generator   makes images (n, R, R, c), textures first
    config      what it was trained with
    geometries  takes its last three channels to faces; None where there is no geometry
    """

    model: Model
    generator: gan.Generator
    config: gan.Config
    geometries: GeometryImages | None

    def textures(self, images: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The textures (n, R, R, 3), sRGB, of generated images."""
        if self.model == "geometries":
            raise ValueError("this generator makes no textures")
        return gan.to_uint8(images[..., :N_TEXTURE])

    def geometry(self, images: NDArray[np.floating], blur: float = BLUR) -> NDArray[np.float32]:
        """The faces (n, m, 3) mm of generated images, blurred by so many pixels before."""
        if self.geometries is None:
            raise ValueError("this generator makes no geometries")
        return self.geometries.to_geometry(blurred(images[..., -3:], blur))


def blurred(images: NDArray[np.floating], blur: float) -> NDArray[np.floating]:
    """Blur images (n, R, R, c) by a Gaussian of so many pixels."""
    return np.asarray(gaussian_filter(images, (0, blur, blur, 0), mode="nearest"))


def save(path: Path, model: Model, run: gan.RunFolder, to: GeometryImages) -> None:
    """Write a finished run's generator in half precision, and note its digest beside it.

    Raises `gan.UnfinishedRunError`, `gan.DamagedFileError` and `WriteError`.
    """
    check_model(model)
    tensors = {
        GENERATOR + name: tensor.half() for name, tensor in run.generator().state_dict().items()
    }
    if model != "textures":
        tensors |= {"mean": _tensor(to.mean), "unit": _tensor(to.unit)}
    save_tensors(tensors, {"model": model, "config": run.config.to_json()}, path)
    sums = _sums(path.parent) | {path.name: _digest(path)}
    write_text(path.parent / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def load(path: Path) -> ReleasedModel:
    """Read what `save` wrote. Raises `WeightsError` for a missing, altered or other file."""
    if not path.exists():
        raise WeightsError(f"{path} is missing; {_AGAIN}")
    if _sums(path.parent).get(path.name) != _digest(path):
        raise WeightsError(f"{path} is not the released file: its SHA-256 differs; {_AGAIN}")
    tensors, metadata = load_tensors(path)
    config = gan.Config.from_json(metadata["config"])
    generator = config.generator()
    weights = {
        name.removeprefix(GENERATOR): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(GENERATOR)
    }
    generator.load_state_dict(weights)
    model = check_model(metadata["model"])
    assert config.channels == CHANNELS[model]
    to = None
    if model != "textures":
        mapping = UniversalMapping(standard(), config.resolution)
        to = GeometryImages(mapping, tensors["mean"].numpy(), tensors["unit"].numpy())
    return ReleasedModel(model, generator.eval().requires_grad_(False), config, to)


@functools.lru_cache(maxsize=3)
def released(model: Model) -> ReleasedModel:
    """The model of this name that comes with the package, read once in a process.

    Raises `UnknownModelError`, and `WeightsError` where it is missing or altered.
    """
    check_model(model)
    return load(folder() / f"{model}.safetensors")


def folder() -> Path:
    """Where the package keeps its generators, with their cards."""
    with resources.as_file(resources.files("facesynth.data") / FOLDER) as path:
        return path


_AGAIN = "get it again: by `git checkout`, or by installing the package anew"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sums(folder: Path) -> dict[str, str]:
    """Digests by name, as `sha256sum --check` reads them."""
    path = folder / SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _tensor(array: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float32))
