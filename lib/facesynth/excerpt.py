"""Shows a method's own code in a chapter, taken from the library, so that the two cannot part."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

LONGEST = 15  # lines that a reader takes in at once
WIDEST = 84  # columns that a page shows without scrolling


class ExcerptError(ValueError):
    """There is no such excerpt, or it is too large to be shown."""


class Excerpt:
    """Lines of the library's code; a notebook shows them highlighted, and says whence they are."""

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code

    def __repr__(self) -> str:
        return self.code  # not its address, which differs from run to run

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```\n\n*From* `{self.name}`"


def excerpt(of: Callable[..., Any], first: str = "", last: str = "") -> Excerpt:
    """The code of a function, method or class, without its docstring.

    first, last  text in the first and in the last line that are shown; without them, all lines

    Raises `ExcerptError` when no line holds one of them, or when more than 15 lines are left, or
    more than 84 columns.
    """
    name = f"{of.__module__}.{of.__qualname__}"
    source = textwrap.dedent(inspect.getsource(of))
    lines = source.splitlines()
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    if ast.get_docstring(node) is not None:
        documentation = node.body[0]
        del lines[documentation.lineno - 1 : documentation.end_lineno]
    start = _place(lines, first, 0, name)
    stop = _place(lines, last, start, name) if last else len(lines) - 1
    shown = lines[start : stop + 1]
    if len(shown) > LONGEST:
        raise ExcerptError(f"{name}: {len(shown)} lines are more than {LONGEST}: choose a part")
    code = textwrap.dedent("\n".join(shown)).strip("\n")
    for line in code.splitlines():
        if len(line) > WIDEST:
            raise ExcerptError(f"{name}: more than {WIDEST} columns, {len(line)}: {line.strip()}")
    return Excerpt(name, code)


def _place(lines: list[str], text: str, start: int, name: str) -> int:
    """The first line from `start` that holds a text."""
    for place in range(start, len(lines)):
        if text in lines[place]:
            return place
    raise ExcerptError(f"{name}: no line holds {text!r}")
