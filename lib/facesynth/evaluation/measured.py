"""Numbers that chapters measure, each with its interval and its tolerance between machines."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

TOLERANCE = 0.02  # relative, between machines: linear algebra and rendering, not chance
LEAST = 1e-3  # the smallest tolerance of any number, absolute


@dataclass(frozen=True)
class Measured:
    """A number that a chapter measured.

    value      in the unit that the claim's text names
    low, high  its 95 % confidence interval; None if it is not random
    tolerance  relative difference allowed between machines
    """

    value: float
    low: float | None = None
    high: float | None = None
    tolerance: float = TOLERANCE

    @classmethod
    def between(cls, value: float, low: float, high: float, tolerance: float = TOLERANCE) -> Self:
        """A number with its interval. Raises ValueError where low exceeds high."""
        if low > high:
            raise ValueError(f"an interval from {low} to {high}")
        return cls(float(value), float(low), float(high), tolerance)

    @classmethod
    def about(cls, value: float, error: float, tolerance: float = TOLERANCE) -> Self:
        """A number with half of its interval, where that is symmetric."""
        return cls.between(value, value - error, value + error, tolerance)

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: of no width if it is not random."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high

    @property
    def is_finite(self) -> bool:
        """Whether the number and its interval are."""
        return all(map(math.isfinite, (self.value, *self.interval)))

    def __format__(self, spec: str) -> str:
        """Write the number, with its interval if there is one: 3.28 (3.14 to 3.41)."""
        number = format(self.value, spec)
        if self.low is None:
            return number
        low, high = (format(end, spec) for end in self.interval)
        return f"{number} ({low} to {high})"

    def is_above(self, margin: float) -> bool | None:
        """Whether it exceeds a margin: with all of its interval, or none of it; or None."""
        low, high = self.interval
        return True if low > margin else False if high <= margin else None

    def is_below(self, margin: float) -> bool | None:
        """Whether it falls below a margin: with all of its interval, or none of it; or None."""
        low, high = self.interval
        return True if high < margin else False if low >= margin else None


Numbers = Mapping[str, Measured]


def packed(numbers: Numbers) -> dict[str, Any]:
    """Return numbers as JSON has them."""
    return {name: asdict(number) for name, number in numbers.items()}


def unpacked(content: Mapping[str, Any]) -> Numbers:
    """Invert `packed`. Raises TypeError for content that `packed` did not write."""
    return {name: Measured(**number) for name, number in content.items()}


def deviations(reference: Mapping[str, Numbers], found: Mapping[str, Numbers]) -> Iterator[str]:
    """Yield a row of a Markdown table for each number outside the tolerance of its reference.

    The tolerance is relative to the larger of the reference's value and half of its interval, and
    at least `LEAST`. A number that is missing on one side is reported, too.
    """
    for chapter in sorted({*reference, *found}):
        ours, theirs = found.get(chapter, {}), reference.get(chapter, {})
        for name in sorted({*ours, *theirs}):
            a, b = theirs.get(name), ours.get(name)
            if a is None or b is None:
                was, now = (("missing" if x is None else f"{x.value:.6g}") for x in (a, b))
                yield f"| {chapter} | {name} | {was} | {now} | |"
                continue
            low, high = a.interval
            band = max(a.tolerance * max(abs(a.value), (high - low) / 2), LEAST)
            if not abs(a.value - b.value) <= band:
                yield f"| {chapter} | {name} | {a.value:.6g} | {b.value:.6g} | ± {band:.2g} |"
