"""Rows x, y, z from tables as people and programs write them, with whichever delimiter."""

import csv
import itertools
import math
import re
from typing import Any

_MOST = 500  # lines of a table
_MISSING = ("", "-", "na", "n/a", "none", "null")  # cells of unknown landmarks, beside nan


def table_rows(text: str) -> list[tuple[int, list[str]]]:
    """The cells of points in a table, with the numbers of their lines.

    Columns are delimited by tabs, semicolons, commas or blanks, whichever give the most numbers;
    where it is not commas, these may be decimal points. Raises ValueError for too many lines.
    """
    head, _, body = text.partition("{")
    if "n_points" in head:  # the form of ibug
        text = "\n" * head.count("\n") + body.partition("}")[0]
    text = re.sub(r"(?m)^#\s*columns\s*=", "", text)  # the headings of 3D Slicer
    text = re.sub(r"(?i)[(\[]\s*[cm]?m\s*[)\]]", "", text)  # units
    lines = [
        (number, line if '"' in line else re.sub(r"\s#\s.*", "", line))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith(("#", "%", "//"))
    ]
    if len(lines) > _MOST:
        raise ValueError(f"{len(lines)} lines are too many for landmarks")
    tables = [_split([line for _, line in lines], delimiter) for delimiter in "\t;, "]
    rows = max(tables, key=lambda rows: sum(min(3, _numbers(row)) for row in rows))
    named = next(((k + 1, axes) for k, row in enumerate(rows) if (axes := _axes(row))), None)
    titles = itertools.takewhile(_is_title, rows)
    data, axes = named or (len(list(titles)), None)
    columns = axes or _columns(rows[data:])
    return [
        (number, [row[c] for c in columns])
        for (number, _), row in zip(lines[data:], rows[data:], strict=True)
    ]


def value(cell: Any) -> float | None:
    """The number in a cell, NaN for none; None for what is no number."""
    try:
        return math.nan if cell is None else float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _split(lines: list[str], delimiter: str) -> list[list[str]]:
    """Cells of lines, as many in each; for blanks, which names may contain, the last are right."""
    rows = []
    for line in lines:
        line = " ".join(line.split()) if delimiter == " " else line
        (cells,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
        cells = [cell.strip() for cell in cells]
        cells = [cell if delimiter == "," else cell.replace(",", ".") for cell in cells]
        rows.append(["nan" if cell.lower() in _MISSING else cell for cell in cells])
    width = max(map(len, rows), default=0)
    absent = [[""] * (width - len(row)) for row in rows]
    pairs = zip(absent, rows, strict=True)
    return [a + row if delimiter == " " else row + a for a, row in pairs]


def _is_title(row: list[str]) -> bool:
    return not _numbers(row) and re.search(r"[^\W\d_]", "".join(row)) is not None


def _numbers(row: list[str]) -> int:
    return sum(value(cell) is not None for cell in row)


def _axes(heading: list[str]) -> list[int] | None:
    """Which columns are x, y and z by their headings, such as pos_x, or 3D Slicer's l, p, s."""
    words = [re.findall("[a-z]+", name.lower()) for name in heading]
    for axes in ("xyz", "lps", "ras"):
        found = [[c for c, of in enumerate(words) if axis in of] for axis in axes]
        if all(found):
            return [at[0] for at in found]
    return None


def _columns(rows: list[list[str]]) -> list[int]:
    """Which columns are x, y and z without headings: all that hold numbers, but for an index."""
    columns = list(zip(*rows, strict=True))
    values = [[value(cell) for cell in column] for column in columns]
    held = [
        c
        for c, of in enumerate(values)
        if 2 * of.count(None) < len(of) and any(v is not None and not math.isnan(v) for v in of)
    ]
    index = len(held) == 4 and all(cell.isdecimal() for cell in columns[held[0]])
    return held[1:] if index else held
