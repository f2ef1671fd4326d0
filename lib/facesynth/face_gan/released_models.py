"""Generators in files: what is in a folder of models, and that it is unchanged.

    NAME.safetensors      the generator and its configuration and, where it makes geometries, the
                          mean face and the unit of its images
    NAME.fit.safetensors  of a generator of textures: which geometry belongs to a texture
    template.npz          whose triangles its faces have
    SHA256SUMS            of these files

Weights are kept in half precision, which halves their size and changes an image by less than a grey
level. The package comes with such a folder, and `facesynth train` makes others.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facesynth import gan
from facesynth.dataset.aligned_scan import mapping
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.models import CHANNELS, N_TEXTURE, Model, check_model
from facesynth.face_gan.texture_fit import TextureFit
from facesynth.files.atomic import write_text
from facesynth.gan.run_folder import load_tensors, save_tensors
from facesynth.template import Template

FOLDER, SUMS, TEMPLATE = "weights", "SHA256SUMS", "template.npz"
SUFFIX, FIT = ".safetensors", ".fit.safetensors"
GENERATOR = "generator."  # begins the names of its tensors
BLUR = 1.5  # pixels: as few triangles of generated faces are flipped as of scans (chapter 06)


class WeightsError(OSError):
    """A model's file is missing, altered, or not of the kind that is needed."""


@dataclass(frozen=True)
class ReleasedModel:
    """A trained generator, and what takes its images to faces.

    model       as in `face_gan.Model`
    generator   makes images (n, R, R, c), textures first
    config      what it was trained with
    template    of the scans that it has learned from
    geometries  takes its last three channels to faces; None where there is no geometry
    fit         takes its textures to geometries, if it makes textures alone
    digest      SHA-256 of its file
    """

    model: Model
    generator: gan.ImageGenerator
    config: gan.Config
    template: Template
    geometries: GeometryImages | None
    fit: TextureFit | None
    digest: str

    @property
    def makes_faces(self) -> bool:
        """Whether textures and geometries come of it, together or one after the other."""
        return self.model != "geometries" and not (self.geometries is None and self.fit is None)

    @property
    def uv(self) -> NDArray[np.float64]:
        """(m, 2), where each vertex lies in the textures."""
        return mapping(self.config.resolution, self.template).uv

    def faces(self, images: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The geometries (n, m, 3) mm and textures (n, R, R, 3) sRGB of generated images."""
        textures = self.textures(images)
        return self.geometry(images) if self.fit is None else self.fit.predict(textures), textures

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


def save(
    folder: Path,
    model: Model,
    run: gan.RunFolder,
    to: GeometryImages,
    fit: TextureFit | None = None,
) -> None:
    """Write a finished run's generator into a folder of models.

    Raises `WeightsError` for a folder with models of another template, and
    `gan.UnfinishedRunError`, `gan.DamagedFileError` and `WriteError`.
    """
    check_model(model)
    check_template(folder, to.mapping.template)
    if not (folder / TEMPLATE).exists():
        to.mapping.template.save(folder / TEMPLATE)
    tensors = {
        GENERATOR + name: tensor.half() for name, tensor in run.generator().state_dict().items()
    }
    if model != "textures":
        tensors |= {"mean": _tensor(to.mean), "unit": _tensor(to.unit)}
    metadata = {"model": model, "config": run.config.to_json()}
    save_tensors(tensors, metadata, folder / f"{model}{SUFFIX}")
    if fit is not None:
        fit.save(folder / f"{model}{FIT}")
    written = [f"{model}{SUFFIX}", TEMPLATE, *([] if fit is None else [f"{model}{FIT}"])]
    sums = _sums(folder) | {name: _digest(folder / name) for name in written}
    write_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def check_template(folder: Path, template: Template) -> None:
    """Raise `WeightsError` for a folder with models of another template."""
    path = folder / TEMPLATE
    if path.exists() and Template.load(path).digest != template.digest:
        raise WeightsError(
            f"{folder} holds models of another template than these scans'; choose another folder"
        )


def load(folder: Path, model: Model) -> ReleasedModel:
    """Read what `save` wrote. Raises `WeightsError` for missing, altered or other files."""
    name = check_model(model)
    template = Template.load(_checked(folder, TEMPLATE))
    tensors, metadata = load_tensors(_checked(folder, f"{name}{SUFFIX}"))
    config = gan.Config.from_json(metadata["config"])
    generator = config.generator()
    assert isinstance(generator, gan.ImageGenerator)
    weights = {
        name.removeprefix(GENERATOR): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(GENERATOR)
    }
    generator.load_state_dict(weights)
    assert (metadata["model"], config.channels) == (name, CHANNELS[name])
    to, fit = None, None
    if name != "textures":
        onto = mapping(config.resolution, template)
        to = GeometryImages(onto, tensors["mean"].numpy(), tensors["unit"].numpy())
    elif (folder / f"{name}{FIT}").exists():
        fit = TextureFit.load(_checked(folder, f"{name}{FIT}"))
    return ReleasedModel(
        name,
        generator.eval().requires_grad_(False),
        config,
        template,
        to,
        fit,
        _sums(folder)[f"{name}{SUFFIX}"],
    )


def load_first(folder: Path, models: Sequence[Model]) -> ReleasedModel:
    """The first of some models that is in a folder and makes faces. Raises `WeightsError`."""
    there = [model for model in models if (folder / f"{model}{SUFFIX}").exists()]
    for model in there:
        made = load(folder, model)
        if made.makes_faces:
            return made
    raise WeightsError(
        f"{folder} holds none of the models {', '.join(models)} that make whole faces; train one: "
        "facesynth train DATASET --model textures --out FOLDER"
    )


@functools.lru_cache(maxsize=3)
def released(model: Model) -> ReleasedModel:
    """The model of this name that comes with the package, read once in a process.

    Raises `UnknownModelError`, and `WeightsError` where it is missing or altered.
    """
    return load(folder(), model)


def folder() -> Path:
    """Where the package keeps its generators, with their cards."""
    with resources.as_file(resources.files("facesynth.data") / FOLDER) as path:
        return path


def _checked(folder: Path, name: str) -> Path:
    """The path of a file that is as it was written."""
    path = folder / name
    again = "train it again; a model of the package: `git checkout`, or install the package anew"
    if not path.exists():
        raise WeightsError(f"{path} is missing; {again}")
    if _sums(folder).get(name) != _digest(path):
        raise WeightsError(f"{path} has been altered: its SHA-256 is not that in {SUMS}; {again}")
    return path


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
