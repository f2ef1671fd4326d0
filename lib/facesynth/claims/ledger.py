"""The rules that decide the paper's claims, whose texts `claims.toml` holds in the paper's order.

A rule is stricter than "ours points the same way": a difference counts only if it exceeds the
uncertainties of both sides together.
"""

import importlib
import inspect
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from operator import attrgetter
from string import Formatter

from facesynth.claims.measured import Measured, Numbers


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
    decide: Callable[[Numbers], bool | None]  # by the numbers shown; None where ours cannot tell

    @property
    def needs(self) -> set[str]:
        """Names of the numbers that are shown."""
        return {name for _, name, _, _ in Formatter().parse(self.here) if name is not None}

    def line(self) -> tuple[str, int]:
        """The file of `code`, from the source root on, and the line where it begins."""
        module, _, name = self.code.partition(":")
        of = attrgetter(name)(importlib.import_module(module))
        of = getattr(of, "fget", of)  # a property's function
        return module.replace(".", "/") + ".py", inspect.getsourcelines(of)[1]


def _fewer(*rows: tuple[str, str]) -> Callable[[Numbers], bool]:
    """Return a rule: the first number of each pair is below the second."""
    return lambda n: all(n[a].below(n[b]) for a, b in rows)


RULES: dict[str, Callable[[Numbers], bool | None]] = {
    "normal-prior": lambda n: Measured(0.6).below(n["apart"]),
    "smooth": lambda n: n["contrast few"].below(Measured(0.9)),
    "correlation": _fewer(("permuted", "unseen")),
    "mapping": _fewer(("eyes", "eyes before"), ("nose", "nose before"), ("lips", "lips before")),
    "no-red-circles": lambda n: (
        n["large"].below(Measured(0.01))
        and n["masked"].value <= 0.01
        and Measured(0.25).below(n["plain"])
    ),
    "masks-hide": lambda n: n["mask tells"].value < max(n["exchanged"].value, 0) + 0.01,
    "masks-worth": lambda n: n["difference"].below(Measured(0.0)),
    "masks-share": lambda n: None,
    "mirrors": lambda n: n["mirrored"].value <= n["nine in ten"].value,
    "geometry-gan": lambda n: all(n[k].value <= 0.05 for k in ("turned", "stretched", "far")),
    "least-squares": lambda n: all(
        Measured(0).below(n[f"{k} more"]) for k in ("likelihood", "nearest", "random")
    ),
    "similar-geometry": lambda n: n["least squares"].value <= 0.8 * n["mean"].value,
    "expressions": lambda n: n["rebuilt"].value <= n["moved"].value / 2,
    "neutral": _fewer(("neutral", "mean neutral")),
    "plate": lambda n: Measured(0.9).below(n["kept"]),
    "shifted-gaussian": lambda n: n["same"].below(n["middle"]) and n["p"].value > 0.01,
    "generalises": lambda n: n["generated to test"].value <= 1.1 * n["train to test"].value,
    "new-identities": lambda n: not n["held out taken"].below(n["taken"]),
    "table-1": lambda n: n["textures levels"].value == n["levels"].value,
    "table-2": lambda n: n["geometries levels"].value == n["geometry levels"].value,
    "table-3": _fewer(
        ("generated to train SWD", "3dmm to train SWD"),
        ("generated to test SWD", "3dmm to test SWD"),
    ),
    "t-sne": _fewer(("coverage 3dmm", "coverage")),
    "labels": _fewer(
        ("gender guessed", "gender"), ("ancestry guessed", "ancestry"), ("age guessed", "age")
    ),
}

_TEXTS = (resources.files("facesynth.claims") / "claims.toml").read_text(encoding="utf-8")
CLAIMS = tuple(
    Claim(name, **texts, decide=RULES[name]) for name, texts in tomllib.loads(_TEXTS).items()
)
