"""Files that are whole or not there."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class WriteError(OSError):
    """A file could not be written; nothing half-written is left."""


def write_whole(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Write beside and rename. Raises `WriteError`, which says where and why."""
    path = Path(path)
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # short, however long the file's
    beside = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            write(file)
        os.replace(beside, path)
    except OSError as error:
        raise WriteError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another "
            "folder, and run again: what was finished is kept"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # where not even a name could be made
            beside.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes, as `write_whole` does."""
    write_whole(path, lambda file: file.write(content))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text in UTF-8, as `write_whole` does."""
    write_bytes(path, text.encode())
