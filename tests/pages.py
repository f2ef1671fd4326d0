"""Looks at built pages in a headless browser, offline: what a reader's browser would complain of.

PYTHONPATH=book python tests/pages.py build/html build/screenshots    takes pictures, too
"""

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

from _pipeline.browser import FLAGS, find_browser, scroll_through

BROKEN = "images => images.filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(-80))"
NAMELESS = "images => images.filter(i => !i.alt.trim()).map(i => i.src.slice(-80))"
NO_VIEWER = "all => all.filter(t => !t.querySelector('model-viewer')?.alt).map(t => t.innerText)"
UNLABELLED = "all => all.filter(f => !f.ariaLabel).map(f => f.outerHTML.slice(0, 80))"
BARE_MATHS = "all => all.filter(m => !m.querySelector('mjx-container')).map(m => m.textContent)"
# MathJax sets what it does not know in red, or as an error.
MISSET_MATHS = """all => all
    .filter(m => m.querySelector("mjx-merror, [data-mml-node=merror], [fill=red]"))
    .map(m => m.querySelector("mjx-assistive-mml")?.textContent)"""
WCAG = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "resultTypes": ["violations"],
    "preload": False,  # of style sheets, once more: a page that is a file may not
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SHOWN = "theme => document.documentElement.dataset.theme === theme"
WIDTHS = (1280, 390)  # pixels of a desk's window and of a phone's
# After a change of width, the theme lets code that is too wide be scrolled by keys.
REACHED = """() => [...document.querySelectorAll("pre")]
    .every(code => code.scrollWidth <= code.clientWidth || code.tabIndex === 0)"""
PART = 5400  # pixels of a page in one picture
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look(browser: Browser, path: Path, screenshots: Path | None = None) -> Iterator[str]:
    """Open one page and yield everything that is wrong with it; save pictures if asked to."""
    context = browser.new_context(
        color_scheme=THEMES[0], viewport={"width": WIDTHS[0], "height": 900}, offline=True
    )
    said: list[str] = []
    page = context.new_page()
    page.on("console", lambda m: said.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
    page.on("request", lambda r: None if is_local(r.url) else said.append(f"request: {r.url}"))
    page.on("requestfailed", lambda r: said.append(f"failed request: {r.url[:200]}"))
    try:
        page.goto(path.resolve().as_uri(), wait_until="load")
        page.evaluate("window.MathJax?.startup?.promise")
        scroll_through(page)
    except Error as error:
        said.append(f"did not finish loading: {error}")
    yield from (f"broken image: {s}" for s in page.eval_on_selector_all("img", BROKEN))
    yield from (f"image without alt: {s}" for s in page.eval_on_selector_all("img", NAMELESS))
    for figure in page.eval_on_selector_all(".plotly-figure", UNLABELLED):
        yield f"figure without aria-label: {figure}"
    for face in page.eval_on_selector_all(".turntable, .generator", NO_VIEWER):
        yield f"face that does not turn, or without alt: {face}"
    yield from (f"maths not set: {m}" for m in page.eval_on_selector_all(".math", BARE_MATHS))
    for maths in page.eval_on_selector_all(".math", MISSET_MATHS):
        yield f"maths error: {maths}"
    for theme in THEMES:  # drawn once: a page follows what the reader's system prefers
        page.emulate_media(color_scheme=theme)
        try:
            page.wait_for_function(SHOWN, arg=theme, timeout=15_000)
        except Error:
            yield f"the page is not {theme}"
        yield from (f"{theme}: {fault}" for fault in faults(page))
        if screenshots is not None:
            take_pictures(page, screenshots / f"{path.stem}-{theme}.png")
    yield from said
    context.close()


def faults(page: Page) -> Iterator[str]:
    """Yield what keeps readers from a page, at a desk and on a phone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        with contextlib.suppress(Error):  # or axe says where it is not so
            page.wait_for_function(REACHED, timeout=15_000)
        if page.evaluate(TOO_WIDE) > 0:
            yield f"the page is {page.evaluate(TOO_WIDE)} px wider than a window of {width} px"
        for fault in Axe().run(page, options=WCAG).response["violations"]:
            where = ", ".join(node["target"][0] for node in fault["nodes"][:3])
            yield f"{fault['id']} at {width} px ({fault['help']}): {where}"


def take_pictures(page: Page, path: Path) -> None:
    """Save the page in parts, numbered from 1; a picture of a long page at once would repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1280, "height": PART})
    height = page.evaluate("document.documentElement.scrollHeight")
    for k, top in enumerate(range(0, height, PART - 100), start=1):
        page.evaluate("top => window.scrollTo(0, top)", top)
        page.wait_for_timeout(300)  # interactive figures are drawn as they come into view
        page.screenshot(path=path.with_stem(f"{path.stem}-{k}"))


def is_local(url: str) -> bool:
    """Say whether a request stays on this machine."""
    return url.startswith(("file:", "data:", "blob:", "about:"))


def look_at_all(html: Path, executable: str, screenshots: Path | None = None) -> list[str]:
    """Look at every page of a built book in both themes; return what is wrong with them."""
    pages = sorted(set(html.rglob("*.html")) - {html / "index.html"})  # that one only redirects
    if not pages:
        raise FileNotFoundError(f"no pages in {html}")

    def look_at(some: list[Path]) -> list[str]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            return [
                f"{page.relative_to(html)}: {problem}"
                for page in some
                for problem in look(browser, page, screenshots)
            ]

    with ThreadPoolExecutor() as pool:
        return [
            problem for found in pool.map(look_at, (pages[::2], pages[1::2])) for problem in found
        ]


if __name__ == "__main__":
    found = look_at_all(Path(sys.argv[1]), find_browser() or "chromium", *map(Path, sys.argv[2:3]))
    print("\n".join(found) or "nothing to complain of")
    sys.exit(bool(found))
