"""The tables beside this module: what the population's numbers are, not how they are used."""

import tomllib
from importlib import resources
from typing import Any


def table(name: str) -> dict[str, Any]:
    """The content of a TOML file beside this module."""
    return tomllib.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))
