"""A folder of scans becomes a data set: Sections 5.1 to 5.3 and 6 of the paper, one after another.

What `aligned_scan` does for one scan is done for all of them. What is finished is kept, so that a
run that was stopped goes on where it was, and the files are the same byte for byte, whatever the
number of workers and interruptions. A data set's folder holds

    settings.json   what it was made with; other settings are refused
    template.npz    what was aligned with every scan
    scans/NAME.npz  of each scan: geometry, texture, valid, and a digest of the scan's files
    scans.json      the names of what succeeded, and why the others failed; written at the end
    rejected.txt    yours: names, one a line, that `load` leaves out

Scans are spread over processes by joblib. A cluster takes them by one setting around the same call,
`with joblib.parallel_config(backend="dask"):`, where all its machines see the same folders.
"""

import functools
import json
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import joblib
import numpy as np
from numpy.typing import DTypeLike, NDArray
from tqdm import tqdm

from facesynth.dataset import aligned_scan
from facesynth.dataset.aligned_scan import Task
from facesynth.files.atomic import WriteError, write_text
from facesynth.files.units import MM, Unit
from facesynth.mapping.image_mapping import check_resolution
from facesynth.scans.formats import READERS
from facesynth.template import Template, standard

SETTINGS, INDEX, REJECTED = "settings.json", "scans.json", "rejected.txt"
TEMPLATE = "template.npz"


class DatasetError(ValueError):
    """No data set can be made or read; the message says why and what to do."""


@dataclass(frozen=True)
class Dataset:
    """n aligned scans, in the order of their names. Arrays are read when first asked for.

    folder      of the files
    template    what was aligned with the scans
    resolution  R, pixels along the side of the images
    names       of the scans: their paths in the folder of scans, without suffix
    failed      name -> reason, of the scans that are not there
    """

    folder: Path
    template: Template
    resolution: int
    names: tuple[str, ...]
    failed: dict[str, str]

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def geometry(self) -> NDArray[np.float32]:
        """(n, m, 3) mm. Turned and moved on to the template, as the population is; true in size."""
        return self._gather("geometry", self.template.vertices.shape, np.float32)

    @functools.cached_property
    def textures(self) -> NDArray[np.uint8]:
        """(n, R, R, 3) sRGB. Invalid pixels are filled from around them, only to be looked at."""
        return self._gather("texture", (self.resolution, self.resolution, 3), np.uint8)

    @functools.cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(n, R, R), True where the scan shows the face."""
        return self._gather("valid", (self.resolution, self.resolution), np.bool_)

    def read(self, name: str) -> aligned_scan.Arrays:
        """One scan's `geometry`, `texture` and `valid`. Raises `DatasetError`."""
        path = _result(self.folder, name)
        try:
            return aligned_scan.read(path)
        except Exception as error:  # whatever a damaged file makes the reader stumble over
            raise DatasetError(
                f"{path} is missing or damaged ({error!r}); build the data set again: only what is "
                "not there is made"
            ) from error

    def _gather(self, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        gathered = np.empty((len(self), *shape), dtype)
        for row, name in zip(gathered, self.names, strict=True):
            row[...] = self.read(name)[key]
        return gathered


def build(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    template: Template | None = None,
    resolution: int = 256,
    n_jobs: int = -1,
    unit: Unit = "mm",
    progress: bool = True,
) -> Dataset:
    """Make a data set of all scans in a folder and the folders in it.

    folder      of .obj, .ply and .glb files, with what `Scan.load` reads beside them
    out         the data set's folder, made if need be. What is finished in it is kept, and made
                again only if it is damaged or the scan's files have changed
    template    what is aligned with each scan, by default the project's own
    resolution  pixels along the side of the canonical images
    n_jobs      worker processes, as in joblib (-1: one for each core)
    unit        of the scans' numbers: mm, cm or m
    progress    whether to show a bar

    A scan that cannot be used does not end the run: `Dataset.failed` says why, and the next run
    tries it again. Raises `DatasetError` when there are no scans, two have one name, or `out` was
    made with other settings or is being written by another run; `MeshError` for an impossible
    resolution; and `WriteError` for a full disk: what was finished before stays.
    """
    if unit not in MM:
        raise DatasetError(f"unit is {unit!r}; known are {', '.join(MM)}")
    resolution, scans, to = check_resolution(resolution), find(Path(folder)), Path(out).absolute()
    face = standard() if template is None else template
    tasks = {
        name: Task(path.absolute(), _result(to, name), to / TEMPLATE, resolution, unit)
        for name, path in scans.items()
    }
    with _locked(to):
        made_by = aligned_scan.made_by()
        _settle(to, {"resolution": resolution, "unit": unit, "template": face.digest, **made_by})
        if not (to / TEMPLATE).exists():
            face.save(to / TEMPLATE)
        failed = _make_missing(tasks, n_jobs, progress)
        names = [name for name in tasks if name not in failed]
        write_text(to / INDEX, _json({"names": names, "failed": failed}))
        for left in to.rglob(".*.part"):  # of runs that were killed
            left.unlink(missing_ok=True)
    return load(out)


def load(out: str | os.PathLike[str]) -> Dataset:
    """A data set that `build` has made, without the scans that its rejected.txt names.

    Raises `DatasetError` where there is none, or rejected.txt names unknown scans.
    """
    folder = Path(out)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        resolution, digest = settings["resolution"], settings["template"]
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        names, failed = index["names"], index["failed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder} holds no finished data set ({error!r}); build it, or let the run that was "
            "stopped go on by the same call"
        ) from error
    rejected = _rejected(folder / REJECTED)
    if unknown := rejected - {*names, *failed}:
        raise DatasetError(f"{folder / REJECTED} names no scans of the data set: {sorted(unknown)}")
    template = Template.load(folder / TEMPLATE)
    if template.digest != digest:
        raise DatasetError(
            f"{folder / TEMPLATE} is not the template that this data set was made with; put that "
            "one back, or build the data set anew in another folder"
        )
    return Dataset(
        folder, template, resolution, tuple(n for n in names if n not in rejected), failed
    )


def find(folder: Path) -> dict[str, Path]:
    """The scans in a folder and the folders in it, by name, sorted. Raises `DatasetError`."""
    kinds = ", ".join(READERS)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; name the one that holds the scans ({kinds})")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in READERS or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DatasetError(
                f"{found[name]} and {path} would have one name, {name}; keep one of them there"
            )
        found[name] = path
    if not found:
        raise DatasetError(f"no scans ({kinds}) lie in {folder} or the folders in it")
    return found


def _result(out: Path, name: str) -> Path:
    return out / "scans" / f"{name}.npz"


def _make_missing(tasks: dict[str, Task], n_jobs: int, progress: bool) -> dict[str, str]:
    """Make what is not there; return the reasons of what failed, by name."""
    done = joblib.Parallel(n_jobs)(joblib.delayed(aligned_scan.is_done)(t) for t in tasks.values())
    missing = [name for name, is_done in zip(tasks, done, strict=True) if not is_done]
    if not missing:
        return {}
    bar = tqdm(
        total=len(tasks), initial=sum(done), unit="scan", desc="data set", disable=not progress
    )
    try:
        with bar:
            reasons = _Parallel(bar, n_jobs)(
                joblib.delayed(aligned_scan.make)(tasks[name]) for name in missing
            )
    except BrokenExecutor as error:
        raise DatasetError(
            f"a worker process died, perhaps for lack of memory ({error}); run again with fewer "
            "jobs: what was finished is kept"
        ) from error
    return {n: reason for n, reason in zip(missing, reasons, strict=True) if reason is not None}


class _Parallel(joblib.Parallel):
    """Shows its progress on a bar: Dask's backend has no generator of results to go through."""

    def __init__(self, bar: "tqdm[Any]", n_jobs: int) -> None:
        super().__init__(n_jobs, batch_size=1)
        self._bar, self._shown = bar, 0

    def print_progress(self) -> None:
        """Show how many tasks are done; joblib calls it after each."""
        self._bar.update(self.n_completed_tasks - self._shown)
        self._shown = self.n_completed_tasks


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be."""
    lock = filelock.FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise DatasetError(f"another run is writing to {out}; wait until it has ended") from None
    except OSError as error:
        raise WriteError(f"cannot write to {out}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _settle(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings into a new data set; in an old one, refuse others than its own."""
    path = out / SETTINGS
    if not path.exists():
        write_text(path, _json(settings))
        return
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path} is damaged ({error}); choose another folder") from error
    if differ := [key for key in settings if found.get(key) != settings[key]]:
        had, asked = (", ".join(f"{k} {d.get(k)!r}" for k in differ) for d in (found, settings))
        raise DatasetError(
            f"{out} was made with {had}, and now it would be {asked} (code and template: "
            "digests); choose another folder, or what it was made with"
        )


def _rejected(path: Path) -> set[str]:
    """The names in rejected.txt; lines that begin with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
