"""Text files as people's editors and shells write them."""

import json
import os
from pathlib import Path


class EncodingError(ValueError):
    """A text file whose encoding cannot be told."""


def read(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 where its first bytes say so.

    A byte order mark is left out. Raises `EncodingError`, which names the line, and OSError.
    """
    content = Path(path).read_bytes()
    encoding = json.detect_encoding(content)  # by a mark, or by the zeros in the first letters
    try:
        text = content.decode(encoding)
        before, zero, _ = text.partition("\0")
        if not zero:
            return text
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
    line = len(f"{before}.".splitlines())
    raise EncodingError(f"{path}, line {line}: not in {encoding.upper()}; save the file as UTF-8")
