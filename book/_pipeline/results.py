"""Numbers that the chapters record, kept as a reference and compared with it.

The reference of a preset is `data/results/reference_PRESET.json`: every number with its tolerance,
and the machine and the versions that made it. A build on another machine must come to the same
numbers within their tolerances.
"""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _pipeline.chapters import BookError, chapters, say, write
from _pipeline.execution import versions
from facesynth.claims import judgement as claims
from facesynth.evaluation.measured import Numbers, deviations, packed, unpacked

HEAD = "| chapter | number | reference | here | band |\n|---|---|---:|---:|---:|\n"


def path(root: Path, preset: str) -> Path:
    """Return where the reference of a preset is."""
    return root / "data" / "results" / f"reference_{preset}.json"


def recorded(folders: dict[Path, Path]) -> dict[str, Numbers]:
    """Return what executed chapters recorded: {chapter: numbers}."""
    found: dict[str, Numbers] = {}
    for folder in folders.values():
        found |= claims.read(folder / "files" / claims.FOLDER)
    return found


def keep(folders: dict[Path, Path], parameters: dict[str, Any], root: Path) -> None:
    """Write the numbers of executed chapters as the reference of their preset.

    Those of the book's other chapters stay. Raises BookError where they cannot be read.
    """
    file = path(root, parameters["preset"])
    kept = {chapter: packed(numbers) for chapter, numbers in recorded(folders).items()}
    others = {chapter.stem for chapter in chapters(root)} - {chapter.stem for chapter in folders}
    if others and file.exists():
        old = _reference(file, parameters)["chapters"]
        kept |= {chapter: numbers for chapter, numbers in old.items() if chapter in others}
    content = {
        **parameters,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "versions": versions(root),
        "chapters": dict(sorted(kept.items())),
    }
    write(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    say(f"wrote {file.relative_to(root)}")


def check(folders: dict[Path, Path], parameters: dict[str, Any], root: Path) -> None:
    """Compare the numbers of executed chapters with the reference of their preset.

    Raises BookError with a table of those that left their bands, or when there is no reference of
    this preset and seed.
    """
    content = _reference(path(root, parameters["preset"]), parameters)
    reference = {chapter: unpacked(numbers) for chapter, numbers in content["chapters"].items()}
    found = recorded(folders)
    executed = {chapter.stem for chapter in folders}
    rows = list(deviations({c: n for c, n in reference.items() if c in executed}, found))
    if rows:
        raise BookError(
            f"{len(rows)} numbers left the bands around those of {content['machine']}, "
            f"{content['date']}:\n\n{HEAD}" + "\n".join(rows)
        )
    say(f"{sum(map(len, found.values()))} numbers are within their bands")


def _reference(file: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Read what `keep` wrote for these parameters. Raises BookError."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        made_with = {name: content[name] for name in parameters}
        for numbers in content["chapters"].values():
            unpacked(numbers)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BookError(
            f"{file} is missing or damaged ({error!r}): say `--numbers keep` for the whole book"
        ) from None
    if made_with != parameters:
        raise BookError(f"{file} was made with {made_with}, not with {parameters}")
    return content
