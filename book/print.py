"""Prints the built book: one PDF with bookmarks, A4, from the pages in build/html.

make print    after `make book`; needs Chromium or Chrome
"""

import io
import sys

from playwright.sync_api import sync_playwright
from pypdf import PdfWriter

from _pipeline.browser import FLAGS, find_browser, scroll_through
from _pipeline.chapters import ROOT, read_yaml, say, toc_files

MARGIN = {"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
NUMBER = '<div style="font-size: 8px; width: 100%; text-align: center" class="title"></div>'


def main() -> int:
    """Print all pages into build/print/book.pdf; return the exit status."""
    html, target, browser = ROOT / "build/html", ROOT / "build/print/book.pdf", find_browser()
    if not (html / "index.html").exists() or browser is None:
        print("[book] printing needs build/html and Chromium: run `make book`", file=sys.stderr)
        return 1
    target.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright, PdfWriter() as book:
        page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page(
            viewport={"width": 1000, "height": 1400}, color_scheme="light", offline=True
        )
        for name in toc_files(read_yaml(ROOT / "_toc.yml")):
            path = html / name.removesuffix(".ipynb")
            page.goto(path.with_name(f"{path.name}.html").as_uri())
            scroll_through(page)
            printed = page.pdf(
                format="A4",
                margin=MARGIN,
                scale=0.8,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=NUMBER,
            )
            book.append(io.BytesIO(printed), outline_item=page.title().split(" — ")[0])
            say(f"printed {name}")
        book.write(target)
    say(f"{target}: {target.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
