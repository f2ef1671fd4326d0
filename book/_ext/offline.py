"""Mends what the theme brings into the pages and a reader's browser or screen reader trips over."""

import re
from pathlib import Path
from typing import Any

# A font that is preloaded "crossorigin" is refused in a page that was opened as a file; the style
# sheet asks for the same fonts in a way that works.
PRELOADED_FONT = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
# Who has no mouse could not scroll a wide table.
WIDE_TABLE = '<div class="pst-scrollable-table-container"'


def without_thebe(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drop the scripts of thebe, which would run cells on a server, twice declared on each page."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, ()) if not is_thebe(file)]


def is_thebe(file: Any) -> bool:
    """Say whether a script or style sheet, by its name or its text, is thebe's."""
    return "thebe" in f"{file.filename} {file.attributes.get('body', '')}".lower()


def clean_up(app: Any, exception: Exception | None) -> None:
    """Let tables be scrolled by keys; drop preloaded fonts, and the theme's templates."""
    if exception:
        return
    for template in Path(app.outdir, "_static").glob("*webpack-macros.html"):
        template.unlink()
    for path in sorted(Path(app.outdir).rglob("*.html")):
        page = path.read_text(encoding="utf-8")
        page = page.replace(WIDE_TABLE, f'{WIDE_TABLE} tabindex="0"')
        path.write_text(PRELOADED_FONT.sub("", page), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Connect both; after the theme and myst-nb have put their scripts in."""
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("build-finished", clean_up)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
