"""Shows textured faces that are turned by hand in the pages, without a network: for myst-nb.

A `rendering.Turntable` becomes a `div` with its files, its text alternative and a still picture;
`_static/turntable.js` puts model-viewer in the picture's place, where the browser has WebGL.
"""

import json
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer, load_mime_renders

from facesynth.rendering.turning import MIME


class TurntableFigure(MimeRenderPlugin):
    """Renders a turntable as the last expression of a cell."""

    mime_priority_overrides: ClassVar = [("*", MIME, 0)]  # before the plotly figure beside it

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the face as HTML, or None for any other kind of output."""
        if inline or data.mime_type != MIME:
            return None
        shown: Any = data.content
        alt = data.cell_metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        for script in ("model-viewer.min.js", "turntable.js"):
            renderer.add_js_file(script, script, {"defer": "defer"})
        return [nodes.raw(text=html(shown, alt.strip()), format="html", classes=["output"])]


def html(shown: dict[str, Any], alt: str) -> str:
    """What `turntable.js` makes a viewer of, and what is seen where it cannot."""
    files = {name: value for name, value in shown.items() if name != "poster"}
    content = json.dumps(files).replace("</", "<\\/")  # "</" would end the script element
    return (
        f'<div class="turntable"><img src="{shown["poster"]}" alt="{escape(alt)}">'
        f'<script type="application/json">{content}</script></div>'
    )


def setup(app: Any) -> dict[str, bool]:
    """Add the renderer to myst-nb's."""
    load_mime_renders().append(TurntableFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
