"""The population before the virtual scanner: scans of people who do not exist.

The one place that takes our own faces to what the rest of the package reads: a source of scans for
`dataset.building.build`, and a folder of scans as anybody's.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm

from facesynth.dataset import aligned_scan
from facesynth.dataset.sources import TABLE, DatasetError, Entry
from facesynth.files import tables
from facesynth.files.atomic import write_text
from facesynth.files.integers import check_jobs, checked_seed
from facesynth.population import EXPRESSIONS, paint, sample
from facesynth.population.expression import sample_expressions
from facesynth.population.identity import sample_faces
from facesynth.scans import Scan
from facesynth.virtual_scanner.scanner import scan

CODE = ("population/*.*", "virtual_scanner/*.py")  # of the package: what the scans depend on


@dataclass(frozen=True)
class Subject:
    """One subject, who makes all expressions before the scanner.

    resolution : of the texture that is photographed, in pixels along its side.
    """

    entries: tuple[Entry, ...]
    seed: int
    number: int
    resolution: int

    def digest(self) -> str:
        """Tells nothing: the source's settings say what a subject's scans depend on."""
        return f"subject {self.number}"

    def scans(self) -> Iterator[Scan]:
        """The scans, in the order of `EXPRESSIONS`."""
        identities, _ = sample_faces(1, self.seed, self.number)
        faces = sample_expressions(identities, self.seed, self.number)[0][0].astype(np.float32)
        for k, (face, entry) in enumerate(zip(faces, self.entries, strict=True)):
            texture, relief = paint(self.seed, self.number, self.resolution, face, whole=True)
            seed = [self.seed, self.number, k]
            yield scan(face, texture, relief=relief, seed=seed, name=entry.name)


@dataclass(frozen=True)
class OpenWorld:
    """The first subjects of a population, each in all expressions."""

    n_subjects: int
    seed: int = 0
    resolution: int = 256
    n_jobs: int = -1

    def __post_init__(self) -> None:
        """Raise `SeedError` and `JobsError`."""
        object.__setattr__(self, "seed", checked_seed(self.seed))
        check_jobs(self.n_jobs)

    def parts(self) -> dict[str, Subject]:
        """The subjects. Raises `DatasetError` for impossible numbers."""
        if self.n_subjects < 1:
            raise DatasetError(f"the number of subjects must be at least 1, got {self.n_subjects}")
        if self.seed < 0 or not 64 <= self.resolution <= 1024:
            raise DatasetError(
                "subjects are painted at 64 to 1024 pixels, from seed 0 up; got "
                f"{self.resolution} pixels and seed {self.seed}"
            )
        labels = sample(self.n_subjects, self.seed, n_jobs=self.n_jobs).labels
        parts = {}
        for number, row in enumerate(labels):
            told = {key: str(row[key]) for key in labels.dtype.names or ()}
            name = f"{number:04d}"
            entries = tuple(Entry(f"{name}/{e}", name, e, told) for e in EXPRESSIONS)
            parts[name] = Subject(entries, self.seed, number, self.resolution)
        return parts

    def settings(self) -> dict[str, Any]:
        """What the scans depend on."""
        return {"seed": self.seed, "painted": self.resolution, "world": aligned_scan.code(CODE)}

    def write(self, folder: str | os.PathLike[str], *, progress: bool = True) -> int:
        """Write the scans as OBJ files with their photographs, and the table of who they show.

        What is there is not made again. Returns the number of scans. Raises `DatasetError` and
        `ScanFileError`.
        """
        folder, parts = Path(folder), self.parts()
        entries = [entry for part in parts.values() for entry in part.entries]
        jobs = (joblib.delayed(_write)(part, folder) for part in parts.values())
        done = joblib.Parallel(self.n_jobs, return_as="generator_unordered")(jobs)
        with tqdm(total=len(entries), unit=" scans", desc="scanning", disable=not progress) as bar:
            for some in done:
                bar.update(some)
        rows = [(e.name, e.subject, e.expression, *e.labels.values()) for e in entries]
        header = ("scan", "subject", "expression", *entries[0].labels)
        write_text(folder / TABLE, tables.text_of([header, *rows]))
        return len(entries)


def _write(part: Subject, folder: Path) -> int:
    paths = [folder / f"{entry.name}.obj" for entry in part.entries]
    if not all(path.exists() for path in paths):
        for path, made in zip(paths, part.scans(), strict=True):
            made.save(path)
    return len(paths)
