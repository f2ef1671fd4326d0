"""The directive `generator`: a released generator that runs in the reader's browser.

    ```{generator}
    :alt: A face

    It has {parameters:,} weights.
    ```

Its content is text with numbers of the build, by the names of `_pipeline.in_browser.facts`; without
`:alt:`, it is text alone. That program makes the scripts, too, which `_static/generator.js` loads
when a face is asked for.
"""

import json
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from embedded import embedded
from sphinx.util.docutils import SphinxDirective

SCRIPTS = ("model-viewer.min.js", "late.js", "turntable.js", "generator.js")
SENTENCE = "Your browser cannot run the generator or show its face: this is a picture of one."


class Generator(SphinxDirective):
    """Puts the first face, the controls and the text where the directive stands."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        static = Path(self.env.srcdir, "book/_static")
        facts = json.loads((static / "generator.json").read_text(encoding="utf-8"))
        up = "../" * self.env.docname.count("/") + "_static"
        text = self.parse_text_to_nodes("\n".join(self.content).format(**facts))
        if "alt" not in self.options:
            return text
        return [nodes.raw(text=html(facts, self.options["alt"], up), format="html"), *text]


def html(facts: dict[str, Any], alt: str, static: str) -> str:
    """What `generator.js` makes a viewer with controls of, and what is seen where it cannot."""
    names = ("face", "latent", "code", "step", "expressions")
    return (
        f'<div class="generator"><img src="{facts["face"]["poster"]}" '
        f'alt="{escape(alt)}"><p>{SENTENCE}</p>'
        f"{embedded({name: facts[name] for name in names})}</div>"
        + "".join(f'<script defer src="{static}/{script}"></script>' for script in SCRIPTS)
    )


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("generator", Generator)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
