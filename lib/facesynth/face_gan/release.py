"""Training a generator of faces, from the first scan to the card.

    facesynth train DATASET --model faces --out MODEL        (of the book: `make face-gans`)

trains a model, resumes where it was stopped, and writes into the folder of models: the generator,
its log, what it made on the way, and a card that says what it was made of, how, on what, and how
good it is.
"""

import csv
import importlib.metadata
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facesynth import expressions, gan
from facesynth.dataset import dataset
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset, DatasetError
from facesynth.evaluation import baseline, report
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import released_models, scoring, tuning
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.detailing import training_tiles
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.face_gan.models import Model
from facesynth.face_gan.texture_fit import SIDE, TextureFit
from facesynth.files import texts
from facesynth.files.atomic import write_bytes, write_text
from facesynth.files.integers import check_jobs
from facesynth.gan.anchored import AnchoredGenerator
from facesynth.gan.detail import SCALE

N_TEST = 300  # scans held out
FEWEST = 50  # scans of a data set, for there to be something to learn, and to compare with
SHOWN = 4  # samples of each grid that are kept


@dataclass(frozen=True)
class Length:
    """How large a released model is, and for how long it is trained."""

    resolution: int
    channels: int
    n_shown: int  # images, at each level
    n_last: int | None = None  # at the last level, where it differs; or tiles, of each detail

    def configuration(self, model: Model, **settings: Any) -> gan.Config:
        """How a model of this size is trained: see `face_gan.configuration`."""
        return face_gan.configuration(model, **vars(self), **settings)


LENGTHS: dict[Model, Length] = {
    "textures": Length(128, 64, 12_000, 24_000),
    "geometries": Length(128, 64, 12_000, 24_000),
    "faces": Length(512, 64, 90_000, 40_000),
}
OF_COLOURS = 500  # scans, of which the axes of colour are found
LIMITS = (
    "Learned from the scans of this data set alone. Invalid pixels of the scans were learned as "
    "they were filled: below strands of hair, in nostrils, between the lips. Not for deciding "
    "anything about anybody."
)


def train(
    model: Model,
    faces: Dataset,
    folder: str | os.PathLike[str],
    *,
    runs: str | os.PathLike[str] | None = None,
    length: Length | None = None,
    n_test: int | None = None,
    finer: Dataset | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model, and write it and its card into a folder of models; return the card.

    faces   the whole data set
    runs    where the run's folder is; by default in the folder of models
    length  how large the model is, and for how long it is trained; by default as `length_for`
            says, which takes a processor an hour or two
    n_test  scans that are held out, with all scans of their subjects: by default `N_TEST`, or a
            fifth where there are few
    finer   scans with more pixels, of some of the subjects, say: "faces" learn the details from
            them that are finer than the data set's own pixels

    Raises `DatasetError` for a data set too small to learn from or to hold out anybody, and for a
    resolution that its scans have not, `WeightsError` for a folder with models of another template,
    what `gan.train` does, and `WriteError`.
    """
    length = length_for(model, faces if finer is None else finer) if length is None else length
    n_test = min(N_TEST, len(faces) // 5) if n_test is None else n_test
    coarse = length.resolution if finer is None else min(length.resolution, faces.resolution)
    _check(faces, n_test, coarse)
    training, unseen = face_gan.split(faces, n_test)
    released_models.check_template(folder, faces.template)  # before hours of training
    if finer is not None:
        finer = _finer(finer, faces, unseen, length.resolution)
    folder = Path(folder)
    runs = folder / "runs" if runs is None else Path(runs)
    rest = model == "faces" and face_gan.tells_rest(training)
    config = length.configuration(model, rest=rest)
    to = GeometryImages.fit(mapping(config.resolution, faces.template), training.geometry)
    colours = None
    if model == "faces":
        some = training.take(scoring.some(len(training), OF_COLOURS))
        colours = Colours.fit(some.textures)
    data = face_gan.training_images(model, training, to, colours).unmasked()
    run = gan.train(config, data, runs / model, progress=progress)
    details = []
    if model == "faces":
        side = config.resolution
        while (side := SCALE * side) <= length.resolution:
            scans = training if side <= faces.resolution or finer is None else finer
            tiles = training_tiles(scans, side)
            each = face_gan.detail_configuration(
                tiles,
                channels=3 * length.channels // 4,
                n_shown=length.n_last or length.n_shown,
            )
            details.append(gan.train(each, tiles, runs / f"detail-{side}", progress=progress))
    return release(model, run, faces, training, to, folder, colours, details)


def length_for(model: Model, faces: Dataset) -> Length:
    """The size and length of `LENGTHS`, with at most the pixels of a data set's scans."""
    length = LENGTHS[face_gan.check_model(model)]
    return replace(length, resolution=math.gcd(length.resolution, faces.resolution))


def _check(faces: Dataset, n_test: int, resolution: int) -> None:
    """Raise `DatasetError` for what would fail after hours."""
    if len(faces) < FEWEST:
        raise DatasetError(f"{len(faces)} scans are too few to learn from: {FEWEST} are the least")
    if len(np.unique(faces.subjects)) == 1:
        raise DatasetError(
            f"all scans are of one subject, {faces.subject_names[0]}: nobody could be held out"
        )
    if not 0 < n_test <= len(faces) - FEWEST // 2:
        raise DatasetError(
            f"cannot hold out {n_test} of {len(faces)} scans: {FEWEST // 2} are the least to train "
            "on; get more scans, or hold out fewer"
        )
    if faces.resolution % resolution:
        raise DatasetError(
            f"scans of {faces.resolution} pixels do not shrink to {resolution}: build the data set "
            f"with --resolution {resolution}, or ask for a half or a quarter of what it has"
        )


def _finer(finer: Dataset, faces: Dataset, unseen: Dataset, resolution: int) -> Dataset:
    """Scans with more pixels, without those of subjects held out. Raises `DatasetError`."""
    if finer.template.digest != faces.template.digest:
        raise DatasetError(
            f"the finer scans in {finer.folder} were aligned with another template than those in "
            f"{faces.folder}: build both with the same"
        )
    names = {unseen.subject_names[subject] for subject in unseen.subjects}
    chosen = finer.take(~np.isin(np.array(finer.subject_names)[finer.subjects], [*names]))
    if len(chosen) < FEWEST // 2:
        raise DatasetError(
            f"{len(chosen)} finer scans in {finer.folder} are of subjects that are not held out: "
            f"{FEWEST // 2} are the least to learn from"
        )
    if finer.resolution % resolution:
        raise DatasetError(
            f"the finer scans of {finer.resolution} pixels do not shrink to {resolution}"
        )
    return chosen


def release(
    model: Model,
    run: gan.RunFolder,
    faces: Dataset,
    training: Dataset,
    to: GeometryImages,
    folder: str | os.PathLike[str],
    colours: Colours | None = None,
    details: Sequence[gan.RunFolder] = (),
) -> dict[str, Any]:
    """Write a finished run's generator, log, samples and card into a folder; return the card."""
    folder, side = Path(folder), min(SIDE, run.config.resolution)
    fit = TextureFit.fit(training, side) if model == "textures" else None
    lift, generator = None, run.generator()
    chosen: dict[str, Any] = {}
    networks = [each.detailer() for each in details]
    if isinstance(generator, AnchoredGenerator) and colours is not None:
        unseen = faces.take(~np.isin(faces.subjects, training.subjects))
        chosen["share of the finest noise"] = tuning.calm(generator, unseen, colours)
        chosen["shares of detail"] = tuning.level(networks, generator, unseen, colours)
        lift = tuning.trusted(Lift.fit(to, training.geometry), generator, unseen.geometry)
        chosen["noise of the lift"] = lift.noise
    configs = [each.config for each in details]
    released_models.save(
        folder,
        model,
        generator,
        run.config,
        to,
        fit,
        colours=colours,
        lift=lift,
        details=list(zip(networks, configs, strict=True)),
    )
    made = released_models.load(folder, model)
    if made.tells_rest:
        expressions.save(folder / expressions.FILE, expressions.mean_differences(training))
    parts = scoring.compared(made, training, to)
    write_text(folder / f"{model}.csv", (run.path / "log.csv").read_text(encoding="utf-8"))
    write_bytes(folder / f"{model}.webp", _strip(run))
    held_out = sorted({*faces.subjects.tolist()} - {*training.subjects.tolist()})
    card = {
        "model": model,
        "facesynth": importlib.metadata.version("facesynth"),
        "data": {
            "fingerprint": faces.fingerprint,
            "subjects": len(np.unique(training.subjects)),
            "scans": len(training),
            "held out": [faces.subject_names[subject] for subject in held_out],
        },
        "images shown": min(int(run.log()["images"][-1]), run.config.images),
        "images of the schedule": run.config.images,
        "seconds": round(float(run.log()["seconds"][-1])),
        **run.made_by,
        "parameters": _parameters(made.generator),
        "details": [
            {
                "resolution": SCALE ** (1 + k) * run.config.resolution,
                "parameters": _parameters(network),
                "scans": each.n_images,
                "tiles shown": each.config.images,
                "seconds": round(float(each.log()["seconds"][-1])),
            }
            for k, (network, each) in enumerate(zip(made.details, details, strict=True))
        ],
        "chosen": "the moving average where training ended; no other was looked at",
        "chosen on held-out scans": chosen,
        "sliced Wasserstein distances x 1000": scoring.score(parts),
        "fidelity": scoring.fidelity(parts),
        "limits": LIMITS,
        "samples after": sorted(run.samples()),
        "configuration": json.loads(run.config.to_json()),
    }
    write_text(folder / f"{model}.json", json.dumps(card, indent=1) + "\n")
    return card


def _parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def held_out(
    folder: str | os.PathLike[str], made: released_models.ReleasedModel, faces: Dataset
) -> tuple[Dataset, Dataset]:
    """The scans that a folder's model has learned from, and those that it has not.

    Raises `WeightsError` for a model of another template or other scans than these.
    """
    said = json.loads(texts.read(Path(folder) / f"{made.model}.json"))["data"]
    if made.template.digest != faces.template.digest:
        raise released_models.WeightsError(
            f"the model in {folder} has learned from scans aligned with another template than those"
            f" in {faces.folder}; name the data set that it was trained on, or train one on this"
        )
    if said["fingerprint"] != faces.fingerprint:
        raise released_models.WeightsError(
            f"the model in {folder} has learned from other scans than those in {faces.folder}, so "
            "that nothing says which of them it has not seen; name the data set that it was trained"
            " on (perhaps its rejected.txt has changed), or train one on this"
        )
    unseen = np.array(faces.subject_names)[faces.subjects]
    test = np.isin(unseen, said["held out"])
    return faces.take(~test), faces.take(test)


def released_scans(n_subjects: int, n_test: int) -> tuple[Dataset, Dataset]:
    """Scans that come with the package: some that its generators learned from, and others.

    n_subjects  of at most so many subjects in all, ...
    n_test      of whom as many as have so many scans were held out when the generators were trained
    """
    faces, unseen = dataset.released(), card("faces")["data"]["held out"]
    test = np.isin(np.array(faces.subject_names), unseen)
    per_subject = len(faces) // len(test)
    n_held_out = min(math.ceil(n_test / per_subject), n_subjects - 1)
    chosen = np.flatnonzero(test)[:n_held_out]
    others = np.flatnonzero(~test)[: n_subjects - n_held_out]
    return faces.take(np.isin(faces.subjects, others)), faces.take(np.isin(faces.subjects, chosen))


def evaluate(
    folder: str | os.PathLike[str],
    faces: Dataset,
    n: int,
    seed: int = 0,
    *,
    n_jobs: int = -1,
    progress: bool = True,
) -> report.Report:
    """Compare n faces of a folder's model with the scans of its data set: see `report.measure`.

    Raises what `held_out` does, `WeightsError` where there is no model of whole faces, and
    `EvaluationError`; `SeedError` and `JobsError`.
    """
    check_jobs(n_jobs)
    made = released_models.load_first(folder, ("faces", "textures"))
    training, test = held_out(folder, made, faces)
    found = scoring.in_parts(made, n, seed)
    generated = baseline.Faces(found.geometry, found.textures)
    to = GeometryImages.fit(mapping(made.config.resolution, faces.template), training.geometry)
    return report.measure(
        training, test, generated, to.to_images, seed=seed, n_jobs=n_jobs, progress=progress
    )


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


def _strip(run: gan.RunFolder) -> bytes:
    """The first samples of all grids, a row for each grid, as a WebP image."""
    side = run.config.resolution + 2  # torchvision puts lines between samples
    rows = []
    for _, path in sorted(run.samples().items()):
        with Image.open(path) as grid:
            pixels = np.asarray(grid.convert("RGB"))
        some = [pixels[2:side, 2 + k * side : (k + 1) * side] for k in range(SHOWN)]
        rows.append(np.concatenate(some, axis=1))
    content = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(content, "WEBP", quality=90, method=6)
    return content.getvalue()
