"""The whole experiment of Section 6: four ways to learn from corrupted data, and what spoils them.

    facesynth experiments           (or `make experiments`)

trains every trial of `trials()` into a folder of its own and writes what was measured to one file.
It goes on where it was stopped: a finished trial is not trained again, a half-trained one resumes.
"""

import importlib.metadata
import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from facesynth import evaluation, gan, presets, shapes
from facesynth.atomic import write_text
from facesynth.corrupted_data import misfit
from facesynth.shape_finding import redness
from facesynth.shape_reading import Reader, Reading, coverage, overlap

ARMS = {  # what each does with the masks of its data: see `gan.Config`
    "masked": "paired",  # the paper's
    "plain": "none",  # learns from the corrupted images as they are
    "remainder": "none",  # learns from the clean images only
    "ambient": "independent",  # AmbientGAN (Bora et al. 2018): damages fakes as the data is
}
SHARE = 0.5  # of corrupted images, but in the sweep
CLEAN_SEED, READER_SEED = 1_000_000, 1_000_001  # of drawings that no GAN is trained on
N_LABELLED = 4000  # drawings that the reader is calibrated and tried on
N_MEASURED = 2000  # generated images that are measured
SHOWN = ("colours_covered", "colours", "kinds", "counts")


@dataclass(frozen=True)
class Trial:
    """One GAN to be trained."""

    arm: str
    seed: int = 0
    share: float = SHARE  # of training images with red circles
    grow: int = 0  # pixels by which masks are too large
    shift: int = 0  # pixels by which they are off

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.arm}-{self.share:g}-{self.grow:+d}-{self.shift}-{self.seed}"


def trials(seeds: int = 3) -> list[Trial]:
    """The whole experiment: four arms, the sweep over the share, the sweep over how masks fit."""
    arms = [Trial(arm, seed) for seed in range(seeds) for arm in ARMS]
    shares = [
        Trial(arm, seed, share)
        for seed in range(seeds)
        for share in (0.1, 0.3, 0.7, 0.9)
        for arm in ("masked", "plain", "remainder")
    ]
    misfits = [
        dict(grow=-2),
        dict(grow=-1),
        dict(grow=2),
        dict(shift=1),
        dict(shift=2),
        dict(shift=4),
    ]
    fits = [Trial("masked", seed, **spoilt) for seed in range(seeds) for spoilt in misfits]
    return arms + shares + fits


def training_images(trial: Trial, size: presets.Preset) -> gan.Images:
    """The images, and masks where there are some, that a trial learns from."""
    drawn = shapes.draw(size.n_shapes, size.shape_resolution, trial.share, trial.seed)
    if trial.arm == "remainder":
        return gan.Images(drawn.clean)
    return gan.Images(drawn.images, misfit(drawn.masks, trial.grow, trial.shift))


def configuration(trial: Trial, size: presets.Preset) -> gan.Config:
    """How a trial is trained."""
    return gan.Config(
        resolution=size.shape_resolution,
        masks=ARMS[trial.arm],
        latent=size.gan_channels,
        capacity=16 * size.gan_channels,
        max_channels=size.gan_channels,
        fade_images=size.n_shown // 6,
        stable_images=size.n_shown // 2,
        last_images=size.n_shown,
        # Found at 32 x 32 pixels: at the rate of Karras et al., 0.002, some runs lost colours; with
        # a penalty ten times as heavy, shapes were blobs.
        learning_rate=0.005,
        penalty=0.1,
        penalty_every=4,
        average_images=size.n_shown / 12,
        precision=gan.fastest_precision(),
        seed=trial.seed,
        checkpoint_images=size.n_shown // 2,
        sample_images=size.n_shown // 4,
        log_images=size.n_shown // 24,
    )


def train(trial: Trial, size: presets.Preset, out: Path, *, progress: bool) -> gan.RunFolder:
    """Train a trial into a folder, or go on where it was stopped."""
    config = configuration(trial, size)
    return gan.train(config, training_images(trial, size), out / trial.name, progress=progress)


@lru_cache(maxsize=2)
def reader(resolution: int) -> Reader:
    """What reads images of this size, calibrated on drawings."""
    return Reader().fit(shapes.draw(N_LABELLED, resolution, SHARE, READER_SEED))


@lru_cache(maxsize=2)
def clean(resolution: int, n: int) -> tuple[NDArray[np.uint8], Reading]:
    """Clean drawings to compare with, and what the reader makes of them."""
    drawings = shapes.draw(n, resolution, 0, CLEAN_SEED).images
    return drawings, reader(resolution).read(drawings)


def measure(images: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure what images (n, R, R, 3) show, and how far they are from clean drawings.

    Returns
    -------
    dict
        `n` images, how many of them are `corrupted`; the share of shapes `recognised`; `distance`
        of the median shape to what its kind looks like (recognised up to 1); `colours_covered`,
        the share of the drawings' colours that is made at least half as often; overlaps of the
        histograms of `colours`, `kinds` and `counts`; and `sliced_wasserstein`, averaged over the
        levels, times 1000. Shapes are those of images without corruption, which hides some.
    """
    n, resolution = images.shape[:2]
    reads, (reference, expected) = reader(resolution), clean(resolution, n)
    corrupted = redness(images) > reads.red_threshold_
    row: dict[str, Any] = {"n": n, "corrupted": int(corrupted.sum())}
    distances = evaluation.sliced_wasserstein(reference, images)
    row["sliced_wasserstein"] = statistics.fmean(distances.values())
    if corrupted.all():
        return row | dict.fromkeys(("recognised", *SHOWN), 0.0) | {"distance": None}
    read = reads.read(images[~corrupted])
    return row | {
        "recognised": read.recognised,
        "distance": float(np.median(read.distance)) if len(read.distance) else None,
        "colours_covered": coverage(expected.colour_shares(), read.colour_shares()),
        "colours": overlap(expected.colour_shares(), read.colour_shares()),
        "kinds": overlap(expected.kind_shares(), read.kind_shares()),
        "counts": overlap(expected.count_shares(), read.count_shares()),
    }


def half(size: presets.Preset) -> presets.Preset:
    """Return how long each of the many trials is trained."""
    return replace(size, n_shown=size.n_shown // 2)


def longer(size: presets.Preset) -> presets.Preset:
    """Return the size of the one GAN that is trained until shapes are sharp."""
    side, shown = 2 * size.shape_resolution, 8 * size.n_shown
    return replace(size, name=f"{size.name}-longer", shape_resolution=side, n_shown=shown)


def run(number: int, trial: Trial, size: presets.Preset, out: Path) -> tuple[int, dict[str, Any]]:
    """Train a trial, unless that is done, and measure it; return its number, too."""
    torch.set_num_threads(1)
    folder = train(trial, size, out / size.name, progress=False)
    drawn = gan.sample(folder.generator(), N_MEASURED, seed=trial.seed + 1)
    row = asdict(trial) | measure(gan.to_uint8(drawn))
    return number, row | {"training_seconds": float(folder.log()["seconds"][-1])}


def run_all(size: presets.Preset, out: Path, workers: int, seeds: int = 3) -> dict[str, Any]:
    """Run the whole experiment; return its results with all that they depend on."""
    todo = trials(seeds)
    jobs = [(Trial("masked"), longer(size)), *((trial, half(size)) for trial in todo)]
    done = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(
        joblib.delayed(run)(number, *job, out) for number, job in enumerate(jobs)
    )
    finished = dict(tqdm(done, total=len(jobs), unit=" GANs", smoothing=0))
    long, *rows = (finished[number] for number in range(len(jobs)))
    data = {
        f"{share:g}": measure(shapes.draw(N_MEASURED, size.shape_resolution, share, 0).images)
        for share in sorted({trial.share for trial in todo})
    }
    return {
        "preset": asdict(half(size)),
        "configuration": json.loads(configuration(todo[0], half(size)).to_json()),
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "numpy", "scikit-learn")
        },
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "finished": datetime.now(UTC).date().isoformat(),
        "training_hours": sum(row["training_seconds"] for row in rows) / 3600,
        "reader": {
            name: getattr(reader(size.shape_resolution), f"{name}_")
            for name in ("precision", "recall", "recognised", "accuracy", "counted")
        },
        "data": data,
        "clean": measure(shapes.draw(N_MEASURED, size.shape_resolution, 0, 1).images),
        "trials": rows,
        "longer": long | {"preset": asdict(longer(size))},
    }


def save(results: dict[str, Any], path: Path, runs: Path) -> None:
    """Write the results as JSON, and beside it the generator that was trained longest."""
    write_text(path, json.dumps(results, indent=1) + "\n")
    folder = gan.RunFolder(runs / results["longer"]["preset"]["name"] / Trial("masked").name)
    gan.save_generator(folder.generator(), folder.config, path.with_suffix(".safetensors"))


def published() -> dict[str, Any]:
    """Return the results of the whole experiment, as they were kept when it was run."""
    kept = resources.files("facesynth") / "results" / "corrupted_data.json"
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def _processor() -> str:
    """Name of the processor, as Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
