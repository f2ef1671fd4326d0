"""The sliced Wasserstein distance of images against the NumPy code that Karras et al. published.

    python benchmarks/sliced_wasserstein.py --published FILE [--sizes 64 128 256]
    python benchmarks/sliced_wasserstein.py --memory 16384

FILE is metrics/sliced_wasserstein.py of github.com/tkarras/progressive_growing_of_gans. Its licence
is CC BY-NC 4.0, so that it is not here, and no package has it. What pip can install is a descendant
in torch, whose pyramid has other borders, and whose numbers are therefore others; it runs, too,
where it is installed. Nothing that it depends on is needed:

    pip install --no-deps mmagic==1.2.0

All run in this process on the same uint8 images, in as many threads as OMP_NUM_THREADS says (one,
unless it is set). The published code runs twice: by its class, which computes the distance of the
real images to themselves, too, and by its functions, which are spared that. Where neither peer is
found, our own figures are told.

--memory tells the resident set at its peak for so many real and as many fake images of 256 x 256
pixels, which are mapped from files in a temporary folder; it takes minutes.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

import numpy as np
import torch
from _memory import resident

from facesynth.evaluation.swd import COARSEST, DIRECTIONS, PATCH, PATCHES, sliced_wasserstein

Distance = Callable[[np.ndarray, np.ndarray], dict[int, float]]
THREADS = int(os.environ["OMP_NUM_THREADS"])
IMAGES = {64: 1024, 128: 512, 256: 256, 512: 64}  # in either set, by their side
BATCH = 64  # images that the peers are given at a time
REPEATS = 4  # of which the peers want to know how many directions each has


def blocks(n: int, side: int, cell: int, seed: int) -> np.ndarray:
    """Coloured cells under noise, (n, side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    made = np.empty((n, side, side, 3), np.uint8)
    for image in made:
        cells = np.kron(rng.normal(size=(side // cell, side // cell, 3)), np.ones((cell, cell, 1)))
        noisy = 127.5 + 40 * cells + 12 * rng.normal(size=(side, side, 3))
        image[:] = np.clip(np.rint(noisy), 0, 255)
    return made


def module(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python module")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def published(file: Path) -> dict[str, Distance]:
    """The code of Karras et al., which draws from NumPy's global generator."""
    code = module("published", file)

    def by_class(real: np.ndarray, fake: np.ndarray) -> dict[int, float]:
        np.random.seed(0)  # noqa: NPY002
        side, channels = real.shape[2:]
        api = code.API(len(real), (channels, side, side), real.dtype, BATCH)
        for mode, images in (("reals", real), ("fakes", fake)):
            api.begin(mode)
            for start in range(0, len(images), BATCH):
                api.feed(mode, images[start : start + BATCH].transpose(0, 3, 1, 2))
            found = api.end(mode)
        return dict(zip(api.resolutions, map(float, found[:-1]), strict=True))

    def descriptors(images: np.ndarray) -> list[Any]:
        count = (images.shape[1] // COARSEST).bit_length()
        levels: list[list[Any]] = [[] for _ in range(count)]
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].transpose(0, 3, 1, 2)
            pyramid = code.generate_laplacian_pyramid(batch, count)
            for level, found in zip(pyramid, levels, strict=True):
                found.append(code.get_descriptors_for_minibatch(level, PATCH, PATCHES))
        return [code.finalize_descriptors(found) for found in levels]

    def by_functions(real: np.ndarray, fake: np.ndarray) -> dict[int, float]:
        np.random.seed(0)  # noqa: NPY002
        distances = (
            code.sliced_wasserstein(*pair, REPEATS, DIRECTIONS // REPEATS)
            for pair in zip(descriptors(real), descriptors(fake), strict=True)
        )
        return {real.shape[1] >> k: 1000 * float(value) for k, value in enumerate(distances)}

    return {"published, class": by_class, "published, functions": by_functions}


def mmagic() -> Distance | None:
    """The descendant in torch: one file of the package, with stand-ins for what it imports."""
    package = importlib.util.find_spec("mmagic")
    if package is None or not package.submodule_search_locations:
        return None

    class Registry:
        def register_module(self, *_: Any) -> Callable[[Any], Any]:
            return lambda kind: kind

    needed: dict[str, dict[str, Any]] = {
        "mmengine.dist": {"all_gather": None, "get_world_size": None},
        "mmagic.registry": {"METRICS": Registry()},
        "mmagic.evaluation.metrics.base_gen_metric": {"GenMetric": object},
    }
    for name, members in needed.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(members)
    folder = Path(package.submodule_search_locations[0]) / "evaluation" / "metrics"
    code = module("mmagic.evaluation.metrics.swd", folder / "swd.py")

    def descriptors(images: np.ndarray) -> list[Any]:
        count = (images.shape[1] // COARSEST).bit_length()
        levels: list[list[Any]] = [[] for _ in range(count)]
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(images[start : start + BATCH]).float()
            batch = batch.permute(0, 3, 1, 2).contiguous()
            pyramid = code.laplacian_pyramid(batch, count - 1, code.get_gaussian_kernel())
            for level, found in zip(pyramid, levels, strict=True):
                found.append(code.get_descriptors_for_minibatch(level, PATCH, PATCHES))
        return [code.finalize_descriptors(found) for found in levels]

    def distance(real: np.ndarray, fake: np.ndarray) -> dict[int, float]:
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        distances = (
            code.sliced_wasserstein(*pair, REPEATS, DIRECTIONS // REPEATS)
            for pair in zip(descriptors(real), descriptors(fake), strict=True)
        )
        return {real.shape[1] >> k: 1000 * value for k, value in enumerate(distances)}

    return distance


def compare(side: int, n: int, peers: dict[str, Distance]) -> None:
    """Print seconds on the clock and of the processor, and what is found."""
    real, fake = blocks(n, side, side // 8, 0), blocks(n, side, side // 16, 1)
    print(f"{n} real and {n} fake images of {side} x {side} x 3, threads: {THREADS}")
    took = []
    for name, distance in {"ours": sliced_wasserstein, **peers}.items():
        clock, processor = time.perf_counter(), time.process_time()
        found = distance(real, fake)
        took.append((time.perf_counter() - clock, time.process_time() - processor))
        values = "  ".join(f"{level}: {value:.2f}" for level, value in found.items())
        print(f"  {name:20} {took[-1][0]:6.2f} s, {took[-1][1]:6.2f} s of the processor; {values}")
    for name, (clock, processor) in zip(peers, took[1:], strict=True):
        print(
            f"  ratio {name} / ours: {clock / took[0][0]:.2f} on the clock,"
            f" {processor / took[0][1]:.2f} of the processor"
        )


def remember(n: int, side: int = 256) -> None:
    """Print what the resident set comes to, for images in mapped files."""
    with tempfile.TemporaryDirectory() as folder:
        sets = []
        for seed in (0, 1):
            file, few = Path(folder) / f"{seed}.npy", blocks(64, side, 16 << seed, seed)
            images = np.lib.format.open_memmap(file, "w+", np.uint8, (n, side, side, 3))
            for start in range(0, n, len(few)):
                part = images[start : start + len(few)]
                part[:] = np.roll(few, start, axis=(1, 2))[: len(part)]
            del images, part
            sets.append(np.load(file, mmap_mode="r"))
        clock, processor = time.perf_counter(), time.process_time()
        with resident() as memory:
            found = sliced_wasserstein(*sets)
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        print(f"{n} real and {n} fake images of {side} x {side} x 3, threads: {THREADS}")
        print(f"  {clock:.0f} s, {processor:.0f} s of the processor; {found}")
        print(f"  resident: {memory.start / 1e9:.2f} GB before, {memory.peak / 1e9:.2f} GB at most")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--images", type=int, help="in either set, if other than usual")
    parser.add_argument("--published", type=Path, metavar="FILE")
    parser.add_argument("--memory", type=int, metavar="IMAGES")
    options = parser.parse_args()
    if options.memory:
        remember(options.memory)
        return
    torch.set_num_threads(THREADS)
    peers = published(options.published) if options.published else {}
    if descendant := mmagic():
        peers["mmagic"] = descendant
    if not peers:
        print("No peer: give --published FILE, or install mmagic, as --help says.")
    sliced_wasserstein(blocks(2, 16, 4, 0), blocks(2, 16, 4, 1))  # whatever the first call loads
    for side in options.sizes:
        compare(side, options.images or IMAGES[side], peers)


if __name__ == "__main__":
    main()
