"""Verdicts on the paper's claims.

Each chapter records the numbers that it measured with `record`; none is typed by hand. The page
`claims` and the index read them with `read` and judge each claim of the ledger by its rule. If a
number is missing, its claim has no verdict and the book is not built.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Formatter

from facesynth.claims.ledger import CLAIMS, CONTROL, Claim
from facesynth.evaluation.measured import Numbers, packed, unpacked
from facesynth.files.atomic import write_text

FOLDER = "results"  # beside a chapter


class UnknownClaimError(ValueError):
    """No claim has this name."""


class MissingResultError(ValueError):
    """A number that a claim needs is missing or not finite."""


class Word(StrEnum):
    """What becomes of a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    UNTESTABLE = "not testable here"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    here     our numbers, in words
    control  the control's numbers, in words
    """

    claim: Claim
    word: Word
    here: str
    control: str = ""


def record(chapter: str, preset: str, seed: int, numbers: Numbers) -> None:
    """Write a chapter's numbers into the folder `results` of the working directory.

    Raises `MissingResultError` if a number that a claim of this chapter needs is missing or not
    finite, and `WriteError`.
    """
    for claim in CLAIMS:
        if claim.chapter == chapter:
            judge(claim, numbers)
    content = {"chapter": chapter, "preset": preset, "seed": seed, "numbers": packed(numbers)}
    write_text(Path(FOLDER) / f"{chapter}.json", json.dumps(content, indent=1) + "\n")


def read(folder: Path) -> dict[str, Numbers]:
    """Read the numbers of all chapters: {chapter: numbers}.

    Raises `MissingResultError` for a damaged file.
    """
    found: dict[str, Numbers] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found[content["chapter"]] = unpacked(content["numbers"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MissingResultError(
                f"{path} is damaged ({error!r}): execute its chapter again"
            ) from error
    return found


def claim(name: str) -> Claim:
    """The claim of this name. Raises `UnknownClaimError`."""
    known = {claim.name: claim for claim in CLAIMS}
    if name not in known:
        raise UnknownClaimError(f"unknown claim {name!r}; known are {', '.join(known)}")
    return known[name]


def judge(claim: Claim, numbers: Numbers) -> Verdict:
    """Decide a claim by its chapter's numbers. Raises `MissingResultError`.

    Reproduced if all its tests pass, and contradicted if one fails; undecided otherwise, or if its
    control passes all of them, too.
    """
    for name in sorted(claim.needs):
        if name not in numbers or not numbers[name].is_finite:
            was = f"is {numbers[name]:g}" if name in numbers else "is missing"
            raise MissingResultError(
                f"claim {claim.name!r} needs the number {name!r}, which {was} in the results of "
                f"chapter {claim.chapter}: see the chapter's last cell"
            )
    here = claim.here.format_map(numbers)
    if not claim.tests:
        return Verdict(claim, Word.UNTESTABLE, here)
    of_control = {test.number: numbers[test.number + CONTROL] for test in claim.tests}
    told = f"{claim.control}: {_told(claim, of_control)}"
    if _decided(claim, of_control) is Word.REPRODUCED:
        told = f"{told}. It passes, too: the rule tells nothing"
        return Verdict(claim, Word.UNDECIDED, here, told)
    return Verdict(claim, _decided(claim, numbers), here, told)


def _told(claim: Claim, of_control: Numbers) -> str:
    """The control's numbers in the words of ours, where it has them all."""
    formats = {name: spec for _, name, spec, _ in Formatter().parse(claim.here) if name}
    if formats.keys() <= of_control.keys():
        return claim.here.format_map(of_control)
    return ", ".join(
        f"{name} {format(number, formats.get(name) or '.3g')}"
        for name, number in of_control.items()
    )


def _decided(claim: Claim, numbers: Numbers) -> Word:
    passed = [test.passes(numbers) for test in claim.tests]
    if all(passed):
        return Word.REPRODUCED
    return Word.CONTRADICTED if False in passed else Word.UNDECIDED


def verdicts(results: Mapping[str, Numbers]) -> list[Verdict]:
    """Judge all claims, in the paper's order. Raises `MissingResultError`."""
    for claim in CLAIMS:
        if claim.chapter not in results:
            raise MissingResultError(
                f"claim {claim.name!r} needs chapter {claim.chapter}, which has recorded no "
                "numbers: execute the chapter"
            )
    return [judge(claim, results[claim.chapter]) for claim in CLAIMS]
