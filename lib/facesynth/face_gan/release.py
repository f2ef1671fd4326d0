"""Training the generators that are released, from the first scan to the card.

    facesynth face-gans             (or `make face-gans`)

trains each model into a folder of its own, goes on where it was stopped, and writes to the folder
of weights: the generator, its log, what it made on the way, and a card that says what it was made
of, how, on what, and how good it is.
"""

import csv
import importlib.metadata
import io
import itertools
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from facesynth import gan
from facesynth.dataset.training_set import TrainingSet
from facesynth.evaluation.scores import as_scanned, scores
from facesynth.evaluation.swd import sliced_wasserstein
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import released_models
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.models import Model
from facesynth.files.atomic import write_bytes, write_text
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.template import standard

N_TEST = 120  # scans held out
COMPONENTS = (200, None)  # of the morphable models compared with; None: all there are
SHOWN = 4  # samples of each grid that are kept


@dataclass(frozen=True)
class Length:
    """How large a released model is, and for how long it is trained."""

    resolution: int
    channels: int
    n_shown: int  # at each level
    n_last: int | None = None  # at the last level, where it differs

    def configuration(self, model: Model, masks: str = "none", seed: int = 0) -> gan.Config:
        """How a model of this size is trained: see `face_gan.configuration`."""
        return face_gan.configuration(
            model,
            self.resolution,
            channels=self.channels,
            n_shown=self.n_shown,
            n_last=self.n_last,
            masks=masks,
            seed=seed,
        )


LENGTHS: dict[Model, Length] = {
    "textures": Length(256, 192, 48_000, 84_000),
    "geometries": Length(128, 256, 30_000, 104_000),
    "faces": Length(256, 192, 30_000, 87_000),
    "neutral": Length(128, 192, 30_000, 164_000),
}
COMPARISON = "all_or_clean.json"
COMPARED = Length(64, 64, 12_000)
N_COMPARED = 500  # scans held out in the comparison: its distances are to them
SEEDS = 3  # trainings of each kind
LAST = 8  # lines of the log, over which the discriminator's loss is averaged
DRAWS = 8  # sets of generated images, over whose distances is averaged
LIMITS = (
    "Learned from drawn faces that a virtual scanner saw, not from people: see data/README.md and "
    "the book's chapters 01 and 03. What scans do not show was learned as it was filled: scalps, "
    "eyes, the slit between the lips. Not for deciding anything about anybody."
)


def train(
    model: Model, faces: TrainingSet, runs: Path, folder: Path, *, progress: bool = True
) -> dict[str, Any]:
    """Train a model as `LENGTHS` says, and release it into a folder; return its card.

    faces  the whole training set; of which `N_TEST` scans are held out
    runs   where the run's folder is, or goes on

    Raises what `gan.train` does, and `WriteError`.
    """
    length = LENGTHS[face_gan.check_model(model)]
    training, _ = face_gan.split(faces, N_TEST)
    mapping = UniversalMapping(standard(), length.resolution)
    to = GeometryImages.fit(mapping, face_gan.geometry_of(model, training))
    config = length.configuration(model)
    data = face_gan.training_images(model, training, to)
    run = gan.train(config, data, runs / model, progress=progress)
    return release(model, run, training, to, folder)


def release(
    model: Model, run: gan.RunFolder, training: TrainingSet, to: GeometryImages, folder: Path
) -> dict[str, Any]:
    """Write a finished run's generator, log, samples and card into a folder; return the card."""
    released_models.save(folder / f"{model}.safetensors", model, run, to)
    made = released_models.load(folder / f"{model}.safetensors")
    write_text(folder / f"{model}.csv", (run.path / "log.csv").read_text(encoding="utf-8"))
    write_bytes(folder / f"{model}.webp", _strip(run))
    card = {
        "model": model,
        "facesynth": importlib.metadata.version("facesynth"),
        "data": {
            "subjects": len(np.unique(training.subjects)),
            "scans": len(training),
            "held out": f"subjects 0 to {training.subjects.min() - 1}",
        },
        "images shown": min(int(run.log()["images"][-1]), run.config.images),
        "images of the schedule": run.config.images,
        "seconds": round(float(run.log()["seconds"][-1])),
        **run.made_by,
        "parameters": sum(p.numel() for p in made.generator.parameters()),
        "chosen": "the moving average where training ended; no other was looked at",
        "sliced Wasserstein distances x 1000": score(made, training, to),
        "limits": LIMITS,
        "samples after": sorted(run.samples()),
        "configuration": json.loads(run.config.to_json()),
    }
    write_text(folder / f"{model}.json", json.dumps(card, indent=1) + "\n")
    return card


def score(
    made: released_models.ReleasedModel, scans: TrainingSet, to: GeometryImages
) -> dict[str, Any]:
    """Sliced Wasserstein distances of what a model makes to scans, part by part."""
    n = len(scans) // 2
    images = gan.sample(made.generator, n, seed=1)
    found: dict[str, Any] = {"n": n}
    if made.model != "geometries":
        data = face_gan.training_images("textures", scans, to)
        assert isinstance(data.pixels, np.ndarray)
        found["textures"] = scores(data.pixels, made.textures(images), data.masks, COMPONENTS)
    if made.model != "textures":
        assert made.geometries is not None
        real = made.geometries.to_images(face_gan.geometry_of(made.model, scans))
        found["geometries"] = scores(real, images[..., -3:], None, COMPONENTS)
    return found


def compare(
    faces: TrainingSet, runs: Path, folder: Path, *, n_jobs: int = -1, length: Length = COMPARED
) -> dict[str, Any]:
    """Train generators of textures on all scans and on clean ones alone, with masks and without.

    All are measured by their distance to clean scans of subjects that were held out. Returns what
    is written into `folder`. A run that was stopped goes on. Raises what `gan.train` does.
    """
    training, test = face_gan.split(faces, N_COMPARED)
    to = GeometryImages.fit(UniversalMapping(standard(), length.resolution), training.geometry)
    images = {
        name: face_gan.training_images("textures", scans, to)
        for name, scans in (
            ("all", training),
            ("clean", training.take(face_gan.clean(training))),
            ("held out", test.take(face_gan.clean(test))),
        )
    }
    jobs = list(itertools.product(range(SEEDS), ("all", "clean"), ("paired", "none")))
    done = joblib.Parallel(n_jobs, return_as="generator")(
        joblib.delayed(_compared)(images, *job, length, runs) for job in jobs
    )
    found = {
        "scans": {name: len(data) for name, data in images.items()},
        "resolution": length.resolution,
        "real": _to_held_out(images, None, 0)["mean"],
        "runs": list(tqdm(done, total=len(jobs), unit=" GANs", desc="comparison")),
    }
    write_text(folder / COMPARISON, json.dumps(found, indent=1) + "\n")
    return found


def _compared(
    images: dict[str, gan.Images], seed: int, scans: str, masks: str, length: Length, runs: Path
) -> dict[str, Any]:
    torch.set_num_threads(1)
    config = length.configuration("textures", masks, seed)
    run = gan.train(config, images[scans], runs / f"{scans}-{masks}-{seed}", progress=False)
    log = run.log()
    made = gan.to_uint8(gan.sample(run.generator(), DRAWS * len(images["held out"]), seed=1))
    return {
        "scans": scans,
        "masks": masks,
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


def card(model: Model) -> dict[str, Any]:
    """The card of a model that comes with the package. Raises `UnknownModelError`."""
    path = released_models.folder() / f"{face_gan.check_model(model)}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def log(model: Model) -> dict[str, NDArray[np.float64]]:
    """The training log of a model that comes with the package, by column."""
    path = released_models.folder() / f"{face_gan.check_model(model)}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def growth(model: Model) -> NDArray[np.uint8]:
    """What some latent vectors made during training: (times, samples, R, R, 3)."""
    with (released_models.folder() / f"{face_gan.check_model(model)}.webp").open("rb") as file:
        strip = np.asarray(Image.open(file).convert("RGB"))
    side = strip.shape[1] // SHOWN
    grid = strip.reshape(-1, side, SHOWN, side, 3)
    return grid.transpose(0, 2, 1, 3, 4)


def comparison() -> dict[str, Any]:
    """What `compare` found, and comes with the package."""
    path = released_models.folder() / COMPARISON
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _strip(run: gan.RunFolder) -> bytes:
    """The first samples of all grids, a row for each grid, as a WebP image."""
    side = run.config.resolution + 2  # torchvision puts lines between samples
    rows = []
    for _, path in sorted(run.samples().items()):
        with Image.open(path) as grid:
            pixels = np.asarray(grid.convert("RGB"))
        rows.append(
            np.concatenate(
                [pixels[2:side, 2 + k * side : (k + 1) * side] for k in range(SHOWN)], axis=1
            )
        )
    content = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(content, "WEBP", quality=90, method=6)
    return content.getvalue()
