"""Which chapters the book has, and each one's two files: the text and the notebook made from it."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[2]

HEADER = {
    "jupytext": {
        "notebook_metadata_filter": "-jupytext.text_representation.jupytext_version",
        "text_representation": {"extension": ".md", "format_name": "myst"},
    },
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
PAGE_WIDTH = ("--line-length", "80")  # the columns of code that a page shows without scrolling
COLAB_CELL = """\
# In Colab, install the package; anywhere else, do nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "facesynth @ git+{url}\""""


class BookError(Exception):
    """The book cannot be built; the message says which file is at fault and what to do."""


def toc_files(node: Any) -> Iterator[str]:
    """Yield the pages that a table of contents names, in their order."""
    for key in ("root", "file"):
        if key in node:
            yield node[key]
    for key in ("parts", "chapters", "sections"):
        for child in node.get(key, ()):
            yield from toc_files(child)


def read_yaml(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def chapters(root: Path = ROOT, only: str = "") -> list[Path]:
    """List the notebooks that `_toc.yml` names, in the order of the book.

    With `only`, those whose name begins so. Raises BookError when there is none, or when a
    chapter's text is missing.
    """
    named = [root / name for name in toc_files(read_yaml(root / "_toc.yml")) if ".ipynb" in name]
    found = [path for path in named if path.stem.startswith(only)]
    if not found:
        raise BookError(f"no chapter begins with {only!r}: {', '.join(c.stem for c in named)}")
    for path in found:
        if not path.with_suffix(".md").exists():
            raise BookError(f"_toc.yml names {path.name}, but {path.with_suffix('.md')} is missing")
    return found


def paired(text: Path, root: Path = ROOT) -> tuple[str, str]:
    """Return what a chapter's .md and .ipynb should hold, given its .md.

    The header and the Colab cell are made uniform and the code is formatted, so that both files
    depend on the chapter alone.
    """
    notebook = jupytext.read(text)
    notebook.metadata = nbformat.from_dict(HEADER)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not cells or "remove-cell" not in cells[0].metadata.get("tags", []):
        raise BookError(f"{text.name}: the first code cell must be Colab's, tagged remove-cell")
    cells[0].source = COLAB_CELL.format(url=read_yaml(root / "_config.yml")["repository"]["url"])
    formatted = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "format",
            *PAGE_WIDTH,
            f"--stdin-filename={text.stem}.ipynb",
        ],
        input=notebook_text(notebook),
        capture_output=True,
        text=True,
        cwd=root,
    )
    if formatted.returncode:
        raise BookError(f"{text.name}: {formatted.stderr.strip()}")
    notebook = nbformat.reads(formatted.stdout, 4)
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{digest}-{seen[digest]}"  # from the content: stable, and unique in the file
    return jupytext.writes(notebook, fmt="md:myst"), notebook_text(notebook)


def notebook_text(notebook: Any) -> str:
    """Return a notebook as the text of an .ipynb file."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write(path: Path, content: str) -> None:
    """Write a text file beside its place, then move it there."""
    beside = path.with_name(f".{path.name}.partial")
    beside.write_text(content, encoding="utf-8")
    os.replace(beside, path)


def sync(root: Path = ROOT, only: str = "") -> None:
    """Bring the .md and the .ipynb of the chapters in step."""
    for chapter in chapters(root, only):
        text = chapter.with_suffix(".md")
        for path, content in zip((text, chapter), paired(text, root), strict=True):
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                write(path, content)
                say(f"wrote {path.relative_to(root)}")


def plain(text: str) -> str:
    """Return a program's output without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"[book] {line}\n")  # in one piece: chapters report from several threads
    sys.stdout.flush()
