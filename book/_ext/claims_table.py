"""The directive `claims`: a table of the paper's claims and what became of each.

    ```{claims}
    :short:
    ```

It reads what the chapters recorded, which lies staged beside them. With `:short:` a row holds no
more than a verdict and a link to the whole row on the page `claims`. A number that is missing is a
warning, and fails a strict build.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from facesynth.claims import judgement as claims
from facesynth.claims.ledger import Claim

MARKS = {
    claims.Word.REPRODUCED: "✓",
    claims.Word.CONTRADICTED: "✗",
    claims.Word.UNDECIDED: "?",
    claims.Word.UNTESTABLE: "○",
}
logger = logging.getLogger(__name__)


class ClaimsTable(SphinxDirective):
    """Puts the table where the directive stands."""

    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {"short": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the table, or of nothing where a number is missing."""
        try:
            found = claims.verdicts(claims.read(Path(self.env.srcdir) / "book" / claims.FOLDER))
        except claims.MissingResultError as error:
            logger.warning("%s", error, location=self.get_location())
            return []
        rows = short(found) if "short" in self.options else whole(found, self._code)
        return self.parse_text_to_nodes("\n".join(rows))

    def _code(self, claim: Claim) -> str:
        """The address of the line where a claim's code begins."""
        options = self.config.html_theme_options
        file, line = claim.line()
        return f"{options['repository_url']}/blob/{options['repository_branch']}/lib/{file}#L{line}"


def counted(found: list[claims.Verdict]) -> str:
    """How many claims have which verdict, in a sentence."""
    words = [verdict.word for verdict in found]
    return f"Of {len(words)} claims, " + ", ".join(
        f"**{words.count(kind)}** {'is' if words.count(kind) == 1 else 'are'} {kind}"
        for kind in claims.Word
    )


def short(found: list[claims.Verdict]) -> Iterator[str]:
    """Markdown of the table in short."""
    yield counted(found) + ".\n"
    yield "| the paper claims | here |\n|---|---|"
    for verdict in found:
        claim = verdict.claim
        word = verdict.word.replace(" ", "\N{NO-BREAK SPACE}")
        yield (
            f"| {claim.says} | {MARKS[verdict.word]}&nbsp;{{ref}}`{word} <claim-{claim.name}>` |"
        )


def whole(found: list[claims.Verdict], code: Any) -> Iterator[str]:
    """Markdown of the whole ledger, a section for each claim."""
    yield counted(found) + ".\n"
    for verdict in found:
        claim = verdict.claim
        control = f"| the control | {verdict.control} |\n" if verdict.control else ""
        over = f"| intervals over | {claim.unit} |\n" if claim.unit else ""
        yield (
            f"(claim-{claim.name})=\n"
            f"**{claim.says}**\n\n"
            f"| {MARKS[verdict.word]}&nbsp;{verdict.word.replace(' ', '&nbsp;')} | "
            f"{claim.source} |\n|---|---|\n"
            f"| the paper | {claim.paper} |\n"
            f"| here | {verdict.here} |\n"
            f"| the rule | {claim.rule} |\n{control}{over}"
            f"| see | {{ref}}`the figure <{claim.figure}>` · "
            f"{{doc}}`the chapter <{claim.chapter}>` · [the code]({code(claim)}) |\n"
        )


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("claims", ClaimsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
