"""A headless browser that sees the built pages as a reader does, everything on them drawn."""

import shutil

from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# WebGL without a graphics card; the sandbox needs rights that a container does not have.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def scroll_through(page: Page) -> None:
    """Bring every interactive figure and every lazy image into view, and wait for it."""
    for figure in page.locator(".plotly-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator("css=.main-svg").first.wait_for(state="attached", timeout=30_000)
    for face in page.locator(".turntable, .generator").all():
        face.scroll_into_view_if_needed()
        face.and_(page.locator(".drawn")).wait_for(timeout=60_000)
    for generator in page.locator(".generator").all():
        generator.get_by_role("button", name="New face").click()
        generator.and_(page.locator(".made")).wait_for(timeout=60_000)
    page.locator("html").evaluate("() => document.fonts.ready")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.evaluate("window.scrollTo(0, 0)")
