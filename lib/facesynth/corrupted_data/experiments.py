"""The complete experiment of Section 6: four ways to learn from corrupted data, and their limits.

    facesynth experiments           (or `make experiments`)

trains every trial of `trials()` in its own folder and writes the measurements to one file.
An interrupted run resumes: finished trials are skipped, partly trained ones continue.
"""

import json
import math
import multiprocessing
import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from facesynth import gan, presets
from facesynth.corrupted_data import shapes
from facesynth.corrupted_data.shape_finding import redness
from facesynth.corrupted_data.shape_reading import Reader, Reading, coverage, overlap
from facesynth.corrupted_data.shapes import misfit
from facesynth.evaluation import swd as evaluation
from facesynth.files.atomic import write_text
from facesynth.files.integers import check_jobs

ARMS = {  # what each does with the masks of its data: see `gan.Config`
    "masked": "paired",  # the paper's
    "plain": "none",  # learns from the corrupted images as they are
    "remainder": "none",  # learns from the clean images only
    "ambient": "independent",  # AmbientGAN (Bora et al. 2018): damages fakes as the data is
}
SHARE = 0.5  # of corrupted images, but in the sweep
CLEAN_SEED, READER_SEED = 1_000_000, 1_000_001  # of drawings that no GAN is trained on
N_LABELLED = 4000  # drawings that the reader is calibrated and tried on
LARGEST_SMALL = 64  # side of images up to which processors are meant to train
N_MEASURED = 2000  # generated images that are measured
SHOWN = ("colours_covered", "colours", "kinds", "counts")


class OtherResultsError(ValueError):
    """The file contains results of another experiment."""


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
        if arm != "remainder" or share > SHARE  # where much is thrown away
    ]
    misfits = [dict(grow=-1), dict(grow=2), dict(shift=1), dict(shift=3)]
    fits = [Trial("masked", seed, **spoilt) for seed in range(seeds) for spoilt in misfits]
    return arms + shares + fits


def training_images(trial: Trial, size: presets.Preset) -> gan.Images:
    """The images, and masks where there are some, that a trial learns from."""
    drawn = shapes.draw(size.n_shapes, size.shape_resolution, trial.share, trial.seed)
    if trial.arm == "remainder":
        return gan.Images(drawn.clean)
    if ARMS[trial.arm] == "none":
        return gan.Images(drawn.images)
    return gan.Images(drawn.images, misfit(drawn.masks, trial.grow, trial.shift))


def configuration(trial: Trial, size: presets.Preset) -> gan.Config:
    """How a trial is trained."""
    side = size.shape_resolution
    # Few images a step learn most from each; a GPU is as fast with many.
    batch = {8: 32, 16: 16, 1024: 8} if side <= LARGEST_SMALL else {1024: 32}
    return gan.Config(
        resolution=side,
        masks=ARMS[trial.arm],
        latent=size.gan_channels,
        capacity=max(8, side // 8) * size.gan_channels,
        max_channels=size.gan_channels,
        fade_images=size.n_shown // 6,
        stable_images=size.n_shown // 2,
        last_images=size.n_shown,
        # Found at 32 x 32 pixels: at the rate of Karras et al., 0.002, some runs lost colours, and
        # so did some whose rate did not fall; with a penalty ten times as heavy, shapes were blobs.
        learning_rate=0.005,
        decay_images=3 * size.n_shown // 4,
        # As by Karras et al. (2020): in proportion to an image's pixels, against a step's images.
        penalty=0.1 * (side / 32) ** 2 * 8 / batch[1024],
        penalty_every=4,
        batch=batch,
        average_images=size.n_shown / 12,
        precision=gan.fastest_precision(),
        seed=trial.seed,
        checkpoint_images=size.n_shown // 2,
        sample_images=size.n_shown // 4,
        log_images=size.n_shown // 24,
    )


def train(trial: Trial, size: presets.Preset, out: Path, *, progress: bool) -> gan.RunFolder:
    """Train a trial in a folder, or resume its training."""
    config = configuration(trial, size)
    return gan.train(config, training_images(trial, size), out / trial.name, progress=progress)


def train_beside(
    trials: Mapping[str, Trial], size: presets.Preset, out: Path
) -> dict[str, gan.RunFolder]:
    """Train some trials at once, each in a process and on a core of its own; with a bar for one."""
    first, *others = trials
    with ProcessPoolExecutor(
        max(1, len(others)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as beside:
        pending = {
            name: beside.submit(train, trials[name], size, out, progress=False) for name in others
        }
        done = {first: train(trials[first], size, out, progress=True)}
        return done | {name: job.result() for name, job in pending.items()}


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

    Returns `n` images, how many of them are `corrupted`; the share of shapes `recognised`;
    `distance` of the median shape to what its kind looks like (recognised up to 1);
    `colours_covered`, the share of the drawings' colours that is made at least half as often;
    overlaps of the histograms of `colours`, `kinds` and `counts`; and `sliced_wasserstein`,
    averaged over the levels, times 1000. Shapes are those of images without corruption, which hides
    some.
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


def shorter(size: presets.Preset) -> presets.Preset:
    """Return how long each of the many trials is trained."""
    return replace(size, n_shown=2 * size.n_shown // 3)


def larger(size: presets.Preset) -> presets.Preset:
    """Return the size of the one GAN that is trained on an accelerator, as large as the paper's."""
    return replace(
        size,
        name=f"{size.name}-larger",
        shape_resolution=8 * size.shape_resolution,
        n_shown=8 * size.n_shown,
        gan_channels=2 * size.gan_channels,
    )


def run(trial: Trial, size: presets.Preset, out: Path) -> tuple[str, dict[str, Any]]:
    """Train a trial, unless that is done, and measure it; return its name, too."""
    torch.set_num_threads(1)
    folder = train(trial, size, out / size.name, progress=False)
    drawn = gan.sample(folder.generator(), N_MEASURED, seed=trial.seed + 1)
    seconds = float(folder.log()["seconds"][-1])
    training = {"training_seconds": seconds, "precision": folder.config.precision}
    row = asdict(trial) | measure(gan.to_uint8(drawn)) | training | folder.made_by
    return _name(trial, size), row


def run_all(
    size: presets.Preset,
    out: str | os.PathLike[str],
    results: str | os.PathLike[str],
    workers: int,
    seeds: int,
    large: bool,
) -> dict[str, Any]:
    """Run the whole experiment into two files, and return what the first holds.

    size     of the live experiment; the trials here are `shorter`
    out      folder of the runs: interrupted ones resume
    results  JSON, written anew after each GAN. What it holds already is not run again, wherever it
             was run. Beside it, as .safetensors, the generator of the `larger` GAN
    workers  processes, as in joblib
    seeds    GANs of each kind
    large    whether to train the `larger` one, too: minutes on a GPU, days elsewhere

    Raises `OtherResultsError` if `results` holds those of another experiment, and `JobsError`.
    """
    check_jobs(workers)
    out, results = Path(out), Path(results)
    largest = (Trial("masked"), larger(size))
    jobs = [(trial, shorter(size)) for trial in trials(seeds)] + [largest] * large
    setting = _setting(size)
    found = _found(results, setting)
    new = [job for job in jobs if _name(*job) not in found]
    done = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(
        joblib.delayed(run)(*job, out) for job in new
    )
    bar = tqdm(done, total=len(jobs), initial=len(jobs) - len(new), unit=" GANs", smoothing=0)
    for name, row in bar:
        found[name] = row
        if name == _name(*largest):
            found[name] = row | _drawings(largest[1].shape_resolution)
            folder = gan.RunFolder(out / name)
            beside = results.with_suffix(".safetensors")
            gan.save_generator(folder.generator(), folder.config, beside)
        write_text(results, json.dumps(setting | {"gans": found}, indent=1) + "\n")
    return setting | {"gans": found}


def _name(trial: Trial, size: presets.Preset) -> str:
    return f"{size.name}/{trial.name}"


def _setting(size: presets.Preset) -> dict[str, Any]:
    """Return all that the results depend on, but for the machine and the versions."""
    some, shares = Trial("masked"), sorted({trial.share for trial in trials(1)})
    configurations = {
        name: json.loads(configuration(some, length).to_json())
        for name, length in (("trials", shorter(size)), ("larger", larger(size)))
    }
    for values in configurations.values():
        del values["precision"]  # the machine's fastest
    data = {
        f"{share:g}": measure(shapes.draw(N_MEASURED, size.shape_resolution, share, 0).images)
        for share in shares
    }
    setting = {"n_shapes": size.n_shapes, "configurations": configurations, "data": data}
    return setting | _drawings(size.shape_resolution)


def _drawings(resolution: int) -> dict[str, Any]:
    """Return how well drawings are read, and what is measured in clean ones."""
    reads = reader(resolution)
    figures = ("precision", "recall", "recognised", "accuracy", "counted")
    return {
        "reader": {name: getattr(reads, f"{name}_") for name in figures},
        "clean": measure(shapes.draw(N_MEASURED, resolution, 0, 1).images),
    }


def _found(results: Path, setting: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the GANs that a file of results holds. Raises `OtherResultsError`."""
    if not results.exists():
        return {}
    try:
        kept = json.loads(results.read_text(encoding="utf-8"))
        gans = dict(kept.pop("gans"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OtherResultsError(
            f"{results} contains no valid results ({error!r}); move it away"
        ) from error
    differ = sorted(key for key in {*kept, *setting} if not _alike(kept.get(key), setting.get(key)))
    if differ:
        raise OtherResultsError(
            f"{results} contains results of an experiment with different {', '.join(differ)}; "
            "move it away, or choose another file with --results"
        )
    return gans


def _alike(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same, but for what machines round differently."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-3)
    return bool(a == b)


def published() -> dict[str, Any]:
    """Return the results of the whole experiment, as they were kept when it was run.

    What `run_all` wrote, but instead of its `gans` a list of the `trials`, and the `larger` one.
    """
    kept = dict(json.loads(_kept("json").read_text(encoding="utf-8")))
    gans = kept.pop("gans")
    for name in [name for name in gans if "-larger/" in name]:
        kept["larger"] = gans.pop(name)
    return kept | {"trials": list(gans.values())}


def trials_with(found: Mapping[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """The trials of `published` results with these settings, and otherwise the usual ones."""
    wanted = {"share": SHARE, "grow": 0, "shift": 0} | settings
    return [
        row for row in found["trials"] if all(row[name] == value for name, value in wanted.items())
    ]


def values(name: str, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """What was measured in each trial (n,); "red" is the share of its images that show it."""
    if name == "red":
        return np.array([row["corrupted"] / row["n"] for row in rows], np.float64)
    return np.array([row[name] for row in rows], np.float64)


def published_generator() -> gan.ImageGenerator:
    """Return the generator of the larger GAN, kept beside the results."""
    with resources.as_file(_kept("safetensors")) as path:
        return gan.load_generator(path)


def _kept(suffix: str) -> Traversable:
    return resources.files("facesynth.data") / "results" / f"corrupted_data.{suffix}"
