"""Executes the chapters and builds the book. `make book` and `make chapters` run this file.

A chapter is `book/NN_name.md`, the MyST text notebook that people edit, with `book/NN_name.ipynb`,
the same without outputs, which papermill executes and Colab opens.

    md -> ipynb          `--sync`; the text is the source, the notebook follows it
    ipynb -> outputs     papermill, in parallel, kept in build/executed under a key of what went in
    outputs -> stage     a copy of the book's sources, with the outputs put into the notebooks
    stage -> build/html  jupyter-book; swapped in whole, and only when nothing failed

A file that a chapter writes to its working directory travels with its page.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import filelock

from _pipeline import results
from _pipeline.chapters import ROOT, BookError, chapters, paired, say, sync
from _pipeline.execution import execute_all
from _pipeline.pages import render, stage
from facesynth.presets import PRESETS


def build_book(
    root: Path,
    parameters: dict[str, Any],
    *,
    only: str = "",
    pages: bool = True,
    output: Path | None = None,
    workers: int = 1,
    numbers: str = "",
) -> None:
    """Execute the chapters whose name begins with `only` and build the pages.

    With `numbers`, "keep" what they recorded as the reference, or "check" it against that.
    """
    todo = chapters(root, only)
    for chapter in todo:
        text = chapter.with_suffix(".md")
        now = tuple(p.read_text(encoding="utf-8") if p.exists() else "" for p in (text, chapter))
        if now != paired(text, root):
            raise BookError(f"{text.name} and {chapter.name} are not in step: run `make chapters`")
    build = root / "build"
    # A part of the book is a preview: it never takes the place of the whole.
    html = output or build / ("preview" if only else "html")
    values = ", ".join(f"{name} {value}" for name, value in parameters.items())
    say(f"{values}; chapters: {len(todo)}, {workers} at a time")
    folders = execute_all(todo, parameters, root, build, workers)
    if numbers == "keep":
        results.keep(folders, parameters, root)
    if numbers == "check":
        results.check(folders, parameters, root)
    if not pages:
        return
    with filelock.FileLock(build / "pages.lock"):
        previous = html.with_name(f"{html.name}.previous")
        if previous.exists() and not html.exists():  # killed between the two moves of `render`
            os.replace(previous, html)
        staged = build / "stage"
        shutil.rmtree(staged, ignore_errors=True)
        stage(root, folders, parameters, staged, preview=bool(only))
        render(staged, html, strict=not only)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Execute the chapters and build the book.")
    parser.add_argument("--preset", default="standard", choices=list(PRESETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="NN", help="only chapters that begin so")
    parser.add_argument("--execute-only", action="store_true", help="do not build the pages")
    parser.add_argument("--output", type=Path, help="where the pages go (default: build/html)")
    parser.add_argument(
        "--numbers",
        default="",
        choices=["", "check", "keep"],
        help="check what the chapters recorded against data/results, or keep it there",
    )
    parser.add_argument("--sync", action="store_true", help="write each .ipynb from its .md, stop")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        if options.sync:
            sync(root, options.only)
        else:
            parameters = {"preset": options.preset, "seed": options.seed}
            build_book(
                root,
                parameters,
                only=options.only,
                pages=not options.execute_only,
                output=options.output,
                workers=options.workers,
                numbers=options.numbers,
            )
    except BookError as error:
        print(f"\n{error}\n\n[book] failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
