"""A folder of scans, or another source, becomes a data set: Sections 5.1 to 5.3 and 6 of the paper.

What `aligned_scan` does for some scans is done for all of them. What is finished is kept, so that
the same call resumes a run that was stopped, and the files are the same byte for byte, whatever the
number of workers and interruptions.

Scans are spread over processes by joblib. A cluster takes them by one setting around the same call,
`with joblib.parallel_config(backend="dask"):`, where all its machines see the same folders.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import joblib
import numpy as np
import psutil
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from facesynth.dataset import aligned_scan
from facesynth.dataset.aligned_scan import Task
from facesynth.dataset.dataset import (
    COLUMNS,
    FAILED,
    QUALITY,
    SCANS,
    SETTINGS,
    TEMPLATE,
    Dataset,
    load,
    scans_file,
)
from facesynth.dataset.packing import DISPLACEMENT, LOSSLESS
from facesynth.dataset.sources import DatasetError, Entry, Folder, Part, ScanFile, Source
from facesynth.files import tables, texts
from facesynth.files.atomic import WriteError, write_text
from facesynth.files.integers import check_jobs
from facesynth.mapping.density import settled
from facesynth.mapping.image_mapping import check_resolution
from facesynth.template import Template, standard

MEMORY = 0.8  # of what is free, that workers may take


def build(
    source: str | os.PathLike[str] | Source,
    out: str | os.PathLike[str],
    *,
    template: Template | None = None,
    resolution: int = 256,
    quality: int = 95,
    displacement: str = "full",
    n_jobs: int = -1,
    progress: bool = True,
) -> Dataset:
    """Make a data set of all scans of a source.

    source      a folder of scans at any depth, with what `Scan.load` reads beside them; or a
                `Source`, such as `Folder(path, unit="cm")`
    out         the data set's folder, made if need be. What is finished in it is kept, and made
                again only if it is damaged or the scan's files have changed
    template    what is aligned with each scan, by default the project's own
    resolution  pixels along the side of the canonical images
    quality     of textures and displacements as WebP images, 1 to 100; 100 loses nothing
    displacement  how much of the scans' detail is kept: "full", a value for every pixel, some 4 kB
                a scan at 256 x 256; "half", one for each 2 x 2 pixels, a quarter of that; or "none"
    n_jobs      worker processes, as in joblib (-1: one for each core)
    progress    whether to show a bar

    A scan that cannot be used does not end the run: `Dataset.failed` says why, and the next run
    tries it again. Of those that can, `Dataset.doubtful` says what should be looked at. Raises
    `DatasetError` when there are no scans, or `out` was made with other settings or is being
    written by another run; `MeshError` for an impossible resolution; and `WriteError` for a full
    disk: what was finished before stays.
    """
    check_jobs(n_jobs)
    if not 1 <= quality <= LOSSLESS:
        raise DatasetError(f"quality must be from 1 to {LOSSLESS}, got {quality}")
    check_displacement(displacement, resolution)
    if isinstance(source, str | os.PathLike):
        source = Folder(Path(source))
    resolution, parts, to = check_resolution(resolution), source.parts(), Path(out).absolute()
    face = settled(standard() if template is None else template)
    tasks = {
        name: Task(part, scans_file(to, name), to / TEMPLATE, resolution, quality, displacement)
        for name, part in parts.items()
    }
    settings = {"resolution": resolution, "quality": quality, "displacement": displacement}
    settings["template"] = face.digest
    with locked(to):
        settle(to, settings | source.settings() | aligned_scan.made_by())
        if not (to / TEMPLATE).exists():
            face.save(to / TEMPLATE)
        failed = _make_missing(tasks, n_jobs, progress)
        made = {name: part.entries for name, part in parts.items() if name not in failed}
        told = [(entry.name, one) for name in made for entry, one in _told(tasks[name])]
        write_text(to / QUALITY, _lines(dict(told)))
        write_text(to / FAILED, tables.text_of([("name", "reason"), *failed.items()]))
        write_text(to / SCANS, tables.text_of(_rows(made)))
        for left in to.rglob(".*.part"):  # of runs that were killed
            left.unlink(missing_ok=True)
    return load(out)


def _affordable(n_jobs: int, parts: Iterable[Part]) -> int:
    """As many processes as there is memory for, if the largest scans come together."""
    shares = sorted((part.memory() for part in parts if isinstance(part, ScanFile)), reverse=True)
    free = MEMORY * psutil.virtual_memory().available
    asked = joblib.effective_n_jobs(n_jobs)
    fit = int((np.cumsum(shares[:asked]) <= free).sum()) or 1
    if not shares or fit >= min(asked, len(shares)):
        return n_jobs
    tqdm.write(
        f"{fit} of {asked} processes: an alignment of the largest scans takes about "
        f"{shares[0] / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free",
        file=sys.stderr,
    )
    return fit


def check_displacement(displacement: str, resolution: int) -> None:
    """Raise `DatasetError` for one that is not known, or that the resolution does not allow."""
    every = DISPLACEMENT.get(displacement)
    if every is None or (every and resolution % every):
        raise DatasetError(
            f"displacement {displacement!r} at {resolution} pixels; known are "
            f"{', '.join(DISPLACEMENT)}, and an odd resolution has no half"
        )


def _told(task: Task) -> Iterator[tuple[Entry, Any]]:
    """What was measured of a file's scans."""
    with np.load(task.result, allow_pickle=False) as content:
        told = content["quality"]
    return zip(task.part.entries, map(json.loads, told), strict=True)


def _lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each scan."""
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _make_missing(tasks: dict[str, Task], n_jobs: int, progress: bool) -> dict[str, str]:
    """Make what is not there; return the reasons of what failed, by name."""
    done = joblib.Parallel(n_jobs)(joblib.delayed(aligned_scan.is_done)(t) for t in tasks.values())
    missing = [name for name, is_done in zip(tasks, done, strict=True) if not is_done]
    if not missing:
        return {}
    n_jobs = _affordable(n_jobs, [tasks[name].part for name in missing])
    # In a worker that has done little so far, loky takes what its first scan keeps for a leak.
    get_reusable_executor(reuse=True).shutdown()
    scans = max(len(task.part.entries) for task in tasks.values())  # of a task: what is counted
    bar = tqdm(
        total=len(tasks),
        initial=sum(done),
        unit=" scans",
        unit_scale=scans if scans > 1 else False,
        desc="data set",
        disable=not progress,
    )
    failed: dict[str, str] = {}
    with bar:
        while missing:
            try:
                reasons = _Parallel(bar, n_jobs)(
                    joblib.delayed(aligned_scan.make)(tasks[name]) for name in missing
                )
            except BrokenExecutor:  # a worker was killed, and what the others did is not told
                missing = [
                    n for n in missing if n not in failed and not aligned_scan.is_done(tasks[n])
                ]
                several = joblib.effective_n_jobs(n_jobs)
                for name in missing[:several]:  # it was busy with one of these
                    if reason := _alone(tasks[name]):
                        failed[name] = reason
                missing = missing[several:]
                continue
            told = zip(missing, reasons, strict=True)
            failed |= {name: reason for name, reason in told if reason is not None}
            break
    return failed


def _alone(task: Task) -> str | None:
    """Make a file with no other at the same time; return why it could not be made, if so."""
    try:
        (reason,) = joblib.Parallel(2)([joblib.delayed(aligned_scan.make)(task)])  # not in ours
    except BrokenExecutor:
        task.result.unlink(missing_ok=True)
        return (
            "the process that aligned it was killed, probably since it needed more memory than "
            "there is: make its mesh or its images smaller"
        )
    return reason


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
def locked(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be."""
    lock = filelock.FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise DatasetError(
            f"another process is writing to {out}; wait until it has finished"
        ) from None
    except OSError as error:
        raise WriteError(f"cannot write to {out}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def settle(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings into a new data set; in an old one, refuse others than its own."""
    path = out / SETTINGS
    if not path.exists():
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        found = dict(json.loads(texts.read(path)))
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path} is damaged ({error}); choose another folder") from error
    compared = settings.keys() - {aligned_scan.TOLD}
    if differ := [key for key in settings if key in compared and found.get(key) != settings[key]]:
        had, asked = (", ".join(f"{k} {d.get(k)!r}" for k in differ) for d in (found, settings))
        raise DatasetError(
            f"{out} was made with {had}; now given: {asked} (code and template are digests); "
            "choose another folder, or the settings it was made with"
        )


def _rows(made: Mapping[str, Sequence[Entry]]) -> list[tuple[str, ...]]:
    """The table of scans, with its header."""
    entries = [(file, entry) for file, some in made.items() for entry in some]
    labels = list(dict.fromkeys(label for _, entry in entries for label in entry.labels))
    rows = [
        (e.name, file, e.subject, e.expression, *(e.labels.get(label, "") for label in labels))
        for file, e in entries
    ]
    return [(*COLUMNS, *labels), *rows]
