"""Shows plotly figures in the pages without a network: a renderer for myst-nb.

A figure becomes a `div` with its data and its text alternative; `_static/plotly_figure.js` draws it
with the one copy of plotly that the book carries, in the colours of the page's theme.
"""

from html import escape
from typing import Any, ClassVar

from embedded import InteractiveFigure, embedded
from myst_nb.core.render import load_mime_renders

MIME = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 450  # pixels, plotly's own


class PlotlyFigure(InteractiveFigure):
    """Renders `fig` as the last expression of a cell."""

    mime_priority_overrides: ClassVar = [("*", MIME, 1)]
    mime = MIME
    scripts = ("plotly.min.js", "late.js", "plotly_figure.js")

    @staticmethod
    def html(content: Any, alt: str) -> str:
        """What `plotly_figure.js` draws into."""
        layout = {k: v for k, v in content["layout"].items() if k not in ("template", "width")}
        return (
            f'<div class="plotly-figure" role="group" aria-label="{escape(alt)}" '
            f'style="height: {layout.get("height", DEFAULT_HEIGHT)}px">'
            f"{embedded({'data': content['data'], 'layout': layout})}</div>"
        )


def setup(app: Any) -> dict[str, bool]:
    """Add the renderer to myst-nb's; it otherwise looks for them in installed packages."""
    load_mime_renders().append(PlotlyFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
