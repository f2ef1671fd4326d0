"""Units of length in files; inside the package everything is in mm."""

from typing import Literal

Unit = Literal["mm", "cm", "m"]
GivenUnit = Unit | float | Literal["auto"]  # a name, how many mm it is, or what the face tells
MM: dict[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
