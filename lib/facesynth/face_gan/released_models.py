"""Generators in files: what is in a folder of models, and that it is unchanged.

    NAME.safetensors             the generator and its configuration and, where it makes geometries,
                                 the mean face and the unit of its images; of whole faces, channels
                                 of colours and the morphable model by which geometries are lifted
    NAME.detail-256.safetensors  the network that adds detail up to 256 x 256 pixels; and so on
    NAME.fit.safetensors         of a generator of textures: which geometry belongs to a texture
    template.npz                 whose triangles its faces have
    SHA256SUMS                   of these files

Weights are kept in half precision, which halves their size and changes an image by less than a grey
level. The package comes with such a folder, and `facesynth train` makes others.
"""

import functools
import hashlib
import json
import os
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
from facesynth.evaluation.scores import shrunk, small_rows
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.detailing import NOISE, detailed
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.face_gan.models import CHANNELS, N_TEXTURE, REST, Model, check_model
from facesynth.face_gan.texture_fit import TextureFit
from facesynth.files.atomic import write_text
from facesynth.files.integers import checked_seed
from facesynth.gan.detail import SCALE
from facesynth.gan.run_folder import load_tensors, save_tensors
from facesynth.template import Template

FOLDER, SUMS, TEMPLATE = "weights", "SHA256SUMS", "template.npz"
SUFFIX, FIT, DETAIL = ".safetensors", ".fit.safetensors", ".detail-"
GENERATOR = "generator."  # begins the names of its tensors
DRAWN = 16  # numbers that PyTorch draws at a time: those of a rest depend on its length
BLUR = 1.5  # pixels: of geometry images that are not lifted, so that few triangles are flipped


class WeightsError(OSError):
    """A model's file is missing, altered, or not of the kind that is needed."""


@dataclass(frozen=True)
class Made:
    """Generated faces: geometry (n, m, 3) mm, textures (n, R, R, 3), displacement (n, R, R) mm.

    There is no displacement where the generator makes none.
    """

    geometry: NDArray[np.float32]
    textures: NDArray[np.uint8]
    displacement: NDArray[np.float32] | None


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
    colours     channels of its textures, where they are not red, green and blue
    lift        takes the coarse part of its geometry images to faces, instead of all of it
    details     networks that add the finer levels of textures, and displacement, one after another
    """

    model: Model
    generator: gan.ImageGenerator
    config: gan.Config
    template: Template
    geometries: GeometryImages | None
    fit: TextureFit | None
    digest: str
    colours: Colours | None = None
    lift: Lift | None = None
    details: tuple[gan.Detailer, ...] = ()

    @property
    def resolution(self) -> int:
        """R, pixels along the side of its finest textures."""
        return self.config.resolution * SCALE ** len(self.details)

    @property
    def n_latents(self) -> int:
        """Length of its latent vectors: of the generator, the lift, and the detail."""
        return sum(self._parts)

    @property
    def _parts(self) -> tuple[int, int, int]:
        lift = 0 if self.lift is None else len(self.lift.components)
        return self.generator.latent, lift, NOISE if self.details else 0

    def latents(self, n: int, seed: int) -> torch.Tensor:
        """Draw latent vectors (n, `n_latents`); the first are the same for every n."""
        size, source = n * self.n_latents, torch.Generator().manual_seed(checked_seed(seed))
        drawn = torch.randn(-(-size // DRAWN) * DRAWN, generator=source)
        return drawn[:size].view(n, self.n_latents)

    def images(self, z: torch.Tensor, truncation: float = 1.0) -> NDArray[np.float32]:
        """What the generator makes (n, r, r, c) of latent vectors, before detail."""
        return gan.generate(self.generator, z[:, : self.generator.latent], truncation)

    def make(
        self,
        z: torch.Tensor,
        truncation: float = 1.0,
        *,
        resolution: int | None = None,
        neutral: bool = False,
    ) -> Made:
        """Whole faces of latent vectors (n, `n_latents`).

        truncation  in [0, 1]: less is closer to the mean face
        resolution  of the textures: `resolution`, by default, or a half, a quarter, ... of it
        neutral     whether the geometries are those of the faces at rest, where `tells_rest`
        """
        images = self.images(z, truncation)
        size = self.resolution if resolution is None else resolution
        _, of_lift, of_detail = z.split(self._parts, dim=1)
        colours, displacement = self._colours(images), None
        for network in self.details:
            if colours.shape[1] < size:
                colours, displacement = detailed(network, colours, of_detail)
        whole = gan.to_uint8(colours)
        textures = shrunk(whole, size)
        if displacement is not None and len(displacement[0]) != size:
            rows = small_rows(displacement[..., None], size)
            displacement = rows.reshape(-1, size, size).astype(np.float32)
        if self.fit is not None:
            return Made(self.fit.predict(whole), textures, displacement)
        drawn = truncation * of_lift.numpy()
        return Made(self.geometry(images, drawn=drawn, neutral=neutral), textures, displacement)

    @property
    def makes_faces(self) -> bool:
        """Whether textures and geometries come of it, together or one after the other."""
        return self.model != "geometries" and not (self.geometries is None and self.fit is None)

    @property
    def uv(self) -> NDArray[np.float64]:
        """(m, 2), where each vertex lies in the textures."""
        return mapping(self.config.resolution, self.template).uv

    def textures(self, images: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The textures (n, r, r, 3), sRGB, of generated images, before detail."""
        return gan.to_uint8(self._colours(images))

    def geometry(
        self,
        images: NDArray[np.floating],
        blur: float = BLUR,
        *,
        drawn: NDArray[np.floating] | None = None,
        neutral: bool = False,
    ) -> NDArray[np.float32]:
        """The faces (n, m, 3) mm of generated images.

        blur     by so many pixels, before, where they are not lifted
        drawn    see `Lift.faces`
        neutral  of the face at rest, where the generator tells it apart
        """
        if self.geometries is None:
            raise ValueError("this generator makes no geometries")
        chosen = images[..., self.geometry_channels(neutral)]
        if self.lift is not None:
            return self.lift.faces(chosen, drawn)
        return self.geometries.to_geometry(blurred(chosen, blur))

    def geometry_channels(self, neutral: bool = False) -> slice:
        """Which channels of generated images are geometry, as it comes or at rest."""
        first = 0 if self.model == "geometries" else N_TEXTURE
        return slice(first + REST, first + 2 * REST) if neutral else slice(first, first + REST)

    @property
    def tells_rest(self) -> bool:
        """Whether it makes faces with and without their expression."""
        return self.config.channels == CHANNELS["faces"] + REST

    def _colours(self, images: NDArray[np.floating]) -> NDArray[np.floating]:
        if self.model == "geometries":
            raise ValueError("this generator makes no textures")
        channels = images[..., :N_TEXTURE]
        return channels if self.colours is None else self.colours.colours(channels)


def blurred(images: NDArray[np.floating], blur: float) -> NDArray[np.floating]:
    """Blur images (n, R, R, c) by a Gaussian of so many pixels."""
    return np.asarray(gaussian_filter(images, (0, blur, blur, 0), mode="nearest"))


def save(
    folder: str | os.PathLike[str],
    model: Model,
    generator: gan.ImageGenerator,
    config: gan.Config,
    to: GeometryImages,
    fit: TextureFit | None = None,
    *,
    colours: Colours | None = None,
    lift: Lift | None = None,
    details: Sequence[tuple[gan.Detailer, gan.Config]] = (),
) -> None:
    """Write a trained generator, and what belongs to it, into a folder of models.

    Raises `WeightsError` for a folder with models of another template, and `WriteError`.
    """
    folder = Path(folder)
    check_model(model)
    check_template(folder, to.mapping.template)
    if not (folder / TEMPLATE).exists():
        to.mapping.template.save(folder / TEMPLATE)
    tensors = {GENERATOR + name: tensor.half() for name, tensor in generator.state_dict().items()}
    if model != "textures":
        tensors |= {"mean": _tensor(to.mean), "unit": _tensor(to.unit)}
    metadata = {"model": model, "config": config.to_json()}
    if colours is not None:
        tensors |= {"colours.mean": _tensor(colours.mean), "colours.turn": _tensor(colours.turn)}
    if lift is not None:
        tensors |= {"lift.mean": _tensor(lift.mean), "lift": _tensor(lift.components).half()}
        metadata["noise"] = repr(lift.noise)
    written = [f"{model}{SUFFIX}", TEMPLATE]
    side = config.resolution
    for network, of_network in details:
        side *= SCALE
        name = f"{model}{DETAIL}{side}{SUFFIX}"
        weights = {k: tensor.half() for k, tensor in network.state_dict().items()}
        save_tensors(weights, {"config": of_network.to_json()}, folder / name)
        written.append(name)
    metadata["details"] = json.dumps(written[2:])
    save_tensors(tensors, metadata, folder / f"{model}{SUFFIX}")
    if fit is not None:
        fit.save(folder / f"{model}{FIT}")
        written.append(f"{model}{FIT}")
    sums = _sums(folder) | {name: _digest(folder / name) for name in written}
    write_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def check_template(folder: str | os.PathLike[str], template: Template) -> None:
    """Raise `WeightsError` for a folder with models of another template."""
    path = Path(folder) / TEMPLATE
    if path.exists() and Template.load(path).digest != template.digest:
        raise WeightsError(
            f"{folder} holds models of another template than these scans'; choose another folder"
        )


def load(folder: str | os.PathLike[str], model: Model) -> ReleasedModel:
    """Read what `save` wrote. Raises `WeightsError` for missing, altered or other files."""
    folder, name = Path(folder), check_model(model)
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
    assert metadata["model"] == name
    to, fit, colours, lift = None, None, None, None
    if name != "textures":
        onto = mapping(config.resolution, template)
        to = GeometryImages(onto, tensors["mean"].numpy(), tensors["unit"].numpy())
    elif (folder / f"{name}{FIT}").exists():
        fit = TextureFit.load(_checked(folder, f"{name}{FIT}"))
    if "colours.turn" in tensors:
        colours = Colours(tensors["colours.mean"].numpy(), tensors["colours.turn"].numpy())
    if "lift" in tensors:
        assert to is not None
        mean, components = tensors["lift.mean"].numpy(), tensors["lift"].float().numpy()
        lift = Lift(to, mean, components, float(metadata["noise"]))
    return ReleasedModel(
        name,
        generator.eval().requires_grad_(False),
        config,
        template,
        to,
        fit,
        _sums(folder)[f"{name}{SUFFIX}"],
        colours,
        lift,
        tuple(_detailer(folder, file) for file in json.loads(metadata.get("details", "[]"))),
    )


def _detailer(folder: Path, name: str) -> gan.Detailer:
    tensors, metadata = load_tensors(_checked(folder, name))
    network = gan.Config.from_json(metadata["config"]).generator()
    assert isinstance(network, gan.Detailer)
    network.load_state_dict({k: tensor.float() for k, tensor in tensors.items()})
    return network.eval().requires_grad_(False)


def load_first(
    folder: str | os.PathLike[str], models: Sequence[Model], *, at_rest: bool = False
) -> ReleasedModel:
    """The first of some models that is in a folder and makes faces, or makes them at rest.

    Raises `WeightsError`.
    """
    there = [model for model in models if (Path(folder) / f"{model}{SUFFIX}").exists()]
    for model in there:
        made = load(folder, model)
        if made.makes_faces and (made.tells_rest or not at_rest):
            return made
    raise WeightsError(
        f"{folder} holds none of the models {', '.join(models)} that make whole faces"
        f"{' with expression and at rest' if at_rest else ''}; train one: "
        "facesynth train DATASET --model faces --out FOLDER"
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
