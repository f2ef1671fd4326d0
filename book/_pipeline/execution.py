"""Executes chapters with papermill, in parallel, and keeps their outputs by what went into them.

A chapter's outputs are kept under a key of its code, the parameters, the package's source and the
versions it stands on, but not of its prose: a corrected sentence costs no computation.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import filelock

from _pipeline.chapters import ROOT, BookError, plain, say, write

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
KERNEL_CONFIG = """\
c.Application.log_level = "ERROR"
c.HistoryManager.enabled = False
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Software": None}}
"""


def versions(root: Path) -> dict[str, str]:
    """Give the installed version of everything that pyproject.toml lists."""
    listed = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in listed]
    return {"python": sys.version, **{name: importlib.metadata.version(name) for name in names}}


def code(chapter: Path) -> list[tuple[str, bool]]:
    """Return the source of each of a chapter's code cells, and whether it takes the parameters."""
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    return [
        ("".join(cell["source"]), "parameters" in cell["metadata"].get("tags", []))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def key(chapter: Path, parameters: dict[str, Any], root: Path = ROOT) -> str:
    """Return a digest of everything that a chapter's outputs depend on.

    Reference results lie in the package, but come out of the chapters and do not go in, and nor do
    data cards. A chapter that shows real data depends on which of it is at hand.
    """
    from facesynth.people import real_data

    digest = hashlib.sha256()
    if "real_data" in chapter.read_text(encoding="utf-8"):
        digest.update(json.dumps(real_data.at_hand()).encode())
    digest.update(json.dumps([code(chapter), parameters, versions(root), KERNEL_CONFIG]).encode())
    read = [path for name in ("lib", "data") for path in (root / name).rglob("*")]
    for path in sorted([*read, *(root / "benchmarks").glob("*_peers.py")]):
        apart = "__pycache__" in path.parts or ".egg-info" in str(path) or path.suffix == ".md"
        if path.is_file() and not apart and not path.match("results/reference_*.json"):
            digest.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_environment(root: Path, build: Path) -> dict[str, str]:
    """Return the environment of the kernels: one thread, no user's settings, offline plotly.

    They may keep the bytecode of what they import, which containers often forbid: without it, every
    kernel spends ten seconds on compiling PyTorch and the others anew.
    """
    profile = build / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    config = profile / "ipython_kernel_config.py"
    if not config.exists() or config.read_text() != KERNEL_CONFIG:
        write(config, KERNEL_CONFIG)
    return {
        **dict.fromkeys(ONE_THREAD, "1"),
        "IPYTHONDIR": str(build / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PLOTLY_RENDERER": "plotly_mimetype",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(str(root / name) for name in ("lib", "benchmarks")),
    }


def execute(chapter: Path, parameters: dict[str, Any], root: Path, folder: Path) -> float | None:
    """Execute one chapter into `folder`, unless it is there; return the seconds that it took.

    Raises BookError with the traceback when a cell raises.
    """
    import papermill

    # Two builds at once, or a test beside a build, wait for each other instead of doing it twice.
    with filelock.FileLock(folder.parent / f"{chapter.stem}.lock"):
        if folder.exists():
            return None
        say(f"{chapter.stem}: started")
        start = time.monotonic()
        partial = folder.parent / f"{chapter.stem}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "files").mkdir(parents=True)
        try:
            papermill.execute_notebook(
                str(chapter),
                str(partial / "notebook.ipynb"),
                parameters=parameters,
                kernel_name="python3",
                # The kernel's directory, not papermill's `cwd`: that one is of the whole process.
                resources={"metadata": {"path": str(partial / "files")}},
                progress_bar=False,
            )
        except papermill.PapermillExecutionError as error:
            trace = plain("\n".join(error.traceback))
            raise BookError(f"{chapter.stem} failed in cell {error.cell_index}:\n{trace}") from None
        for older in folder.parent.glob(f"{chapter.stem}-*"):
            shutil.rmtree(older)
        os.replace(partial, folder)
        return time.monotonic() - start


def execute_all(
    todo: list[Path], parameters: dict[str, Any], root: Path, build: Path, workers: int
) -> dict[Path, Path]:
    """Execute the chapters in parallel; return the folder with each one's outputs.

    Every chapter gets its turn even when another fails, so that one run shows all the failures.
    """
    executed = build / "executed" / parameters["preset"]
    executed.mkdir(parents=True, exist_ok=True)
    folders = {c: executed / f"{c.stem}-{key(c, parameters, root)}" for c in todo}
    waiting = [chapter for chapter in todo if not folders[chapter].exists()]
    for chapter in todo:
        if chapter not in waiting:
            say(f"{chapter.stem}: cached")
    if not waiting:
        return folders
    import matplotlib.font_manager  # noqa: F401  built here once, not by every kernel at once

    os.environ.update(kernel_environment(root, build))
    failures, times = [], {}
    pool = ThreadPoolExecutor(workers)  # the work is done in the kernels, which are processes
    # From last to first: the first have workers of their own, and leave no core idle at the end.
    jobs = {pool.submit(execute, c, parameters, root, folders[c]): c for c in reversed(waiting)}
    try:
        for job in as_completed(jobs):
            name = jobs[job].stem
            try:
                seconds = job.result()
                say(f"{name}: cached" if seconds is None else f"{name}: done in {seconds:.0f} s")
                times[name] = seconds or 0.0
            except BookError as error:
                say(f"{name}: FAILED")
                failures.append(str(error))
    except KeyboardInterrupt:
        say("interrupted")
        os._exit(130)  # without waiting for the chapters: a kernel ends when its parent is gone
    if failures:
        raise BookError("\n\n".join(failures))
    say(f"where {sum(times.values()):.0f} s of the chapters went:")
    for name, seconds in sorted(times.items(), key=lambda item: -item[1]):
        say(f"{seconds:6.0f} s  {seconds / max(sum(times.values()), 1):4.0%}  {name}")
    return folders
