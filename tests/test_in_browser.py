"""The generator that the book's page runs, against the package's own."""

import base64
import gzip
import os
import shutil

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from _ext import generator as directive
from _pipeline import in_browser
from _pipeline.browser import FLAGS, find_browser
from _pipeline.chapters import ROOT
from _pipeline.pages import bundled_scripts
from facesynth.face_gan import detailing
from facesynth.face_gan.released_models import released

CLOSE = 1e-2  # of the range of colours, and of half a face's height in mm
SLOWEST = 10  # seconds for a face, on a machine that does other things
HALF = 100  # mm
PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A face</title>{}</html>'
MAKE = """async ([latent, code]) => {
  const { texture, geometry, seconds } = await generate(latent, code);
  const text = (a) => btoa(Array.from(new Uint8Array(a.buffer, a.byteOffset, a.byteLength),
    (b) => String.fromCharCode(b)).join(""));
  return { texture: text(texture), geometry: text(geometry), seconds };
}"""


@pytest.fixture(scope="module")
def folder():
    return in_browser.files(ROOT / "build")


@pytest.fixture(scope="module")
def latents():
    """Three faces' latent vectors; the noise of their pixels is the one of the page."""
    model = released("faces")
    drawn = model.latents(3, 7)
    n_noise = detailing.NOISE - model.details[0].code
    drawn[:, -n_noise:] = model.latents(1, in_browser.SEED)[:, -n_noise:]
    return drawn, drawn[:, : model.generator.latent], drawn[:, -detailing.NOISE : -n_noise]


@pytest.fixture(scope="module")
def expected(latents):
    """The package's textures in [-1, 1] and geometries."""
    model = released("faces")
    images = model.images(latents[0])
    colours = model.colours.colours(images[..., :3])
    for network in model.details[: in_browser.DETAILS]:
        colours, _ = detailing.detailed(network, colours, latents[0][:, -detailing.NOISE :])
    return colours, model.geometry(images, neutral=True)


def test_weights_in_half_precision_change_nothing_that_is_seen(latents, expected):
    network = in_browser.InBrowser(released("faces"))
    for latent, code, texture, geometry in zip(*latents[1:], *expected, strict=True):
        found = [t[0].detach().numpy() for t in network(latent[None], code[None])]
        np.testing.assert_allclose(found[0], texture, atol=1e-3)
        np.testing.assert_allclose(found[1], geometry, atol=CLOSE * HALF)


def test_the_weights_are_less_than_ten_megabytes(folder):
    script = (folder / in_browser.WEIGHTS).read_text()
    content = gzip.decompress(base64.b64decode(script.split('"')[3]))
    assert 1e6 < len(content) < 10e6


def test_a_page_that_is_opened_as_a_file_makes_the_packages_faces(
    folder, latents, expected, tmp_path, capsys
):
    browser = find_browser()
    if browser is None:
        assert "CI" not in os.environ, "CI must have a browser: see .ci/run"
        pytest.skip("there is no Chromium or Chrome on this machine to run the generator in")
    scripts = [*folder.iterdir(), bundled_scripts()["model-viewer.min.js"]]
    for path in [*scripts, *(ROOT / "book/_static").glob("*.js")]:
        shutil.copy(path, tmp_path / path.name)
    shutil.copy(bundled_scripts()["model-viewer.min.js"], tmp_path / "model-viewer.min.js")
    facts = in_browser.read(folder)
    (tmp_path / "page.html").write_text(PAGE.format(directive.html(facts, "A face", ".")))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_context(offline=True).new_page()
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".generator.drawn").wait_for(timeout=60_000)
        made = [
            page.evaluate(MAKE, [z.tolist(), c.tolist()]) for z, c in zip(*latents[1:], strict=True)
        ]
        chromium.close()
    for face, texture, geometry in zip(made, *expected, strict=True):
        arrays = [np.frombuffer(base64.b64decode(face[k]), "<f4") for k in ("texture", "geometry")]
        np.testing.assert_allclose(arrays[0], texture.ravel(), atol=CLOSE)
        np.testing.assert_allclose(arrays[1], geometry.ravel(), atol=CLOSE * HALF)
    seconds = min(face["seconds"] for face in made)
    with capsys.disabled():
        print(f"\na new face in the browser: {seconds:.2f} s")
    assert seconds < SLOWEST
