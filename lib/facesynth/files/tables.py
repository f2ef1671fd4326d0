"""Tables of comma-separated values."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path


def text_of(rows: Iterable[Iterable[object]]) -> str:
    """Rows as lines."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows(rows)
    return content.getvalue()


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file by column. Raises OSError, and csv.Error for a damaged file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))
