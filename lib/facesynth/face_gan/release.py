"""Training a generator of faces, from the first scan to the card.

    facesynth train DATASET --model textures --out MODEL        (of the book: `make face-gans`)

trains a model, resumes where it was stopped, and writes into the folder of models: the generator,
its log, what it made on the way, and a card that says what it was made of, how, on what, and how
good it is.
"""

import csv
import importlib.metadata
import io
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from facesynth import expressions, gan
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset, DatasetError
from facesynth.evaluation import report
from facesynth.evaluation.artefacts import artefacts
from facesynth.evaluation.coverage import NEIGHBOURS, coverage, thumbnails
from facesynth.evaluation.scores import as_scanned, scores
from facesynth.evaluation.swd import sliced_wasserstein
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import released_models
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.detailing import scales, training_tiles
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.face_gan.models import Model
from facesynth.face_gan.texture_fit import SIDE, TextureFit
from facesynth.files.atomic import write_bytes, write_text

N_TEST = 120  # scans held out
FEWEST = 4  # scans to train on: two halves of two each are compared
COMPONENTS = (200, None)  # of the morphable models compared with; None: all there are
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
    "textures": Length(256, 192, 48_000, 84_000),
    "geometries": Length(128, 256, 30_000, 104_000),
    "faces": Length(512, 64, 600_000, 300_000),
    "neutral": Length(512, 64, 600_000, 300_000),
}
COMPARISON = "all_or_clean.json"
COMPARED = Length(64, 64, 12_000)
N_COMPARED = 500  # scans held out in the comparison: its distances are to them
SEEDS = 3  # trainings of each kind
LAST = 8  # lines of the log, over which the discriminator's loss is averaged
N_SCORED = 940  # scans that as many generated images are compared with
FINEST_SCORED = 256  # pixels of the textures that are compared
OF_COLOURS = 500  # scans, of which the axes of colour are found
SCORED = 128  # pixels of the images of lifted geometries
NOISES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # of the lift, of which one is chosen
FEWEST_UNSEEN = 10  # faces held out, to choose by
AT_A_TIME = 50  # faces
DRAWS = 8  # sets of generated images, over whose distances is averaged
LIMITS = (
    "Learned from the scans of this data set alone. Invalid pixels of the scans were learned "
    "as they were filled: scalps, eyes, the slit between the lips. Not for deciding "
    "anything about anybody."
)


def train(
    model: Model,
    faces: Dataset,
    folder: Path,
    *,
    runs: Path | None = None,
    length: Length | None = None,
    n_test: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model, and write it and its card into a folder of models; return the card.

    faces   the whole data set
    runs    where the run's folder is; by default in the folder of models
    length  how large the model is, and for how long it is trained; by default as `LENGTHS` says,
            which takes a processor hours to days
    n_test  scans that are held out, with all scans of their subjects: by default `N_TEST`, or a
            fifth where there are few

    Raises `DatasetError` for a data set too small to hold out anybody, `WeightsError` for a folder
    with models of another template, what `gan.train` does, and `WriteError`.
    """
    length = LENGTHS[face_gan.check_model(model)] if length is None else length
    n_test = min(N_TEST, len(faces) // 5) if n_test is None else n_test
    if not 0 < n_test < len(faces):
        raise DatasetError(f"cannot hold out {n_test} of {len(faces)} scans: get more scans")
    training, test = face_gan.split(faces, n_test)
    if len(training) < FEWEST:
        raise DatasetError(
            f"{len(training)} scans are left to train on when {len(test)} are held out; {FEWEST} "
            "are the least: get more scans, or hold out fewer"
        )
    released_models.check_template(folder, faces.template)  # before hours of training
    runs = folder / "runs" if runs is None else runs
    geometry = face_gan.geometry_of(model, training)
    rest = model == "faces" and face_gan.tells_rest(training)
    config = length.configuration(model, rest=rest)
    to = GeometryImages.fit(mapping(config.resolution, faces.template), geometry)
    colours = None
    if model in face_gan.WHOLE:
        some = training.take(_some(len(training), OF_COLOURS))
        colours = Colours.fit(some.textures)
    data = face_gan.training_images(model, training, to, colours)
    run = gan.train(config, data, runs / model, progress=progress)
    details = []
    if model in face_gan.WHOLE:
        side = config.resolution
        for scale in scales(side, length.resolution):
            side *= scale
            tiles = training_tiles(training, side, scale)
            n_shown = length.n_last or length.n_shown
            each = face_gan.detail_configuration(
                tiles, channels=3 * length.channels // 4, n_shown=n_shown
            )
            details.append(gan.train(each, tiles, runs / f"detail-{side}", progress=progress))
    return release(model, run, faces, training, to, folder, colours, details)


def release(
    model: Model,
    run: gan.RunFolder,
    faces: Dataset,
    training: Dataset,
    to: GeometryImages,
    folder: Path,
    colours: Colours | None = None,
    details: Sequence[gan.RunFolder] = (),
) -> dict[str, Any]:
    """Write a finished run's generator, log, samples and card into a folder; return the card."""
    side = min(SIDE, run.config.resolution)
    fit = TextureFit.fit(training, side) if model == "textures" else None
    lift = None
    if model in face_gan.WHOLE:
        unseen = faces.take(~np.isin(faces.subjects, training.subjects))
        lift = _trusted(
            Lift.fit(to, face_gan.geometry_of(model, training)),
            run.generator(),
            face_gan.geometry_of(model, unseen),
        )
    released_models.save(folder, model, run, to, fit, colours=colours, lift=lift, details=details)
    made = released_models.load(folder, model)
    if model == "neutral" or made.tells_rest:
        expressions.save(folder / expressions.FILE, expressions.mean_differences(training))
    parts = compared(made, training, to)
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
        "parameters": sum(p.numel() for p in made.generator.parameters()),
        "chosen": "the moving average where training ended; no other was looked at",
        "sliced Wasserstein distances x 1000": score(parts),
        "fidelity": fidelity(parts),
        "limits": LIMITS,
        "samples after": sorted(run.samples()),
        "configuration": json.loads(run.config.to_json()),
    }
    write_text(folder / f"{model}.json", json.dumps(card, indent=1) + "\n")
    return card


def _some(n: int, most: int) -> NDArray[np.intp]:
    """Some of n scans, at random."""
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


def _trusted(lift: Lift, generator: gan.ImageGenerator, unseen: NDArray[np.float32]) -> Lift:
    """The lift with the noise by which what it makes is nearest to faces held out (n, m, 3)."""
    n = len(unseen)
    if n < FEWEST_UNSEEN:
        return lift
    at = GeometryImages(mapping(SCORED, lift.to.mapping.template), lift.to.mean, lift.to.unit)
    images = gan.sample(generator, n, seed=2)[..., face_gan.N_TEXTURE :][..., : face_gan.REST]
    drawn = np.random.default_rng(2).normal(size=(n, len(lift.components)))

    def away(noise: float) -> float:
        made = replace(lift, noise=noise).faces(images, drawn)
        found = sliced_wasserstein(at.to_images(unseen), at.to_images(made))
        return statistics.fmean(found.values())

    return replace(lift, noise=min(NOISES, key=away))


def held_out(
    folder: Path, made: released_models.ReleasedModel, faces: Dataset
) -> tuple[Dataset, Dataset]:
    """The scans that a folder's model has learned from, and those that it has not.

    Raises `WeightsError` for a model of another template or other scans than these.
    """
    said = json.loads((folder / f"{made.model}.json").read_text(encoding="utf-8"))["data"]
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


def evaluate(
    folder: Path,
    faces: Dataset,
    n: int,
    seed: int = 0,
    *,
    n_jobs: int = -1,
    progress: bool = True,
) -> report.Report:
    """Compare n faces of a folder's model with the scans of its data set: see `report.measure`.

    Raises what `held_out` does, `WeightsError` where there is no model of whole faces, and
    `EvaluationError`.
    """
    made = released_models.load_first(folder, ("faces", "textures"))
    training, test = held_out(folder, made, faces)
    found = in_parts(made, n, seed)
    generated = report.Faces(found.geometry, found.textures)
    to = GeometryImages.fit(mapping(made.config.resolution, faces.template), training.geometry)
    return report.measure(
        training, test, generated, to.to_images, seed=seed, n_jobs=n_jobs, progress=progress
    )


@dataclass(frozen=True)
class Compared:
    """Images of scans (2 n, R, R, c), as many generated ones or half, and the scans' masks."""

    scans: NDArray[Any]
    generated: NDArray[Any]
    masks: NDArray[np.bool_] | None = None


def compared(
    made: released_models.ReleasedModel, scans: Dataset, to: GeometryImages
) -> dict[str, Compared]:
    """What a model makes beside scans, part by part."""
    scans = scans.take(_some(len(scans), 2 * N_SCORED))
    n, found = len(scans) // 2, {}
    images = gan.sample(made.generator, n, seed=1)
    side = min(made.resolution, FINEST_SCORED)
    faces = in_parts(made, n, seed=1, resolution=side) if made.lift is not None else None
    if made.model != "geometries":
        at = GeometryImages(mapping(side, scans.template), to.mean, to.unit)
        data = face_gan.training_images("textures", scans, at)
        textures = made.textures(images) if faces is None else faces.textures
        found["textures"] = Compared(np.asarray(data.pixels), textures, data.masks)
    if made.geometries is not None and made.model != "textures":
        geometry = face_gan.geometry_of(made.model, scans)
        own = Compared(made.geometries.to_images(geometry), images[..., made.geometry_channels()])
        if faces is None:
            found["geometries"] = own
        else:
            found["geometries, before they are lifted"] = own
            at = GeometryImages.fit(mapping(SCORED, scans.template), geometry)
            lifted = at.to_images(faces.geometry)
            found["geometries"] = Compared(at.to_images(geometry), lifted)
        if made.tells_rest:
            resting = in_parts(made, n, seed=1, resolution=made.config.resolution, neutral=True)
            real = at.to_images(face_gan.geometry_of("neutral", scans))
            found["geometries at rest"] = Compared(real, at.to_images(resting.geometry))
    return found


def score(parts: dict[str, Compared]) -> dict[str, Any]:
    """Sliced Wasserstein distances x 1000 of what a model makes to scans, part by part."""
    found: dict[str, Any] = {"n": min(len(of.generated) for of in parts.values())}
    for name, of in parts.items():
        components = tuple(k for k in COMPONENTS if k is None or k < len(of.scans))
        found[name] = scores(of.scans, of.generated, of.masks, components)
    return found


def fidelity(parts: dict[str, Compared]) -> dict[str, dict[str, float]]:
    """Precision, recall, density and coverage, and artefacts, part by part.

    As in `scores`, textures get the masks of scans, and one half of the scans is compared with.
    """
    found = {}
    for name, of in parts.items():
        n = min(len(of.generated), len(of.scans) // 2)
        half, other = np.random.default_rng(0).permutation(len(of.scans))[: 2 * n].reshape(2, n)
        real, generated = of.scans[half], of.generated[:n]
        if of.masks is not None:
            real = as_scanned(real, of.masks[half])
            generated = as_scanned(generated, of.masks[other])
        numbers = vars(artefacts(real, generated))
        if n > NEIGHBOURS:
            numbers = vars(coverage(*thumbnails(real, generated))) | numbers
        found[name] = {key: round(value, 4) for key, value in numbers.items()}
    return found


def in_parts(
    made: released_models.ReleasedModel, n: int, seed: int, **settings: Any
) -> released_models.Made:
    """Make n faces, some at a time; settings are those of `ReleasedModel.make`."""
    parts = [made.make(z, **settings) for z in made.latents(n, seed).split(AT_A_TIME)]
    fields = zip(*(vars(part).values() for part in parts), strict=True)
    return released_models.Made(
        *(None if of[0] is None else np.concatenate(of) for of in fields)  # type: ignore[arg-type]
    )


def compare(
    faces: Dataset, runs: Path, folder: Path, *, n_jobs: int = -1, length: Length = COMPARED
) -> dict[str, Any]:
    """Train generators of textures on all scans and on clean ones alone, with masks and without.

    All are measured by their distance to clean scans of subjects that were held out. Returns what
    is written into `folder`. A run that was stopped resumes. Raises what `gan.train` does.
    """
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
    config = length.configuration("textures", masks=masks, seed=seed)
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
        some = [pixels[2:side, 2 + k * side : (k + 1) * side] for k in range(SHOWN)]
        rows.append(np.concatenate(some, axis=1))
    content = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(content, "WEBP", quality=90, method=6)
    return content.getvalue()
