"""Small generators of textures, side by side: damaged scans with and without, and two losses.

    facesynth experiments damaged-scans DATASET

Section 6 says that damaged scans are worth training on, with masks. Section 4 has the loss of
Karras et al. (2017), WGAN-GP, where this project has another. Chapter 06 shows what is found.
"""

import json
import os
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from facesynth import gan
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation import intervals
from facesynth.evaluation.measured import Measured
from facesynth.evaluation.scores import as_scanned
from facesynth.evaluation.swd import sliced_wasserstein
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import released_models
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.release import Length
from facesynth.files.atomic import write_text
from facesynth.files.integers import check_jobs

COMPARISON = "all_or_clean.json"
COMPARED = Length(64, 64, 4_000)
N_COMPARED = 500  # scans held out in the comparison: its distances are to them
SEEDS = {"paired": 10, "none": 3}  # trainings of each kind, by what is done with masks
OURS, PAPERS = "relativistic", "wgan-gp"
SEEDS_OF_PAPERS = 3  # trainings by the paper's loss, on all scans as they are filled
# As Karras et al. (2017) train: the weight of the penalty, and Adam's rate.
AS_PAPER: dict[str, Any] = {
    "loss": PAPERS,
    "penalty": 10.0,
    "penalty_every": 1,
    "learning_rate": 0.001,
}
LAST = 8  # lines of the log, over which the discriminator's loss is averaged
TOLERANCE_OF_RUNS = 0.2  # of their differences
DRAWS = 8  # sets of generated images, over whose distances is averaged


def compare(
    faces: Dataset,
    runs: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    n_jobs: int = -1,
    length: Length = COMPARED,
) -> dict[str, Any]:
    """Train generators of textures on all scans and on clean ones alone, with masks and without.

    And on all of them by the paper's loss.

    All are measured by their distance to clean scans of subjects that were held out. Returns what
    is written into `folder`. A run that was stopped resumes. Raises what `gan.train` does, and
    `JobsError`.
    """
    check_jobs(n_jobs)
    training, test = face_gan.split(faces, N_COMPARED)
    to = GeometryImages.fit(mapping(length.resolution, faces.template), training.geometry)
    images = {
        name: face_gan.training_images("textures", scans, to)
        for name, scans in (
            ("all", training),
            ("clean", training.take(face_gan.clean(training))),
            ("held out", test.take(face_gan.clean(test))),
        )
    }
    jobs = [
        (seed, scans, masks, OURS)
        for masks, seeds in SEEDS.items()
        for seed in range(seeds)
        for scans in ("all", "clean")
    ] + [(seed, "all", "none", PAPERS) for seed in range(SEEDS_OF_PAPERS)]
    done = joblib.Parallel(n_jobs, return_as="generator")(
        joblib.delayed(_compared)(images, *job, length, Path(runs)) for job in jobs
    )
    found = {
        "scans": {name: len(data) for name, data in images.items()},
        "resolution": length.resolution,
        "real": _to_held_out(images, None, 0)["mean"],
        "runs": list(tqdm(done, total=len(jobs), unit=" GANs", desc="comparison")),
    }
    write_text(Path(folder) / COMPARISON, json.dumps(found, indent=1) + "\n")
    return found


def _compared(
    images: dict[str, gan.Images],
    seed: int,
    scans: str,
    masks: str,
    loss: str,
    length: Length,
    runs: Path,
) -> dict[str, Any]:
    torch.set_num_threads(1)
    config, name = length.configuration("textures", masks=masks, seed=seed), f"{scans}-{masks}"
    if loss == PAPERS:
        config, name = replace(config, **AS_PAPER), f"{name}-{loss}"
    data = images[scans].unmasked() if masks == "none" else images[scans]
    run = gan.train(config, data, runs / f"{name}-{seed}", progress=False)
    log = run.log()
    made = gan.to_uint8(gan.sample(run.generator(), DRAWS * len(images["held out"]), seed=1))
    return {
        "scans": scans,
        "masks": masks,
        "loss": loss,
        "seed": seed,
        "to clean scans held out": _to_held_out(images, made, seed),
        # ln 2 where it cannot tell generated from real, and 0 where it always can.
        "discriminator's loss": statistics.fmean(log["discriminator_loss"][-LAST:]),
        "images shown": config.images,
        "seconds": round(float(log["seconds"][-1])),
        **run.made_by,
    }


def _to_held_out(
    images: dict[str, gan.Images], made: NDArray[np.uint8] | None, seed: int
) -> dict[str, float]:
    """Distances of draws of images to the clean scans held out, by level, and their mean.

    made  generated images, which get the masks of clean training scans; None: these scans
    """
    held_out, clean = images["held out"], images["clean"]
    assert held_out.masks is not None
    assert clean.masks is not None
    reference = as_scanned(held_out.pixels[np.arange(len(held_out))], held_out.masks)
    rng, rows = np.random.default_rng(seed), []
    for draw in range(DRAWS):
        scans = rng.choice(len(clean), len(reference), replace=False)
        drawn = clean.pixels[scans] if made is None else made[draw::DRAWS][: len(reference)]
        filled = as_scanned(drawn, clean.masks[scans])
        rows.append(sliced_wasserstein(reference, filled, seed))
    found = {str(level): statistics.fmean(row[level] for row in rows) for level in rows[0]}
    return found | {"mean": statistics.fmean(found.values())}


def comparison() -> dict[str, Any]:
    """What `compare` found, and comes with the package."""
    path = released_models.folder() / COMPARISON
    return dict(json.loads(path.read_text(encoding="utf-8")))


def runs(
    found: dict[str, Any], scans: str, masks: str = "paired", loss: str = OURS
) -> list[dict[str, Any]]:
    """The training runs of one kind of a comparison, by their seeds."""
    return [
        run
        for run in found["runs"]
        if (run["scans"], run["masks"], run["loss"]) == (scans, masks, loss)
    ]


def distances(of: list[dict[str, Any]]) -> NDArray[np.float64]:
    """How far from clean held-out scans the images of training runs are: (n,)."""
    return np.array([run["to clean scans held out"]["mean"] for run in of])


def difference(of: list[dict[str, Any]], others: list[dict[str, Any]]) -> Measured:
    """How much farther runs of one kind are than those of another, paired by their seeds."""
    n = min(len(of), len(others))
    return intervals.runs(distances(of[:n]) - distances(others[:n]), TOLERANCE_OF_RUNS)
