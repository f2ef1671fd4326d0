"""Hardware that training runs on: devices, processes, precision, and their description."""

import os
import platform
import timeit
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from .config import Config, ConfigError
from .networks import levels

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start(config: Config) -> "Fabric":
    """Start Fabric on one device, or on those of the processes that `torchrun` started."""
    from lightning_fabric import Fabric

    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    world = int(os.environ.get("WORLD_SIZE", 1))
    for batch in {config.batch_at(resolution) for resolution in levels(config.resolution)}:
        if batch % (world * config.group):
            raise ConfigError(
                f"a batch of {batch} cannot be split among {world} processes in groups of "
                f"{config.group}: it must be a multiple of {world * config.group}"
            )
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=config.precision,  # type: ignore[arg-type]  # one of `PRECISIONS`
    )
    fabric.launch()
    return fabric


@lru_cache(maxsize=1)
def fastest_precision() -> str:
    """Return "bf16-mixed" where convolutions are faster in bfloat16, elsewhere "32-true".

    CPUs are timed: some support bfloat16, but are slower with it.
    """
    if torch.cuda.is_available():
        pays = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        pays = 1.2 * _seconds_to_convolve(torch.bfloat16) < _seconds_to_convolve(torch.float32)
    return "bf16-mixed" if pays else "32-true"


def _seconds_to_convolve(dtype: torch.dtype) -> float:
    """Time of a convolution of a size typical of the networks, the shortest of several."""
    images, weights = torch.ones(8, 64, 32, 32, dtype=dtype), torch.ones(64, 64, 3, 3, dtype=dtype)
    images = images.to(memory_format=torch.channels_last)
    return min(timeit.repeat(lambda: F.conv2d(images, weights, padding=1), number=1, repeat=8))


def made_by(fabric: "Fabric") -> dict[str, str]:
    """Return what a run's results depend on besides its configuration and data."""
    machine = f"{_processor()}, {os.cpu_count()} cores"
    if fabric.device.type == "cuda":
        machine = f"{fabric.world_size} x {torch.cuda.get_device_name(fabric.device)}"
    return {
        "torch": torch.__version__.partition("+")[0],
        "machine": f"{machine}, {platform.system()}",
        "finished": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    """Name of the CPU, from Linux's /proc/cpuinfo if there is one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
