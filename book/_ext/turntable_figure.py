"""Shows textured faces that are turned by hand in the pages, without a network: for myst-nb.

A `rendering.Turntable` becomes a `div` with its files, its text alternative and a still picture;
`_static/turntable.js` puts model-viewer in the picture's place, where the browser has WebGL.
"""

from html import escape
from typing import Any, ClassVar

from embedded import InteractiveFigure, embedded
from myst_nb.core.render import load_mime_renders

from facesynth.rendering.turning import MIME


class TurntableFigure(InteractiveFigure):
    """Renders a turntable as the last expression of a cell."""

    mime_priority_overrides: ClassVar = [("*", MIME, 0)]  # before the plotly figure beside it
    mime = MIME
    scripts = ("model-viewer.min.js", "late.js", "turntable.js")

    @staticmethod
    def html(content: Any, alt: str) -> str:
        """What `turntable.js` makes a viewer of, and what is seen where it cannot."""
        files = {name: value for name, value in content.items() if name != "poster"}
        return (
            f'<div class="turntable"><img src="{content["poster"]}" alt="{escape(alt)}">'
            f"{embedded(files)}</div>"
        )


def setup(app: Any) -> dict[str, bool]:
    """Add the renderer to myst-nb's."""
    load_mime_renders().append(TurntableFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
