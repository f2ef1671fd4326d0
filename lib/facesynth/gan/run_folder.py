"""A run is a folder, which tells everything about it and from which it can go on.

config.json              the whole configuration
made_by.json             machine, PyTorch's version and date of the last session
log.csv                  losses, images/s, one line now and then; tensorboard/ has the same
samples/000012000.png    what the averaged generator makes after so many images
checkpoint.safetensors   everything that training goes on from
generator.safetensors    the averaged generator, once training is finished
"""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from facesynth.files.atomic import write_bytes, write_text

from .config import Config, ConfigError
from .networks import Generator

CONFIG, LOG, CHECKPOINT = "config.json", "log.csv", "checkpoint.safetensors"
MADE_BY = "made_by.json"
GENERATOR, SAMPLES, TENSORBOARD = "generator.safetensors", "samples", "tensorboard"


class DamagedFileError(ValueError):
    """A file of tensors that is not what was written."""


class OtherRunError(ValueError):
    """A folder holds a run of another configuration."""


class UnfinishedRunError(ValueError):
    """A folder holds no finished run."""


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Config:
        """The run's configuration. Raises `UnfinishedRunError` where there is no run."""
        try:
            return Config.from_json((self.path / CONFIG).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UnfinishedRunError(f"{self.path} holds no run: train one into it") from None

    def open(self, config: Config) -> None:
        """Begin a run, or check that the one that is there has this configuration.

        Raises
        ------
        OtherRunError
            If it has another one: which settings differ, and how.
        """
        path = self.path / CONFIG
        if not path.exists():
            write_text(path, config.to_json())
            return
        try:
            before = vars(self.config)
        except ConfigError as error:
            raise OtherRunError(f"{path}: {error}; train into another folder") from error
        changed = [
            f"{k} {before[k]!r}, now {v!r}" for k, v in vars(config).items() if v != before[k]
        ]
        if changed:
            raise OtherRunError(
                f"{self.path} holds a run with {'; '.join(changed)}: train into another folder, "
                "delete this one, or go on with its own configuration"
            )

    def sign(self, made_by: Mapping[str, str]) -> None:
        """Note what trains the run."""
        write_text(self.path / MADE_BY, json.dumps(made_by, indent=2))

    @property
    def made_by(self) -> dict[str, str]:
        """What trained the run."""
        return dict(json.loads((self.path / MADE_BY).read_text(encoding="utf-8")))

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
        """Remove what a killed process left: halves of files, and the log after a checkpoint."""
        for part in self.path.rglob("*.part"):
            part.unlink()
        path = self.path / LOG
        if not path.exists():
            return
        header, *lines = [line.split(",") for line in path.read_text().splitlines()] or [[]]
        kept = [line for line in lines if len(line) == len(header) and int(line[0]) <= images]
        if not kept:  # the header may be cut off, too
            path.unlink()
            return
        write_text(path, "".join(f"{','.join(line)}\n" for line in [header, *kept]))

    def samples(self) -> dict[int, Path]:
        """Grids of samples by the number of images shown."""
        return {int(path.stem): path for path in sorted((self.path / SAMPLES).glob("*.png"))}

    def generator(self) -> Generator:
        """Return the averaged generator of a finished run, ready to use.

        Raises
        ------
        UnfinishedRunError, DamagedFileError
        """
        if not (self.path / GENERATOR).exists():
            raise UnfinishedRunError(
                f"{self.path} holds no finished run: call train() with the same configuration, "
                "which goes on where it was stopped"
            )
        return load_generator(self.path / GENERATOR)


def save_generator(generator: Generator, config: Config, path: Path) -> None:
    """Write a generator and the configuration that it was trained with."""
    save_tensors(generator.state_dict(), {"config": config.to_json()}, path)


def load_generator(path: Path) -> Generator:
    """Read what `save_generator` wrote. Raises `DamagedFileError`."""
    tensors, metadata = load_tensors(path)
    if "config" not in metadata:
        raise DamagedFileError(f"{path} holds no generator; save_generator() writes one")
    generator = Config.from_json(metadata["config"]).generator()
    generator.load_state_dict(tensors)
    return generator.eval().requires_grad_(False)


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write tensors and text with a digest of both, whole or not at all."""
    flat = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    content = safetensors.torch.save(flat, {**metadata, "sha256": _digest(flat, metadata)})
    write_bytes(path, content)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Raises
    ------
    DamagedFileError
        If the file was cut off or changed: with what to do.
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


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged: {why}; put back a copy of it, or delete it to start from the beginning"
    )


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
