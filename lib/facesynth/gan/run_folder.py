"""A training run is a folder, from which it can be resumed.

config.json              the whole configuration
data.json                size and fingerprint of the training images
made_by.json             machine, PyTorch's version and date of the last session
log.csv                  losses and training time, one line per interval; also in tensorboard/
samples/000012000.png    samples of the averaged generator after 12,000 images
checkpoint.safetensors   the state from which training resumes
generator.safetensors    the averaged generator, once training is finished
.lock                    locked while a process trains; the file itself stays
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import safetensors
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from facesynth.files import texts
from facesynth.files.atomic import WriteError, write_bytes, write_text

from .config import Config, ConfigError
from .detail import Detailer, Tiles
from .images import Images
from .networks import ImageGenerator

CONFIG, DATA, LOG = "config.json", "data.json", "log.csv"
CHECKPOINT, MADE_BY, LOCK = "checkpoint.safetensors", "made_by.json", ".lock"
GENERATOR, SAMPLES, TENSORBOARD = "generator.safetensors", "samples", "tensorboard"


class DamagedFileError(ValueError):
    """A file of tensors is truncated, or its content was changed."""


class OtherRunError(ValueError):
    """A folder has a run of another configuration or of other data."""


class OtherDataError(OtherRunError):
    """A folder has a run that was trained on other data, or on data that is not known."""


class LockedRunError(RuntimeError):
    """Another process is training into a folder."""


class UnfinishedRunError(ValueError):
    """A folder has no finished run."""


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Config:
        """The run's configuration. Raises `UnfinishedRunError` if there is no run."""
        try:
            return Config.from_json(texts.read(self.path / CONFIG))
        except FileNotFoundError:
            raise UnfinishedRunError(
                f"there is no run in {self.path}: train one with train()"
            ) from None

    @property
    def is_finished(self) -> bool:
        """Whether training has ended."""
        return (self.path / GENERATOR).exists()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training into the folder, which is created if need be.

        The operating system releases the lock when the process ends, even if it is killed. Raises
        `LockedRunError` if another process is training into it, and `WriteError` if the folder
        cannot be written to.
        """
        lock = filelock.FileLock(self.path / LOCK, timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise LockedRunError(
                f"another process is training into {self.path}: wait until it has ended, or train "
                "into another folder"
            ) from None
        except OSError as error:
            raise WriteError(
                f"could not write to {self.path}: {error.strerror or error}; choose another folder"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def open(self, config: Config, data: Images | Tiles) -> None:
        """Start a run, or check that the existing one has this configuration and this data.

        Raises `OtherRunError` if it has another configuration, with the settings that differ, and
        `OtherDataError` if it was trained on other data, or if these are not known.
        """
        if not any((self.path / name).exists() for name in (CONFIG, CHECKPOINT, GENERATOR)):
            described = {**_size(data), "fingerprint": data.fingerprint()}
            write_text(self.path / DATA, json.dumps(described, indent=2))
            write_text(self.path / CONFIG, config.to_json())  # last: it makes the folder a run
            return
        self._check_config(config)
        self._check_data(data)

    def _check_config(self, config: Config) -> None:
        path = self.path / CONFIG
        try:
            before = vars(self.config)
        except UnfinishedRunError:
            raise OtherRunError(
                f"{path} is missing, but {self.path} has the results of a run: train into another "
                "folder, or delete this one"
            ) from None
        except ConfigError as error:
            raise OtherRunError(
                f"{path}: {error}; train into another folder, or delete this one"
            ) from error
        if changed := _changed(before, vars(config)):
            raise OtherRunError(
                f"{self.path} has a run with {'; '.join(changed)}: train into another folder, "
                "delete this one, or resume with the run's own configuration"
            )

    def _check_data(self, data: Images | Tiles) -> None:
        path = self.path / DATA
        try:
            before: dict[str, Any] = dict(json.loads(texts.read(path)))
            trained_on = before["fingerprint"]
        except FileNotFoundError:
            raise OtherDataError(
                f"{self.path} has a run, but not the fingerprint of the data that it was trained "
                f"on: {path} is missing; train into another folder, or delete this one"
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise OtherDataError(
                f"{path} is damaged ({error!r}), so the data that the run was trained on is not "
                "known: train into another folder, or delete this one"
            ) from error
        changed = _changed(before, _size(data))
        if not changed and data.fingerprint() != trained_on:
            changed = ["as many images of the same size, but other pixels, masks or order"]
        if changed:
            raise OtherDataError(
                f"{self.path} has a run that was trained on other data ({'; '.join(changed)}): "
                "train into another folder, delete this one, or resume with the data that the run "
                "was started with"
            )

    def sign(self, made_by: Mapping[str, str]) -> None:
        """Write the machine, the version of PyTorch and the date."""
        write_text(self.path / MADE_BY, json.dumps(made_by, indent=2))

    @property
    def made_by(self) -> dict[str, str]:
        """The machine, the version of PyTorch and the date of the last session."""
        return dict(json.loads((self.path / MADE_BY).read_text(encoding="utf-8")))

    @property
    def n_images(self) -> int:
        """How many images it was trained on."""
        return int(json.loads((self.path / DATA).read_text(encoding="utf-8"))["images"])

    def log(self) -> dict[str, NDArray[np.float64]]:
        """Return the log's columns."""
        with (self.path / LOG).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {k: np.array([float(row[k]) for row in rows]) for k in (rows[0] if rows else {})}

    def append(self, row: Mapping[str, float]) -> None:
        """Append a line to the log."""
        path = self.path / LOG
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)

    def forget_after(self, images: int) -> None:
        """Clean up after a killed process: delete partial files and log lines after `images`."""
        for part in self.path.rglob("*.part"):
            part.unlink()
        path = self.path / LOG
        if not path.exists():
            return
        header, *lines = [line.split(",") for line in path.read_text().splitlines()] or [[]]
        kept = [line for line in lines if len(line) == len(header) and int(line[0]) <= images]
        if not kept:  # the header may be truncated, too
            path.unlink()
            return
        write_text(path, "".join(f"{','.join(line)}\n" for line in [header, *kept]))

    def samples(self) -> dict[int, Path]:
        """Paths of the grids of samples, by the number of images shown."""
        return {int(path.stem): path for path in sorted((self.path / SAMPLES).glob("*.png"))}

    def generator(self) -> ImageGenerator:
        """Return the averaged generator of a finished run, ready to use.

        Raises `UnfinishedRunError` and `DamagedFileError`.
        """
        return load_generator(self._finished())

    def detailer(self) -> Detailer:
        """Return the averaged detailer of a finished run, as `generator` does."""
        network = _load_network(self._finished())
        assert isinstance(network, Detailer)
        return network

    def _finished(self) -> Path:
        if not self.is_finished:
            raise UnfinishedRunError(
                f"there is no finished run in {self.path}: call train() with the same "
                "configuration and data, which resumes an unfinished one"
            )
        return self.path / GENERATOR


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say of each value that has changed what it was and is."""
    return [f"{k} {before.get(k)!r}, now {v!r}" for k, v in now.items() if v != before.get(k)]


def _size(data: Images | Tiles) -> dict[str, int | bool | str]:
    """Return what is known of images without reading them."""
    return {
        "images": len(data),
        "resolution": data.resolution,
        "channels": data.channels,
        "dtype": str(data.pixels.dtype),
        "masks": data.masks is not None,
    }


def save_generator(
    generator: ImageGenerator | Detailer, config: Config, path: str | os.PathLike[str]
) -> None:
    """Write a generator and the configuration of its training."""
    save_tensors(generator.state_dict(), {"config": config.to_json()}, path)


def load_generator(path: str | os.PathLike[str]) -> ImageGenerator:
    """Read what `save_generator` wrote. Raises `DamagedFileError`."""
    network = _load_network(path)
    assert isinstance(network, ImageGenerator)
    return network


def _load_network(path: str | os.PathLike[str]) -> ImageGenerator | Detailer:
    tensors, metadata = load_tensors(path)
    if "config" not in metadata:
        raise DamagedFileError(
            f"{path} is not a generator's file: choose one that save_generator() has written"
        )
    generator = Config.from_json(metadata["config"]).generator()
    generator.load_state_dict(tensors)
    return generator.eval().requires_grad_(False)


def save_tensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: str | os.PathLike[str]
) -> None:
    """Write tensors and metadata with a digest of both, atomically."""
    flat = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    content = safetensors.torch.save(flat, {**metadata, "sha256": _digest(flat, metadata)})
    write_bytes(path, content)


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Raises `DamagedFileError` if the file is truncated or was changed.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise DamagedFileError(_damaged(path, str(error))) from error
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        raise DamagedFileError(_damaged(path, "its content does not match its digest"))
    return tensors, metadata


def _damaged(path: str | os.PathLike[str], why: str) -> str:
    return f"{path} is damaged: {why}; restore it from a copy, or delete it and train again"


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
