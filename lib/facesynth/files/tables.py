"""Tables of comma-separated values."""

import csv
import io
import os
from collections.abc import Iterable

from facesynth.files import texts


def text_of(rows: Iterable[Iterable[object]]) -> str:
    """Rows as lines."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows(rows)
    return content.getvalue()


def read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """The rows of a file by column. Raises what `texts.read` does, and csv.Error if damaged."""
    return list(csv.DictReader(io.StringIO(texts.read(path), newline=""), strict=True))
