"""What the renderers of interactive figures share: data in a page, which a script draws."""

import json
from typing import Any, ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer


def embedded(content: Any) -> str:
    """A script element that holds data."""
    text = json.dumps(content).replace("</", "<\\/")  # "</" would end the element
    return f'<script type="application/json">{text}</script>'


class InteractiveFigure(MimeRenderPlugin):
    """Renders one kind of output as HTML, with its text alternative and scripts that draw it."""

    mime: ClassVar[str]
    scripts: ClassVar[tuple[str, ...]]

    @staticmethod
    def html(content: Any, alt: str) -> str:
        """Return the element that the scripts look for."""
        raise NotImplementedError

    @classmethod
    def handle_mime(
        cls, renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the figure as HTML, or None for any other kind of output."""
        if inline or data.mime_type != cls.mime:
            return None
        alt = data.cell_metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        for script in cls.scripts:
            renderer.add_js_file(script, script, {"defer": "defer"})
        text = cls.html(data.content, alt.strip())
        return [nodes.raw(text=text, format="html", classes=["output"])]
