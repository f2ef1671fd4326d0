"""The released generator, in files that a page runs in its reader's browser, opened as a file.

A browser lets no page that was opened as a file fetch another file, but lets it load scripts: so
the runtime (ONNX Runtime Web, as WebAssembly) and the network (ONNX, in half precision) travel
inside of scripts, packed. `_static/generator.js` unpacks and runs them.
"""

import base64
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from torch import Tensor, nn

import facesynth
from _pipeline.chapters import BookError
from facesynth import expressions, gan
from facesynth.face_gan import detailing
from facesynth.face_gan.released_models import ReleasedModel, released
from facesynth.gan.detail import SCALE
from facesynth.rendering import turning

DETAILS = 2  # networks that add detail to the texture, each of which doubles its side
COMPONENTS = 36  # of the geometries that the generator makes, at rest
SAMPLES = 400  # generated faces that those are found with
COARSE = 2  # pixels of a geometry image, along a side, in one of the lift's
SEED = 0  # of the face that the page shows first, and of the noise in all faces' pixels
STEP = 0.01  # mm: expressions are whole numbers of it
RUNTIME, WEIGHTS, FACTS = "generator_runtime.js", "generator_weights.js", "generator.json"


class InBrowser(nn.Module):
    """Texture and geometry of a latent vector, from weights in half precision.

    Components of mirrored images are even or odd, so that one half of each says all. The lift's
    most likely geometry is kept by its own principal components, `error` mm (root mean square) off.
    """

    def __init__(self, model: ReleasedModel) -> None:
        super().__init__()
        assert model.lift is not None
        assert model.colours is not None
        self._side = model.config.resolution
        whole: list[nn.Module] = [model.generator, *model.details[:DETAILS]]
        self._names = [[name for name, _ in _tensors(network)] for network in whole]
        self._networks: list[Any] = [_emptied(network) for network in whole]
        self._signs = torch.ones(model.config.channels, 1, 1)
        self._signs[list(model.config.negated)] = -1
        self._geometry = model.geometry_channels(neutral=True)
        self.code = model.details[0].code
        for number, network in enumerate(whole):
            for name, tensor in _tensors(network):
                self._keep(f"{number}.{name}", tensor)
        half, odd = self._halved(model.generator)
        self._keep("0.basis", half)
        self._keep("odd", odd)
        turn = torch.from_numpy(np.linalg.inv(model.colours.turn))
        self.register_buffer("turn", turn.float())
        self.register_buffer("grey", torch.from_numpy(model.colours.mean))
        latents = model.latents(1, SEED)[:, -detailing.NOISE :]
        for number, network in enumerate(model.details[:DETAILS], 1):
            noise = detailing.noise_of(network, self._side * SCALE ** (number - 1), latents)
            self._keep(f"noise{number}", noise[:, self.code :])
        coarse, axes, mean, self.error = lifted(model)
        self._keep("coarse", coarse)
        self._keep("axes", axes)
        self.register_buffer("face", mean)  # in single precision: 100 mm in half is 0.06 mm off

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name.replace(".", "-"), tensor.detach().clone().half())

    def _halved(self, generator: nn.Module) -> tuple[Tensor, Tensor]:
        """Left halves (k, c, R, R / 2) of the components, and for each whether it is odd (k,)."""
        basis = generator.get_buffer("basis").unflatten(1, (-1, self._side, self._side))
        mirrored = self._signs * basis.flip(3)
        odd = (basis + mirrored).abs().amax((1, 2, 3)) < (basis - mirrored).abs().amax((1, 2, 3))
        assert torch.equal(torch.where(odd, -1.0, 1.0)[:, None, None, None] * mirrored, basis)
        return basis[..., : self._side // 2], odd

    def _unpack(self) -> None:
        """Give the networks their weights, in single precision: a part of what is exported."""
        for number, network in enumerate(self._networks):
            for path in self._names[number]:
                kept = self.get_buffer(f"{number}.{path}".replace(".", "-")).float()
                owner, _, name = path.rpartition(".")
                setattr(network.get_submodule(owner), name, kept)
        half, odd = self._networks[0].basis, self.get_buffer("odd").float()
        sign = (1 - 2 * odd)[:, None, None, None] * self._signs
        self._networks[0].basis = torch.cat([half, sign * half.flip(3)], 3).flatten(1)

    def forward(self, latent: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Texture (1, R, R, 3) in [-1, 1] and geometry (1, m, 3) mm of (1, 128) and (1, 8)."""
        self._unpack()
        image = self._networks[0](latent)
        channels = image[:, :3].permute(0, 2, 3, 1)
        colours = (channels @ self.get_buffer("turn") + self.get_buffer("grey")).permute(0, 3, 1, 2)
        for number, network in enumerate(self._networks[1:], 1):
            noise = torch.cat([code, self.get_buffer(f"noise{number}").float()], 1)
            colours = detailing.refined(network, colours, noise)[:, :3]
        coarse = nn.functional.avg_pool2d(image[:, self._geometry], COARSE)
        amounts = coarse.permute(0, 2, 3, 1).flatten(1) @ self.get_buffer("coarse").float()
        geometry = self.get_buffer("face") + amounts @ self.get_buffer("axes").float()
        return colours.permute(0, 2, 3, 1), geometry.unflatten(1, (-1, 3))


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, by name."""
    return [*network.named_parameters(), *network.named_buffers()]


def _emptied(network: nn.Module) -> nn.Module:
    """A copy without parameters and buffers, for which tensors of any kind can be put in."""
    copy = deepcopy(network)
    for module in copy.modules():
        for name in [*module._parameters, *module._buffers]:
            delattr(module, name)
    return copy


def lifted(model: ReleasedModel) -> tuple[Tensor, Tensor, Tensor, float]:
    """Matrices (d, k) and (k, 3 m) and a face (3 m,) that take a coarse image to a face at rest.

    `Lift.faces` is linear, and the generator makes faces of few dimensions only: its principal
    components are kept. The last is how far off they are, in mm, root mean square over vertices.
    """
    lift = model.lift
    assert lift is not None
    z = model.latents(2 * SAMPLES, SEED)
    images = np.concatenate([model.images(some) for some in z.split(50)])
    faces = model.geometry(images, neutral=True).reshape(len(images), -1).astype(np.float64)
    (some, others), side = np.split(faces, 2), model.config.resolution // COARSE
    mean = some.mean(axis=0)
    axes = np.linalg.svd(some - mean, full_matrices=False)[2][:COMPONENTS]
    apart = (others - mean) - (others - mean) @ axes.T @ axes
    pixels = np.eye(side * side * 3).reshape(-1, side, side, 3)
    of_pixels = lift.coefficients(np.r_[0 * pixels[:1], pixels])
    components = lift.components.reshape(len(lift.components), -1)
    rows = (of_pixels[1:] - of_pixels[0]) @ components @ axes.T
    start = lift.mean.ravel() + of_pixels[0] @ components
    face = mean + (start - mean) @ axes.T @ axes
    error = float(np.sqrt(3 * np.square(apart).mean()))
    scale = np.abs(axes).max()  # half precision has few digits below 1e-4
    tensors = (torch.from_numpy(t) for t in (rows * scale, axes / scale, face.astype(np.float32)))
    to, onto, base = tensors
    return to, onto, base, error


def as_onnx(network: InBrowser, model: ReleasedModel) -> bytes:
    """The network as a file of ONNX; weights stay in half precision, and are cast when it runs."""
    inputs = (torch.zeros(1, model.generator.latent), torch.zeros(1, network.code))
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "network.onnx"
        warnings.simplefilter("ignore")  # the exporter that keeps casts as they are is deprecated
        torch.onnx.export(
            network.eval(),
            inputs,
            content,
            dynamo=False,
            do_constant_folding=False,
            opset_version=18,
            input_names=["latent", "code"],
            output_names=["texture", "geometry"],
        )
        return content.read_bytes()


def node_module(name: str) -> Path:
    """The folder of a package of npm's, which `make environment` installs: see package.json.

    Raises BookError where it is missing.
    """
    folder = Path(sys.prefix) / "node_modules" / name
    if not folder.exists():
        raise BookError(f"{folder} is missing: run `make environment`")
    return folder


def files(build: Path) -> Path:
    """Make the page's files, unless they are there; return their folder.

    They depend on the weights, on the code that makes them, and on the runtime's version.
    """
    model, runtime = released("faces"), node_module("onnxruntime-web")
    digest = hashlib.sha256(f"{model.digest} {torch.__version__}".encode())
    library = Path(facesynth.__file__).parent
    code = [p for room in ("gan", "face_gan", "rendering") for p in (library / room).glob("*.py")]
    for read in (Path(__file__), runtime / "package.json", *sorted(code)):
        digest.update(read.read_bytes())
    folder = build / "in_browser" / digest.hexdigest()[:16]
    with filelock.FileLock(build / "in_browser.lock"):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            _write(partial, model, runtime / "dist")
            for older in folder.parent.glob("*[!l]"):
                shutil.rmtree(older)
            os.replace(partial, folder)
    return folder


def _write(folder: Path, model: ReleasedModel, dist: Path) -> None:
    network = InBrowser(model)
    content = as_onnx(network, model)
    loader = (dist / "ort.wasm.min.js").read_text(encoding="utf-8")
    module, wasm = (
        (dist / f"ort-wasm-simd-threaded.{suffix}").read_bytes() for suffix in ("mjs", "wasm")
    )
    packed = script("generatorRuntime", {"module": module, "wasm": wasm})
    (folder / RUNTIME).write_text(f"{loader}\n{packed}", encoding="utf-8")
    (folder / WEIGHTS).write_text(script("generatorWeights", {"model": content}))
    loaded = sum((folder / name).stat().st_size for name in (RUNTIME, WEIGHTS))
    shown = facts(network, model) | {"weights_mb": len(content) / 1e6, "loaded_mb": loaded / 1e6}
    (folder / FACTS).write_text(json.dumps(shown))


def read(folder: Path) -> dict[str, Any]:
    """What `facts` found."""
    found: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return found


def script(name: str, contents: dict[str, bytes]) -> str:
    """A script that sets a global object to files, each packed by gzip, in base 64."""
    packed = {
        key: base64.b64encode(gzip.compress(content, mtime=0)).decode()
        for key, content in contents.items()
    }
    return f"globalThis.{name} = {json.dumps(packed)};\n"


def facts(network: InBrowser, model: ReleasedModel) -> dict[str, Any]:
    """What the page shows before it runs anything, and the numbers in its text."""
    drawn = model.latents(1, SEED)
    latent, code = (
        drawn[:, : model.generator.latent],
        drawn[:, -detailing.NOISE :][:, : network.code],
    )
    with torch.no_grad():
        texture, geometry = network(latent, code)
    image = gan.to_uint8(texture.numpy())[0]
    face = turning.turntable(geometry[0].numpy(), model.template.faces, model.uv, image)
    learned = (model.generator, *model.details[:DETAILS])
    return {
        "face": face._repr_mimebundle_()[turning.MIME],
        "latent": latent[0].tolist(),
        "code": code[0].tolist(),
        "step": STEP,
        "expressions": {
            name: base64.b64encode(np.rint(mm / STEP).astype("<i2").tobytes()).decode()
            for name, mm in expressions.released().items()
            if name != "neutral"
        },
        "parameters": sum(p.numel() for part in learned for p in part.parameters()),
        "side": texture.shape[1],
        "vertices": geometry.shape[1],
        "components": COMPONENTS,
        "error_mm": network.error,
    }
