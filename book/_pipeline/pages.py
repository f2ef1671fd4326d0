"""Makes the pages: checks the outputs, stages the book, has jupyter-book build it, swaps it in.

What a page needs of a chapter (`problems`): one `parameters` cell; one figure a cell, matplotlib's
and plotly's alike, with its text alternative and its caption in the cell's metadata as
`mystnb.image.alt` and `mystnb.figure.caption`; no error and no stderr in the outputs.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from _pipeline import in_browser
from _pipeline.chapters import BookError, notebook_text, plain, read_yaml, say, toc_files
from _pipeline.in_browser import node_module
from facesynth.rendering.turning import MIME as TURNTABLE

PLOTLY = "application/vnd.plotly.v1+json"
INTERACTIVE = (PLOTLY, TURNTABLE)
GENERATOR = "book/generator"  # the page that runs a network
HEAVY = 100_000  # bytes of a picture of a page, above which it is compressed as a photograph is
QUALITY = 90  # of such a picture


def with_outputs(chapter: Path, folder: Path, parameters: dict[str, Any]) -> Any:
    """Return the chapter's notebook with the outputs of its execution put into its cells.

    Papermill's own cell, timestamps and ids stay behind: equal outputs make equal bytes. The
    parameters cell shows the values that were used.
    """
    notebook = nbformat.read(chapter, 4)
    executed = nbformat.read(folder / "notebook.ipynb", 4)
    ran = [
        cell
        for cell in executed.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, source in zip(cells, ran, strict=True):
        cell.outputs, cell.execution_count = source.outputs, source.execution_count
        if "parameters" in cell.metadata.get("tags", []):
            for name, value in parameters.items():
                cell.source = re.sub(
                    rf"^{name} = .*$", f"{name} = {json.dumps(value)}", cell.source, flags=re.M
                )
    return notebook


def problems(notebook: Any) -> Iterator[str]:
    """Yield what a page cannot be made of: see the convention at the top of this file."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    given = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(given) != 1 or not all(
        re.search(rf"^{name} = ", given[0], re.M) for name in ("preset", "seed")
    ):
        yield "there must be one cell tagged `parameters`, and it must set `preset` and `seed`"
    for number, cell in enumerate(cells, 1):
        where = f"code cell {number} ({cell.source.strip().splitlines()[0][:50]!r})"
        tags = cell.metadata.get("tags", [])
        shown = [output for output in cell.outputs if "data" in output]
        figures = [
            o for o in shown if any(m in INTERACTIVE or m.startswith("image/") for m in o.data)
        ]
        options = cell.metadata.get("mystnb", {})
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"{where} holds an error"
        if "remove-stderr" not in tags and any(o.get("name") == "stderr" for o in cell.outputs):
            yield f"{where} writes to stderr: {cell.outputs[0].get('text', '').strip()[:200]}"
        if figures and len(shown) != 1:
            yield f"{where} shows {len(shown)} outputs; a figure must be its cell's only one"
        if figures and not str(options.get("image", {}).get("alt", "")).strip():
            yield f"{where} draws a figure without a text alternative: set mystnb.image.alt"
        if figures and not str(options.get("figure", {}).get("caption", "")).strip():
            yield f"{where} draws a figure without a caption: set mystnb.figure.caption"


def bundled_scripts() -> dict[str, Path]:
    """Return the scripts that the pages load, from the installed packages: no CDN is asked."""
    viewer = node_module("@google/model-viewer") / "dist/model-viewer-umd.min.js"
    plotly = importlib.metadata.distribution("plotly")
    mathjax = importlib.metadata.distribution("sphinx-mathjax-offline")
    return {
        "model-viewer.min.js": viewer,
        "plotly.min.js": Path(str(plotly.locate_file("plotly/package_data/plotly.min.js"))),
        "tex-svg-full.js": Path(
            str(mathjax.locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"))
        ),
    }


def stage(
    root: Path,
    folders: dict[Path, Path],
    parameters: dict[str, Any],
    target: Path,
    *,
    preview: bool,
) -> None:
    """Copy the book's sources to `target`, with each chapter's outputs in its notebook.

    Raises BookError with the problems of all chapters.
    """
    apart = shutil.ignore_patterns(
        "__pycache__", "build.py", "package*.json", "_pipeline", *(f"{c.stem}.*" for c in folders)
    )
    shutil.copytree(root / "book", target / "book", ignore=apart)
    found = []
    for chapter, folder in folders.items():
        notebook = with_outputs(chapter, folder, parameters)
        found += [f"{chapter.stem}: {problem}" for problem in problems(notebook)]
        (target / "book" / chapter.name).write_text(notebook_text(notebook), encoding="utf-8")
        shutil.copytree(folder / "files", target / "book", dirs_exist_ok=True)
    if found:
        raise BookError("\n".join(found))
    for name, path in bundled_scripts().items():
        shutil.copy(path, target / "book" / "_static" / name)
    toc, config = read_yaml(root / "_toc.yml"), read_yaml(root / "_config.yml")
    if GENERATOR in toc_files(toc) and not preview:
        for path in in_browser.files(root / "build").iterdir():
            shutil.copy(path, target / "book" / "_static" / path.name)
    if preview:  # of some chapters: no parts, no links to the others
        toc = {"format": "jb-book", "root": toc["root"]}
        toc["chapters"] = [{"file": f"book/{chapter.name}"} for chapter in folders]
    values = ", ".join(f"{name} {value}" for name, value in parameters.items())
    config.setdefault("html", {})["extra_footer"] = f"<p>Computed with {values}.</p>"
    for name, content in {"_toc.yml": toc, "_config.yml": config}.items():
        (target / name).write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML


def fingerprint(folder: Path) -> str:
    """Return a digest of a staged book and of the program that makes pages of it."""
    digest = hashlib.sha256()
    for name in ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme"):
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def lighten(html: Path) -> None:
    """Turn heavy PNG pictures of pages into WebP ones, which weigh a fifth and stay transparent."""
    heavy = [p for p in (html / "_images").glob("*.png") if p.stat().st_size > HEAVY]
    for path in heavy:
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".webp"), quality=QUALITY)
        path.unlink()
    for page in html.rglob("*.html") if heavy else ():
        text = page.read_text(encoding="utf-8")
        for path in heavy:
            text = text.replace(f"_images/{path.name}", f"_images/{path.stem}.webp")
        page.write_text(text, encoding="utf-8")


def render(staged: Path, html: Path, *, strict: bool) -> None:
    """Build the pages of a staged book and swap them in; leave `html` alone on any warning."""
    start = time.monotonic()
    if html.exists() and not (html / ".fingerprint").exists():
        raise BookError(f"{html} is no book of this program's: it is not replaced")
    mark = fingerprint(staged)
    if html.exists() and (html / ".fingerprint").read_text() == mark:
        say(f"pages unchanged: {html / 'index.html'}")
        return
    say("building the pages")
    output = staged.with_name(f"{staged.name}-out")
    shutil.rmtree(output, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(staged)]
    command += ["--quiet", "--path-output", str(output), "--toc", str(staged / "_toc.yml")]
    command += ["-W", "-n", "--keep-going"] if strict else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not (output / "_build/html/index.html").exists():
        raise BookError(f"jupyter-book failed:\n{plain(done.stdout)}")
    lighten(output / "_build/html")
    (output / "_build/html/.fingerprint").write_text(mark)
    previous = html.with_name(f"{html.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    html.parent.mkdir(parents=True, exist_ok=True)
    if html.exists():
        os.replace(html, previous)
    os.replace(output / "_build/html", html)
    shutil.rmtree(previous, ignore_errors=True)
    shutil.rmtree(output)
    say(f"pages built in {time.monotonic() - start:.0f} s: {html / 'index.html'}")
