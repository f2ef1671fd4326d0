"""Numbers that chapters measure, each with its error and what may differ between machines."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

TOLERANCE = 0.02  # relative, between machines: linear algebra and rendering, not chance
LEAST = 1e-3  # to which no number is told more exactly


@dataclass(frozen=True)
class Measured:
    """A number that a chapter measured.

    value      in the unit that the claim's text names
    error      half of its 95 % interval; 0 where nothing about it is random
    tolerance  by how much of its value it may differ between machines, relative
    """

    value: float
    error: float = 0.0
    tolerance: float = TOLERANCE

    @classmethod
    def between(
        cls, value: float, low: float, high: float, tolerance: float = TOLERANCE
    ) -> "Measured":
        """A number and its 95 % interval, of which half is the error."""
        return cls(float(value), float(high - low) / 2, tolerance)

    def __format__(self, spec: str) -> str:
        """Write the number, with its error if there is one: 3.28 ± 0.14."""
        number = format(self.value, spec)
        if not self.error:
            return number
        if spec.endswith("%"):
            return f"{number} ± {format(self.error, spec)}"
        return f"{number} ± {format(self.error, spec.replace('+', ''))}"

    def below(self, other: "Measured") -> bool:
        """Whether this is less than another by more than both errors together."""
        return self.value + self.error < other.value - other.error


Numbers = Mapping[str, Measured]


def packed(numbers: Numbers) -> dict[str, Any]:
    """Return numbers as JSON has them."""
    return {name: asdict(number) for name, number in numbers.items()}


def unpacked(content: Mapping[str, Any]) -> Numbers:
    """Return what `packed` was given. Raises TypeError where something else was packed."""
    return {name: Measured(**number) for name, number in content.items()}


def deviations(reference: Mapping[str, Numbers], found: Mapping[str, Numbers]) -> Iterator[str]:
    """Yield a row of a Markdown table for each number that left the band of its reference.

    The band is the reference's tolerance, of the larger of its value and its error, and `LEAST` or
    more. A number that is in one of both only has left it, too.
    """
    for chapter in sorted({*reference, *found}):
        ours, theirs = found.get(chapter, {}), reference.get(chapter, {})
        for name in sorted({*ours, *theirs}):
            a, b = theirs.get(name), ours.get(name)
            if a is None or b is None:
                was, now = (("missing" if x is None else f"{x.value:.6g}") for x in (a, b))
                yield f"| {chapter} | {name} | {was} | {now} | |"
                continue
            band = max(a.tolerance * max(abs(a.value), a.error), LEAST)
            if not abs(a.value - b.value) <= band:
                yield f"| {chapter} | {name} | {a.value:.6g} | {b.value:.6g} | ± {band:.2g} |"
