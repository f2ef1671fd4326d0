"""Numbers that chapters measure, each with its error and its tolerance between machines."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

TOLERANCE = 0.02  # relative, between machines: linear algebra and rendering, not chance
LEAST = 1e-3  # the smallest tolerance of any number, absolute


@dataclass(frozen=True)
class Measured:
    """A number that a chapter measured."""

    value: float  # in the unit that the claim's text names
    error: float = 0.0  # half of its 95 % confidence interval; 0 if it is not random
    tolerance: float = TOLERANCE  # relative difference allowed between machines

    @classmethod
    def between(cls, value: float, low: float, high: float, tolerance: float = TOLERANCE) -> Self:
        """A number with its 95 % confidence interval, half of which is the error."""
        return cls(float(value), float(high - low) / 2, tolerance)

    def __format__(self, spec: str) -> str:
        """Write the number, with its error if there is one: 3.28 ± 0.14."""
        number = format(self.value, spec)
        if not self.error:
            return number
        unsigned = spec if spec.endswith("%") else spec.replace("+", "")
        return f"{number} ± {format(self.error, unsigned)}"

    def below(self, other: "Measured") -> bool:
        """Whether this is less than another by more than the sum of both errors."""
        return self.value + self.error < other.value - other.error


Numbers = Mapping[str, Measured]


def packed(numbers: Numbers) -> dict[str, Any]:
    """Return numbers as JSON has them."""
    return {name: asdict(number) for name, number in numbers.items()}


def unpacked(content: Mapping[str, Any]) -> Numbers:
    """Invert `packed`. Raises TypeError for content that `packed` did not write."""
    return {name: Measured(**number) for name, number in content.items()}


def deviations(reference: Mapping[str, Numbers], found: Mapping[str, Numbers]) -> Iterator[str]:
    """Yield a row of a Markdown table for each number outside the tolerance of its reference.

    The tolerance is relative to the larger of the reference's value and error, and at least
    `LEAST`. A number that is missing on one side is reported, too.
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
