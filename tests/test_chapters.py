"""Chapters are for readers: mostly text, a little code, methods from the library, exercises."""

import re

import nbformat
import pytest

from _pipeline.chapters import ROOT, chapters

MOST_CODE = 120  # visible lines of a chapter
FEWEST_WORDS = 8  # of text, for each visible line of code
FOLDED = {"hide-cell", "hide-input", "remove-cell", "remove-input"}
LEVELS = ("Warm up", "Think", "Build")


def tags(cell):
    return set(cell.metadata.get("tags", []))


def lines(source):
    return [line for line in source.splitlines() if line.strip()]


@pytest.fixture(params=chapters(), ids=lambda chapter: chapter.stem)
def chapter(request):
    notebook = nbformat.read(request.param, 4)
    notebook.metadata["name"] = request.param.stem
    return notebook


@pytest.fixture
def code(chapter):
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


@pytest.fixture
def text(chapter):
    return "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")


def test_little_code_is_seen(code, text):
    seen = [line for cell in code if not tags(cell) & FOLDED for line in lines(cell.source)]
    assert len(seen) <= MOST_CODE
    formulas = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", re.S)
    words = re.findall(r"[^\W\d_][\w'’-]*", formulas.sub("", text))
    assert len(words) >= FEWEST_WORDS * len(seen), f"{len(words)} words, {len(seen)} lines"


def test_code_that_is_seen_begins_with_what_matters(code):
    for cell in code:
        if not tags(cell) & FOLDED:
            assert not re.search(r"^\s*(def|class) |plt\.(style|show)", cell.source, re.M), (
                cell.source
            )
            assert not re.match(r"(import|from) ", cell.source), "fold the imports"


def test_chapters_draw_and_format_and_the_library_computes(code):
    """A function that a chapter defines makes pictures (`draw_...`) or text (`format_...`)."""
    for cell in code:
        for name in re.findall(r"^\s*def (\w+)", cell.source, re.M):
            assert name.startswith(("draw_", "format_")), name


def test_a_chapter_begins_with_what_it_finds(text):
    assert re.match(r"# [^\n]+\n\n\*\*In short\.\*\* ", text.replace("\n\n\n", "\n\n"))


def test_a_chapter_ends_with_exercises_that_check_their_answers(chapter, text):
    if chapter.metadata["name"] == "errata":  # each erratum is one
        return
    assert "\n## Exercises\n" in text
    for level in LEVELS:
        assert f"**{level}" in text.split("\n## Exercises\n")[1]
    answers = [cell.source for cell in chapter.cells if "exercise" in tags(cell)]
    assert len(answers) >= len(LEVELS)
    for answer in answers:
        assert re.search(r"^assert ", answer, re.M), "an exercise needs an assertion"


def test_equations_carry_the_papers_numbers_or_letters(text):
    for equation in re.findall(r"\$\$(.*?)\$\$", text, re.S):
        assert re.search(r"\\tag\{(Eq\. \d|[A-Z]\d?\})", equation), equation


def test_a_section_of_the_paper_shows_the_methods_own_code(chapter, code):
    """Chapters 02 to 09 are sections of the paper; the others have no method of their own."""
    section = re.match(r"0[2-9]", chapter.metadata["name"])
    assert not section or sum("excerpt(" in cell.source for cell in code) >= 2


def test_the_index_links_to_each_of_the_papers_figures_and_tables():
    """The paper has sixteen figures and three tables."""
    book = ROOT / "book"
    table = re.findall(
        r"^\| ((?:Figure|Table) \d+) \|.*\| (.*) \|$", (book / "index.md").read_text(), re.M
    )
    figures = [f"Figure {k}" for k in range(1, 17)] + [f"Table {k}" for k in range(1, 4)]
    assert [name for name, _ in table] == figures
    sources = "\n".join(path.read_text() for path in book.glob("*.md"))
    shown = set(re.findall(r"^ +name: (fig-[\w-]+)$", sources, re.M))
    for name, links in table:
        targets = re.findall(r"\{ref\}`[^`<]+<(fig-[\w-]+)>`", links)
        assert targets, f"{name} links to nothing"
        assert set(targets) <= shown, f"{name}: no figure is called {set(targets) - shown}"
