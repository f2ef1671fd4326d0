"""New faces: texture and geometry that belong together.

faces = facesynth.synthesize(8, seed=0)
faces[0].export("face.glb")
smiling = facesynth.synthesize(8, seed=0, expression="smile")
"""

import csv
import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from facesynth import expressions
from facesynth.evaluation.annotation import GROUPS
from facesynth.face_gan import released_models
from facesynth.face_gan.face import Face
from facesynth.face_gan.released_models import ReleasedModel, load_first
from facesynth.files import tables
from facesynth.files.atomic import write_text
from facesynth.files.integers import checked_seed
from facesynth.gan import great_circle

HALVINGS = 2  # textures come in the generator's size, half and a quarter of it
AMOUNT = 0.4  # by which relatives differ
SUFFIXES = (".glb", ".obj", ".png")  # of a face's files
BATCH = 8  # faces made at a time: more are not faster on a processor, and take memory


class SynthesisError(ValueError):
    """Faces that cannot be made."""


class CountError(SynthesisError):
    """The count of faces is not at least 1."""


class UnknownSizeError(SynthesisError):
    """Unsupported texture size."""


class UnknownExpressionError(SynthesisError):
    """Unknown expression."""


def synthesize(
    n: int,
    seed: int = 0,
    *,
    expression: str | None = None,
    resolution: int | None = None,
    variation: float = 1.0,
    like: str | None = None,
    to: str | None = None,
    amount: float = AMOUNT,
    model: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> list[Face]:
    """Make n new faces.

    seed        the same seed makes the same faces on one machine
    expression  "smile", say, or another one of the scans: a generator of faces at rest makes
                them, and what the expression adds to scanned faces in the mean is added to theirs
                (Section 9). The same seed makes the same people in each. By default, another
                generator makes faces with whatever expression comes
    resolution  pixels along the side of the textures: as many as the generator makes, by default,
                or half, or a quarter of them
    variation   in (0, 1]: how far from the average face they may be; less is safer and more alike
                (it truncates the latent vectors)
    like        the name of a face as `write` gives them, such as "face-3-0007": its relatives are
                made, who differ from it by `amount` in [0, 1]: 0 is the face, 1 anybody
    to          the name of another face: the way from `like` to it is made, in n steps
    model       a folder of models that `facesynth train` has made; by default the package's own.
                A generator of textures and geometries together is preferred, and one of textures,
                whose geometries follow by least squares (Section 7.2), comes next
    progress    whether to show a bar

    Raises `CountError`, `UnknownExpressionError`, `UnknownSizeError`, and `WeightsError` where the
    generator is missing or altered; `SynthesisError` for a variation or an amount out of range, or
    a name that is not a face's.
    """
    plan = _Plan(n, seed, expression, resolution, variation, model, like, to, amount)
    with tqdm(total=n, unit=" faces", desc="synthesizing", disable=not progress) as bar:
        made: list[Face] = []
        for some in plan.batches:
            made += plan.make(some)
            bar.update(len(some))
    return made


def write(
    folder: str | os.PathLike[str],
    n: int,
    seed: int = 0,
    *,
    expression: str | None = None,
    resolution: int | None = None,
    variation: float = 1.0,
    like: str | None = None,
    to: str | None = None,
    amount: float = AMOUNT,
    model: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Make faces as `synthesize` does, and write each as GLB, OBJ and picture; return their names.

    A face is written as soon as it is made, and then gets a line in `faces-{seed}.csv`: the same
    call resumes, and makes only faces that have no line, or of which a file is missing. Where the
    package's own model is used, the lines hold the faces' labels with confidences; where an
    expression is asked for, all names hold it. Raises what `synthesize` does, before anything is
    written; `SynthesisError` where the folder has faces of this name that were made with other
    settings; and `WriteError`.
    """
    folder = Path(folder)
    plan = _Plan(n, seed, expression, resolution, variation, model, like, to, amount)
    kind = plan.kind
    names = [f"face-{kind}-{k:04d}" for k in range(n)]
    _settle(folder / f"faces-{kind}.json", plan.settings)
    groups = GROUPS if model is None else ()
    table = folder / f"faces-{kind}.csv"
    columns = ["face", *(column for g in groups for column in (g, f"{g} confidence"))]
    done = _finished(table, columns)
    with tqdm(total=n, initial=len(done & {*names}), unit=" faces", desc="synthesizing") as bar:
        for some in plan.batches:
            missing = [k for k in some if names[k] not in done]
            faces = dict(zip(some, plan.make(some), strict=True)) if missing else {}
            for k in missing:
                for suffix in SUFFIXES:
                    faces[k].export(folder / f"{names[k]}{suffix}")
                told = [faces[k].labels[group] for group in groups]
                values = [v for t in told for v in (t.name, f"{t.confidence:.3f}")]
                with table.open("a", encoding="utf-8") as file:
                    file.write(tables.text_of([[names[k], *values]]))
                bar.update()
    return names


@dataclass(frozen=True)
class _Plan:
    """What faces are to be made, as `synthesize` explains; checked."""

    n: int
    seed: int
    expression: str | None
    resolution: int | None
    variation: float
    folder: str | os.PathLike[str] | None
    like: str | None
    to: str | None
    amount: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", checked_seed(self.seed))
        if self.n < 1:
            raise CountError(f"count must be at least 1, got {self.n}")
        if not 0 < self.variation <= 1:
            raise SynthesisError(f"variation must be in (0, 1], got {self.variation}")
        if not 0 <= self.amount <= 1:
            raise SynthesisError(f"amount must be in [0, 1], got {self.amount}")
        if self.to is not None and self.like is None:
            raise SynthesisError(f"a way to {self.to} begins at a face: give its name by `like`")
        for name in filter(None, (self.like, self.to)):
            _named(name)
        if self.expression not in (None, *self.differences):
            raise UnknownExpressionError(
                f"unknown expression {self.expression!r}; there are {', '.join(self.differences)}"
            )
        sizes = [self.model.resolution >> k for k in range(HALVINGS + 1)]
        if self.resolution not in (None, *sizes):
            raise UnknownSizeError(
                f"unsupported texture size {self.resolution} x {self.resolution}; "
                f"there are {', '.join(map(str, sizes))}"
            )

    @functools.cached_property
    def differences(self) -> dict[str, NDArray[np.float32]]:
        """What each expression adds, where one is asked for."""
        if self.expression is None:
            return {}
        if self.folder is None:
            return expressions.released()
        return expressions.load(Path(self.folder) / expressions.FILE)

    @functools.cached_property
    def model(self) -> ReleasedModel:
        """The generator."""
        folder = released_models.folder() if self.folder is None else Path(self.folder)
        if self.expression is None:
            return load_first(folder, ("faces", "textures"))
        return load_first(folder, ("faces",), at_rest=True)

    @property
    def settings(self) -> dict[str, str | int | float | None]:
        """What the faces depend on, beside count and seed."""
        names = ["expression", "resolution", "variation", "like", "to", "amount"]
        names += ["n"] * (self.to is not None)  # the steps of a way
        return {"weights": self.model.digest} | {name: getattr(self, name) for name in names}

    @functools.cached_property
    def latents(self) -> torch.Tensor:
        """One for each face."""
        if self.like is None:
            return self.model.latents(self.n, self.seed)
        first = self._latent(self.like)
        if self.to is not None:
            return great_circle(first, self._latent(self.to), self.n)
        share = float(np.sqrt(1 - self.amount**2))  # so that all are as likely as any
        return share * first + self.amount * self.model.latents(self.n, self.seed)

    def _latent(self, name: str) -> torch.Tensor:
        """The latent vector of a face by its name."""
        seed, number = _named(name)
        return self.model.latents(number + 1, seed)[number]

    @property
    def kind(self) -> str:
        """What the names of the faces have in common."""
        found = f"{self.seed}" if self.expression is None else f"{self.seed}-{self.expression}"
        if self.like is None:
            return found
        first, last = (name and name.removeprefix("face-") for name in (self.like, self.to))
        return f"{first}-to-{last}" if self.to else f"{first}-like-{found}"

    @property
    def batches(self) -> list[range]:
        """The numbers of the faces that are made at a time."""
        return [range(k, min(k + BATCH, self.n)) for k in range(0, self.n, BATCH)]

    def make(self, some: range) -> list[Face]:
        """The faces of a batch."""
        z = self.latents[some.start : some.stop]
        at_rest = self.expression is not None and self.model.tells_rest
        made = self.model.make(z, self.variation, resolution=self.resolution, neutral=at_rest)
        uv, template = self.model.uv, self.model.template
        added = 0 if self.expression is None else self.differences[self.expression]
        detail = [None] * len(z) if made.displacement is None else made.displacement
        return [
            Face(v + added, t, uv, template, d)
            for v, t, d in zip(made.geometry, made.textures, detail, strict=True)
        ]


def _named(name: str) -> tuple[int, int]:
    """The seed and the number of a face by its name. Raises `SynthesisError`."""
    found = re.fullmatch(r"face-(\d+)(?:-[^-]+)?-(\d{4,})", name)
    if not found:
        raise SynthesisError(
            f"{name!r} is not the name of a face that a seed makes, such as face-0-0003"
        )
    return int(found[1]), int(found[2])


def _settle(path: Path, settings: dict[str, str | int | float | None]) -> None:
    """Note what faces are made with, and refuse to mix them with others."""
    text = json.dumps(settings, indent=1, default=np.generic.item) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise SynthesisError(
            f"{path.parent} holds faces that were made with other settings: see {path.name}; choose"
            " another folder or seed, or remove them"
        )
    write_text(path, text)


def _finished(table: Path, columns: list[str]) -> set[str]:
    """The names of faces that are there; others lose their lines. A new table gets its header."""
    rows: list[list[str]] = []
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(columns)][1:]
    there = [r for r in rows if all((table.parent / f"{r[0]}{s}").exists() for s in SUFFIXES)]
    write_text(table, tables.text_of([columns, *there]))
    return {row[0] for row in there}
