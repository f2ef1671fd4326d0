"""Section 10 as a report: the paper's tables for any scans and any trained generator.

made = report.measure(train, test, Faces(geometry, textures), to_images)
made.write(Path("my_report"))    # index.html, report.json and the pictures

What cannot be measured, for lack of scans or of landmarks, is left out, and the report says why.
"""

import base64
import importlib.metadata
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import jinja2
import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from facesynth.dataset import aligned_scan
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation import identity, intervals, scores
from facesynth.evaluation.baseline import KINDS, Baseline, Faces
from facesynth.evaluation.identity_sets import Described, distances
from facesynth.evaluation.scores import Number
from facesynth.evaluation.swd import EvaluationError
from facesynth.files.atomic import write_bytes, write_text
from facesynth.files.integers import check_jobs, checked_seed
from facesynth.rendering import Camera, plate, render
from facesynth.template import Template

REPEATS = 4  # of the distances of images
FEW = 50  # faces in a set, below which the report warns of its distances
FEW_SUBJECTS = 10  # held out, below which it warns of the control
SHOWN, COLUMNS, PAIRS = 12, 4, 6  # faces on a plate, faces in its rows, and pairs of neighbours
VIEW = 240  # pixels along the side of a rendered face

Geometry: TypeAlias = NDArray[np.float32]
Textures: TypeAlias = NDArray[np.uint8]
Integers: TypeAlias = NDArray[np.integer[Any]]
ToImages: TypeAlias = Callable[[Geometry], NDArray[np.floating[Any]]]


@dataclass
class Report:
    """What was measured.

    settings  the seed, the resolution, and the numbers of faces and subjects
    tables    table -> row -> column -> number
    numbers   of nearest neighbours, by what they are
    pairs     distances of the pairs of nearest neighbours that are shown, by picture
    left_out  what could not be measured -> why
    pictures  (h, w, 4) sRGB by name: what index.html shows, with its captions
    """

    settings: dict[str, int]
    tables: dict[str, dict[str, dict[str, Number]]] = field(default_factory=dict)
    numbers: dict[str, Number] = field(default_factory=dict)
    pairs: dict[str, list[float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Textures] = field(default_factory=dict)

    def write(self, out: str | os.PathLike[str]) -> None:
        """Write index.html, which needs no other file, report.json, and the pictures as PNG.

        Raises `WriteError`.
        """
        out, uris = Path(out), {}
        for name, picture in self.pictures.items():
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "PNG")
            write_bytes(out / f"{name}.png", png.getvalue())
            uris[name] = base64.b64encode(png.getvalue()).decode()
        content = {name: of for name, of in vars(self).items() if name != "pictures"}
        content["facesynth"] = importlib.metadata.version("facesynth")
        text = json.dumps(content, indent=1, default=asdict, allow_nan=False)
        write_text(out / "report.json", text + "\n")
        page = (resources.files(__package__) / "report.html").read_text(encoding="utf-8")
        made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        few = {"few": FEW, "few_subjects": FEW_SUBJECTS, "repeats": REPEATS}
        html = made.from_string(page).render(**content, **few, uris=uris)
        write_text(out / "index.html", html)

    @contextmanager
    def unless_impossible(self, what: str) -> Iterator[None]:
        """Note why something could not be measured, in the words of a ValueError, and go on."""
        try:
            yield
        except ValueError as error:
            self.left_out[what] = str(error)


def measure(
    train: Dataset,
    test: Dataset,
    generated: Faces,
    to_images: ToImages,
    *,
    n_components: int = 200,
    seed: int = 0,
    n_jobs: int = -1,
    progress: bool = True,
) -> Report:
    """Compare generated faces with scans and with a 3DMM of the scans, as Section 10 does.

    train, test   the scans that the generator learned from, and scans of other subjects
    to_images     takes geometries (n, m, 3) mm to geometry images (n, R, R, 3), any R: Section 8
    n_components  k of the 3DMM, or as many as the training scans have
    seed          of everything that is drawn
    n_jobs        worker processes, as in joblib (-1: one for each core)
    progress      whether to show bars

    Textures of scans and generator are compared at the smaller of their resolutions. Raises
    `EvaluationError` where there are no training scans or no generated faces, where faces are not
    the template's or not finite, or where one resolution is not a multiple of the other;
    `SeedError` and `JobsError`.
    """
    seed = checked_seed(seed)
    check_jobs(n_jobs)
    n_scans, n, template = len(train), len(generated.geometry), train.template
    if not n_scans or not n:
        raise EvaluationError(
            f"{n_scans} training scans and {n} generated faces: there must be some"
        )
    side = min(train.textures.shape[1], generated.textures.shape[1])
    faces = {
        "train": _at(side, train, template, "training"),
        "test": _at(side, test, template, "held-out"),
        "proposed": _at(side, generated, template, "generated"),
    }
    settings = {
        "seed": seed,
        "texture resolution": side,
        "training scans": n_scans,
        "training subjects": len(np.unique(train.subjects)),
        "held-out scans": len(test),
        "held-out subjects": len(np.unique(test.subjects)),
        "generated faces": n,
        "components": min(n_components, n_scans - 1),
    }
    made = Report(settings)
    with made.unless_impossible("The rows PCA and 3DMM"):
        if n_scans < 3:
            raise EvaluationError("principal components need three training scans or more")
        faces |= Baseline.fit(faces["train"], n_components).of_kinds(n, seed + 2)
    _images(made, faces, train.subjects, to_images)
    uv = aligned_scan.mapping(side, template).uv
    low, high = template.vertices.min(axis=0), template.vertices.max(axis=0)
    x, y, z = ((low + high) / 2).tolist()
    camera = Camera(yaw=-18, pitch=4, target=(x, y, z), height=1.15 * float((high - low).max()))
    for name, of in (("real", faces["train"]), ("generated", faces["proposed"])):
        shots = [
            render(of.geometry[k], template.faces, uv, of.textures[k], camera=camera, size=VIEW)
            for k in _spread(len(of.geometry), SHOWN)
        ]
        made.pictures[name] = plate(shots, COLUMNS, gap=6)
    with made.unless_impossible("Table 3 and the nearest neighbours"):
        template.vertices_of(identity.FIVE)
        who = {
            name: identity.describe(
                of.geometry, of.textures, uv, template, n_jobs=n_jobs, progress=progress
            )
            for name, of in faces.items()
        }
        _identities(made, who, train.subjects, test.subjects)
        for a, b in (("proposed", "train"), ("test", "proposed")):  # Figure 15
            some = _spread(len(who[a]), PAIRS)
            if len(some):
                near, which = identity.to_nearest(who[a][some], who[b])
                both = [
                    identity.chips(of.geometry[rows], of.textures[rows], uv, template)
                    for of, rows in ((faces[a], some), (faces[b], which))
                ]
                opaque = np.pad(np.concatenate(both), [(0, 0)] * 3 + [(0, 1)], constant_values=255)
                made.pictures[f"nearest_of_{a}"] = plate(opaque, len(some), gap=6)
                made.pairs[f"nearest_of_{a}"] = near.tolist()
    return made


def _at(side: int, faces: Faces | Dataset, template: Template, name: str) -> Faces:
    """Faces with textures and masks averaged to side x side pixels."""
    (n, size), m = faces.textures.shape[:2], len(template.vertices)
    if faces.geometry.shape != (n, m, 3) or size % side or not np.isfinite(faces.geometry).all():
        raise EvaluationError(
            f"the {name} faces have geometry {faces.geometry.shape} and textures "
            f"{faces.textures.shape}; expected finite ({n}, {m}, 3) and a multiple of {side} pixels"
        )
    valid = None if faces.valid is None else scores.shrunk_masks(faces.valid, side)
    return Faces(faces.geometry, scores.shrunk(faces.textures, side), valid)


def _spread(n: int, most: int) -> Integers:
    """Some of n faces, evenly spaced: not selected."""
    return np.linspace(0, n - 1, min(most, n)).round().astype(int)


def _images(made: Report, faces: dict[str, Faces], subjects: Integers, to_images: ToImages) -> None:
    """Tables 1 and 2."""
    real, count, seed = faces["train"], len(faces["proposed"].geometry), made.settings["seed"]
    assert real.valid is not None
    n = min(scores.largest_half(subjects), 4 * count // 5)  # repeats draw other generated faces
    seldom = real.valid.mean(axis=0) < scores.SELDOM
    drawn = real.valid[np.random.default_rng(seed).choice(len(real.valid), count)]

    def textures(of: Faces) -> Textures:
        return scores.as_scanned(of.textures, (drawn if of.valid is None else of.valid) | seldom)

    def geometries(of: Faces) -> NDArray[np.floating[Any]]:
        return to_images(of.geometry)

    names = {"real": "train", "proposed": "proposed", "PCA": "3DMM", "copula PCA": "copula 3DMM"}
    for table, number, images in (("textures", 1, textures), ("geometries", 2, geometries)):
        with made.unless_impossible(f"Table {number}, of {table}"):
            if n < 2:
                raise EvaluationError("it needs 4 training scans and 3 generated faces, or more")
            sets = {row: images(faces[name]) for row, name in names.items() if name in faces}
            made.tables[table] = scores.by_level(sets, n, REPEATS, seed, subjects)


def _identities(
    made: Report, who: dict[str, NDArray[np.float32]], subjects: Integers, of_test: Integers
) -> None:
    """Table 3, all numbers of a row by sets of one size, and the distances of Figure 14."""
    seed, train, test = made.settings["seed"], who["train"], who["test"]
    rng = np.random.default_rng(seed)
    others = {name: who[name] for name in (*KINDS, "proposed") if name in who}
    sets = {name: Described(of) for name, of in others.items()}
    everybody, unseen = Described(train, subjects), Described(test, of_test)
    half = identity.half(subjects, rng)
    halves = [Described(train[rows], subjects[rows]) for rows in (half, ~half)]
    cells = {
        "train": {name: (everybody, of) for name, of in sets.items()},
        "test": {name: (unseen, of) for name, of in (sets | {"train": everybody}).items()},
    }
    if not half.all():
        cells["train"]["train"] = halves[0], halves[1]
    made.tables["identities"] = {}
    for row, of_row in cells.items():
        n = min(len(of) for both in of_row.values() for of in both)
        with made.unless_impossible(f"Row {row} of Table 3"):
            if n < 2:
                raise EvaluationError("one of its sets has fewer than two faces")
            made.tables["identities"][row] = {
                name: Number.of(
                    intervals.of_draws(distances(people, {name: of}, n, seed=seed)[name]["SWD"]),
                    n,
                    "x 1000",
                )
                for name, (people, of) in of_row.items()
            }
    near = {"generated face": identity.to_nearest(who["proposed"], train)[0]}
    coming_near = {}
    if len(test):
        near["held-out scan"] = identity.to_nearest(test, train)[0]
        as_many = train[rng.permutation(len(train))[: len(who["proposed"])]]
        labels = {name: f"{name} faces" for name in KINDS} | {"proposed": "generated faces"}
        for name, of in {"as many training scans": as_many, **others}.items():
            coming_near[labels.get(name, name)] = identity.to_nearest(test, of)[0]
    else:
        made.left_out["The control by held-out scans"] = "there are none"
    people = {"held-out scan": of_test}
    for name, values in near.items():
        found = scores.median(values, people.get(name), seed)
        made.numbers[f"{name} to its nearest training scan"] = found
    for name, values in coming_near.items():
        found = scores.median(values, of_test, seed)
        made.numbers[f"held-out scan to its nearest of {name}"] = found
    threshold = None
    with made.unless_impossible("Shares recognised as a training subject"):
        d, same = identity.pairs(train, subjects)
        threshold, wrong = identity.equal_error(d, same)
        for name, values in near.items():
            found = scores.share(values <= threshold, people.get(name))
            made.numbers[f"{name} recognised as a training subject"] = found
        near["two scans of one subject"] = d[same]
        middle = Number(float(np.median(d[same])), None, None, int(same.sum()))
        made.numbers["two scans of one subject"] = middle
        made.numbers["equal-error threshold"] = Number(threshold, None, None, len(d))
        made.numbers["error rate at the threshold"] = Number(wrong, None, None, len(d), "share")
    made.pictures["distances"] = _chart(near, coming_near, threshold)


def _chart(near: dict[str, Any], coming_near: dict[str, Any], threshold: float | None) -> Textures:
    """Figure 14, to be read on white and on black."""
    with matplotlib.style.context("facesynth.rendering.book"):
        figure = Figure((8.4, 3.1))
        left, *right = figure.subplots(1, 2 if coming_near else 1, squeeze=False)[0]
        bins = np.linspace(0, max(0.1, *(values.max() for values in near.values())), 30)
        colors = {"generated face": "C0", "held-out scan": "C2"}
        for name, values in near.items():
            color = colors.get(name, "0.55")
            left.hist(values, bins, density=True, color=color, alpha=0.55, label=name)
        if threshold is not None:
            left.axvline(threshold, color="0.5", ls="--", label="threshold")
        left.set(xlabel="distance to the nearest training scan", ylabel="density")
        left.legend()
        for axis in right:
            looks = {"generated faces": ("C0", "-"), "3DMM faces": ("C1", ":")}
            looks["copula 3DMM faces"] = ("C3", "-.")
            for name, values in coming_near.items():
                color, style = looks.get(name, ("C2", "--"))
                axis.ecdf(values, color=color, ls=style, label=name)
            axis.set(xlabel="distance to the nearest", ylabel="share of held-out scans", xlim=0)
            axis.legend()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()
