"""The paper's claims, whose texts and rules `claims.toml` holds in the paper's order.

A rule is one or more tests of numbers, each against a margin that is written down, such as
`recall less < 0.05`. Where the 95 % interval of a number lies beyond the margin on the side that is
claimed, a test passes; where all of it lies on the other side, the test fails; else the data are
too few to tell. The interval is over what the claim is about: people, or training runs.

And every rule has a control, for which the claim is false by construction: copies of training
scans, say, or shuffled pairs. A rule that its control passes decides nothing.
"""

import importlib
import inspect
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from operator import attrgetter
from string import Formatter

from facesynth.evaluation.measured import Numbers

CONTROL = ", control"  # after the name of a number: the same, measured on the control


@dataclass(frozen=True)
class Comparison:
    """A test of a number against a margin."""

    number: str
    sign: str  # "<" or ">"
    margin: float

    @classmethod
    def parse(cls, text: str) -> "Comparison":
        """Read `recall less < 0.05`. Raises ValueError for anything else."""
        found = re.fullmatch(r"(\S.*\S) ([<>]) (-?[\d.]+)", text)
        if not found:
            raise ValueError(f"{text!r} is not a test: write NAME < MARGIN or NAME > MARGIN")
        return cls(found[1], found[2], float(found[3]))

    def passes(self, numbers: Numbers) -> bool | None:
        """Whether a number passes; None where its interval holds the margin."""
        number = numbers[self.number]
        return (number.is_above if self.sign == ">" else number.is_below)(self.margin)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; the head of `claims.toml` explains the texts."""

    name: str  # identifies the claim on the page and in links
    source: str
    says: str
    rule: str
    paper: str
    chapter: str
    figure: str
    code: str
    here: str
    unit: str = ""
    control: str = ""
    tests: tuple[Comparison, ...] = ()  # all must pass; none, nor a control: ours cannot tell

    @cached_property
    def needs(self) -> set[str]:
        """Names of the numbers that are shown, and of those that are tested."""
        shown = {name for _, name, _, _ in Formatter().parse(self.here) if name is not None}
        tested = {test.number for test in self.tests}
        return shown | tested | {name + CONTROL for name in tested}

    def line(self) -> tuple[str, int]:
        """The file of `code`, from the source root on, and the line where it begins."""
        module, _, name = self.code.partition(":")
        of = attrgetter(name)(importlib.import_module(module))
        of = getattr(of, "fget", of)  # a property's function
        return module.replace(".", "/") + ".py", inspect.getsourcelines(of)[1]


def _claims() -> tuple[Claim, ...]:
    text = (resources.files("facesynth.claims") / "claims.toml").read_text(encoding="utf-8")
    return tuple(
        Claim(name, tests=tuple(map(Comparison.parse, told.pop("tests", ()))), **told)
        for name, told in tomllib.loads(text).items()
    )


CLAIMS = _claims()
