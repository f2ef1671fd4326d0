"""Shows plotly figures in the pages without a network: a renderer for myst-nb.

A figure becomes a `div` with its data and its text alternative; `_static/plotly_figure.js` draws it
with the one copy of plotly that the book carries, in the colours of the page's theme.
"""

import json
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer, load_mime_renders

MIME = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 450  # pixels, plotly's own


class PlotlyFigure(MimeRenderPlugin):
    """Renders `fig` as the last expression of a cell."""

    mime_priority_overrides: ClassVar = [("*", MIME, 1)]

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the figure as HTML, or None for any other kind of output."""
        if inline or data.mime_type != MIME:
            return None
        figure: Any = data.content
        layout = {k: v for k, v in figure["layout"].items() if k not in ("template", "width")}
        alt = data.cell_metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        # "</" would end the script element.
        content = json.dumps({"data": figure["data"], "layout": layout}).replace("</", "<\\/")
        for script in ("plotly.min.js", "plotly_figure.js"):
            renderer.add_js_file(script, script, {"defer": "defer"})
        html = (
            f'<div class="plotly-figure" role="group" aria-label="{escape(alt.strip())}" '
            f'style="height: {layout.get("height", DEFAULT_HEIGHT)}px">'
            f'<script type="application/json">{content}</script></div>'
        )
        return [nodes.raw(text=html, format="html", classes=["output"])]


def setup(app: Any) -> dict[str, bool]:
    """Add the renderer to myst-nb's; it otherwise looks for them in installed packages."""
    load_mime_renders().append(PlotlyFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
