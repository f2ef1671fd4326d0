"""Where a data set's scans come from: a folder of files, or anything else with `Source`'s methods.

A source has parts, the units of work: a folder has its files, the book's open population its
subjects, each scanned in all expressions. What is finished of a part is kept.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from facesynth.files.units import MM, Unit
from facesynth.scans import Scan
from facesynth.scans.formats import READERS
from facesynth.scans.landmark_files import SUFFIXES as LANDMARKS
from facesynth.scans.wavefront import read_mtl

TABLE = "scans.csv"  # in a folder of scans, if its names do not say who is shown
UNKNOWN = "unknown"  # expression of a scan that lies in no folder of its subject
BESIDE = (*LANDMARKS, ".mtl", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")  # of its own name
NAMES_A_FILE = re.compile(rb"^(?:mtllib|comment\s+texturefile)\s+(.+?)\s*$", re.I | re.M)


class DatasetError(ValueError):
    """A data set cannot be made or read; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """What is known of one scan: its name, whom it shows, and how."""

    name: str
    subject: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)  # such as gender or age


class Part(Protocol):
    """Some scans that are made together, by a worker process that gets this object."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """One for each scan."""

    def digest(self) -> str:
        """Tells whether what `scans` yields is still the same."""

    def scans(self) -> Iterable[Scan]:
        """The scans, in the order of the entries."""


class Source(Protocol):
    """Scans by parts, whose names are paths without suffix."""

    def parts(self) -> Mapping[str, Part]:
        """All parts by name, sorted. Raises `DatasetError`."""

    def settings(self) -> dict[str, Any]:
        """What all parts depend on: a data set made with other settings is not completed."""


@dataclass(frozen=True)
class ScanFile:
    """A file with one scan."""

    entries: tuple[Entry, ...]
    path: Path
    unit: Unit

    def digest(self) -> str:
        """SHA-256 of the file and of those that are read with it, and their names."""
        path = self.path
        named = [found.decode() for found in NAMES_A_FILE.findall(path.read_bytes())]
        libraries = [path.parent / name for name in named if name.lower().endswith(".mtl")]
        images = [n for mtl in libraries if mtl.is_file() for n in read_mtl(mtl).values()]
        others = [path.parent / name.replace("\\", "/") for name in [*named, *images]]
        others += [path.parent / other.name for other in others]  # where only the folder differs
        digest = hashlib.sha256()
        for file in dict.fromkeys([path, *others, *(path.with_suffix(s) for s in BESIDE)]):
            if file.is_file():
                with file.open("rb") as content:
                    sha = hashlib.file_digest(content, "sha256").digest()
                digest.update(file.name.encode() + sha)
        return digest.hexdigest()

    def scans(self) -> list[Scan]:
        """The one scan. Raises `ScanError` and `MeshError`."""
        return [Scan.load(self.path, unit=self.unit)]


@dataclass(frozen=True)
class Folder:
    """All scans in a folder and the folders in it.

    path  of the folder. A table scans.csv in it may have the columns `scan` (path in the folder,
          without suffix), `subject`, `expression` and any labels. What it leaves empty is
          taken from the names: subject and expression are folder and file, as in ada/smile.obj; a
          scan outside of subfolders is a subject of its own, with unknown expression
    unit  of the scans' numbers: mm, cm or m
    """

    path: Path
    unit: Unit = "mm"

    def parts(self) -> dict[str, ScanFile]:
        """The scans' files by their paths without suffix. Raises `DatasetError`."""
        if self.unit not in MM:
            raise DatasetError(f"unit is {self.unit!r}; known are {', '.join(MM)}")
        files = find(self.path)
        told = self._table(set(files))
        return {
            name: ScanFile((_entry(name, told.get(name, {})),), path.absolute(), self.unit)
            for name, path in files.items()
        }

    def settings(self) -> dict[str, Any]:
        """The unit."""
        return {"unit": self.unit}

    def _table(self, names: set[str]) -> dict[str, dict[str, str]]:
        """Rows of the table by scan, if there is one."""
        path, found = self.path / TABLE, {}
        if not path.exists():
            return {}
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restkey="", restval="")
            if "scan" not in (rows.fieldnames or ()):
                raise DatasetError(f"{path} needs a column `scan`, has {rows.fieldnames}")
            for number, row in enumerate(rows, 2):
                name = row.pop("scan").strip()
                known = name if name in names else os.path.splitext(name)[0]
                if known not in names or known in found:
                    problem = "is listed twice" if known in found else "is not a scan in the folder"
                    raise DatasetError(f"{path}, line {number}: {name!r} {problem}")
                if "" in row:
                    raise DatasetError(f"{path}, line {number} has more values than the header")
                found[known] = {key: value.strip() for key, value in row.items()}
        return found


def _entry(name: str, told: dict[str, str]) -> Entry:
    *above, stem = name.split("/")
    subject, expression = ("/".join(above), stem) if above else (stem, UNKNOWN)
    labels = {k: v for k, v in told.items() if k not in ("subject", "expression")}
    return Entry(name, told.get("subject") or subject, told.get("expression") or expression, labels)


def find(folder: Path) -> dict[str, Path]:
    """The scans in a folder and the folders in it, by name, sorted. Raises `DatasetError`."""
    kinds = ", ".join(READERS)
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not a folder; give the one that contains the scans ({kinds})"
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in READERS or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DatasetError(
                f"{found[name]} and {path} have the same name, {name}; keep one of them"
            )
        found[name] = path
    if not found:
        raise DatasetError(f"no scans ({kinds}) in {folder} or its subfolders")
    return found
