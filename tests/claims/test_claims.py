"""The ledger: rules decide, results are needed, and a number that moved is noticed."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _pipeline.chapters import ROOT
from facesynth.claims import judgement as claims
from facesynth.claims.judgement import MissingResultError, UnknownClaimError, claim, judge, verdicts
from facesynth.claims.ledger import CLAIMS, RULES
from facesynth.claims.measured import TOLERANCE, Measured, deviations, packed, unpacked

BY_CHAPTER = {c.chapter: {} for c in CLAIMS}
for _claim in CLAIMS:
    BY_CHAPTER[_claim.chapter] |= {name: Measured(0.5) for name in _claim.needs}


def test_there_are_enough_claims_and_each_is_whole():
    assert len(CLAIMS) >= 14
    assert {c.name for c in CLAIMS} == set(RULES)
    for c in CLAIMS:
        for text in (c.source, c.says, c.rule, c.paper, c.here):
            assert text.strip()
        assert c.needs


@pytest.mark.parametrize("c", CLAIMS, ids=lambda c: c.name)
def test_a_claim_leads_to_its_figure_and_its_code(c):
    chapter = (ROOT / "book" / f"{c.chapter}.md").read_text()
    assert re.search(rf"name: {c.figure}$", chapter, re.M)
    file, line = c.line()
    source = (ROOT / "lib" / file).read_text().splitlines()
    name = c.code.rpartition(":")[2].rpartition(".")[2]
    assert any(
        f"{name}(" in text or f"class {name}" in text for text in source[line - 1 : line + 2]
    )


@pytest.mark.parametrize("c", CLAIMS, ids=lambda c: c.name)
def test_a_rule_needs_no_more_than_what_is_shown(c):
    judge(c, BY_CHAPTER[c.chapter])


@pytest.mark.parametrize(
    ("name", "numbers", "holds"),
    [
        ("normal-prior", {"apart": 0.9}, True),
        ("normal-prior", {"apart": 0.55}, False),
        ("mapping", {"eyes": 1, "nose": 1, "lips": 1}, True),
        ("mapping", {"eyes": 1, "nose": 1, "lips": 9}, False),
        ("masks-share", {"damaged": 0.2}, None),
        ("similar-geometry", {"least squares": 3, "mean": 4}, True),
        ("similar-geometry", {"least squares": 3.9, "mean": 4}, False),
        ("table-1", {"textures levels": 5, "levels": 5}, True),
        ("table-1", {"textures levels": 4, "levels": 5}, False),
        ("labels", {"gender": 0.9, "ancestry": 0.9, "age": 0.9}, True),
        ("labels", {"gender": 0.9, "ancestry": 0.9, "age": 0.4}, False),
    ],
)
def test_rules_decide(name, numbers, holds):
    filled = dict.fromkeys(claim(name).needs, Measured(0.5))
    filled |= {"eyes before": Measured(2), "nose before": Measured(2), "lips before": Measured(2)}
    verdict = judge(claim(name), filled | {k: Measured(v) for k, v in numbers.items()})
    assert verdict.holds is holds
    words = {True: "reproduced", False: "not reproduced", None: "not testable here"}
    assert verdict.word == words[holds]


def test_a_difference_within_the_errors_is_none():
    numbers = {name: Measured(30.0, error=4.0) for name in claim("table-3").needs}
    ours = {
        "generated to train SWD": Measured(23.0, 4.0),
        "generated to test SWD": Measured(23.0, 4.0),
    }
    assert not judge(claim("table-3"), numbers | ours).holds
    clearer = {name: replace(number, error=2.0) for name, number in ours.items()}
    assert judge(claim("table-3"), numbers | clearer).holds


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3), st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_below_is_an_order(a, da, b, db):
    first, second = Measured(a, da), Measured(b, db)
    assert not (first.below(second) and second.below(first))
    assert not first.below(first)
    if first.below(second):
        assert a < b


@pytest.mark.parametrize(
    ("number", "spec", "text"),
    [
        (Measured(3.276), ".2f", "3.28"),
        (Measured(3.276, 0.141), ".2f", "3.28 ± 0.14"),
        (Measured(-0.5, 0.25), "+.1f", "-0.5 ± 0.2"),
        (Measured(0.912, 0.03), ".0%", "91% ± 3%"),
    ],
)
def test_numbers_bring_their_errors(number, spec, text):
    assert f"{number:{spec}}" == text


def test_what_is_recorded_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for chapter, numbers in BY_CHAPTER.items():
        claims.record(chapter, "smoke", 0, numbers)
    found = claims.read(tmp_path / claims.FOLDER)
    assert found == BY_CHAPTER
    assert [v.claim.name for v in verdicts(found)] == [c.name for c in CLAIMS]


def test_an_interval_is_a_number_with_an_error():
    assert Measured.between(3.0, 2.5, 3.25, tolerance=0.1) == Measured(3.0, 0.375, 0.1)


@given(st.dictionaries(st.text(), st.builds(Measured, st.floats(-9, 9), st.floats(0, 9))))
def test_numbers_survive_json(numbers):
    assert unpacked(json.loads(json.dumps(packed(numbers)))) == numbers


def test_missing_numbers_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingResultError, match="'apart', which is missing in the results of"):
        claims.record("02_morphable_model", "smoke", 0, {})
    bad = BY_CHAPTER["02_morphable_model"] | {"apart": Measured(float("nan"))}
    with pytest.raises(MissingResultError, match="'apart', which is nan"):
        claims.record("02_morphable_model", "smoke", 0, bad)
    assert not list(tmp_path.iterdir())
    without = {c: n for c, n in BY_CHAPTER.items() if c != "08_expressions"}
    with pytest.raises(MissingResultError, match="'expressions' needs chapter 08_expressions"):
        verdicts(without)
    for damaged in ("{", "[]", '{"chapter": "x", "numbers": [1]}'):
        (tmp_path / "08_expressions.json").write_text(damaged)
        with pytest.raises(MissingResultError, match=r"08_expressions\.json is damaged"):
            claims.read(tmp_path)


def test_unknown_claims_are_named():
    with pytest.raises(UnknownClaimError, match="unknown claim 'tabel-1'; known are normal-prior"):
        claim("tabel-1")


def test_a_number_that_left_its_band_is_told():
    before = {"a": {"x": Measured(10.0, tolerance=0.1), "y": Measured(1.0), "z": Measured(0.0)}}
    assert not list(deviations(before, before))
    near = {"a": {"x": Measured(10.9), "y": Measured(1.01), "z": Measured(0.0009)}}
    assert not list(deviations(before, near))
    far = {"a": {"x": Measured(11.1), "z": Measured(0.0)}, "b": {"w": Measured(3.0)}}
    assert list(deviations(before, far)) == [
        "| a | x | 10 | 11.1 | ± 1 |",
        "| a | y | 1 | missing | |",
        "| b | w | missing | 3 | |",
    ]
    nan = {"a": {**before["a"], "x": Measured(float("nan"))}}
    assert len(list(deviations(before, nan))) == 1


def test_results_are_plain_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    claims.record("x", "smoke", 3, {"n": Measured(1.5, 0.5)})
    content = json.loads((tmp_path / "results/x.json").read_text())
    assert content == {
        "chapter": "x",
        "preset": "smoke",
        "seed": 3,
        "numbers": {"n": {"value": 1.5, "error": 0.5, "tolerance": TOLERANCE}},
    }


CONF = f"""
import sys

sys.path.insert(0, {str(ROOT / "book/_ext")!r})
extensions = ["myst_parser", "claims_table"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "https://github.com/x/y", "repository_branch": "main"}}
suppress_warnings = ["myst.header"]
"""


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A folder of pages with the ledger, in which every chapter is a stub that recorded numbers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.py").write_text(CONF)
    (tmp_path / "index.md").write_text("# Index\n\n```{toctree}\n:glob:\nbook/*\n```\n")
    book = tmp_path / "book"
    book.mkdir()
    for chapter, numbers in BY_CHAPTER.items():
        figures = sorted({c.figure for c in CLAIMS if c.chapter == chapter})
        text = "".join(f"({figure})=\n## {figure}\n\n" for figure in figures)
        (book / f"{chapter}.md").write_text(f"# {chapter}\n\n{text}")
        monkeypatch.chdir(book)
        claims.record(chapter, "smoke", 0, numbers)
    (book / "claims.md").write_text("# Claims\n\n```{claims}\n```\n")
    (book / "short.md").write_text("# Short\n\n```{claims}\n:short:\n```\n")
    return tmp_path


def build(folder):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-E", ".", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_changing_a_result_changes_the_page(pages):
    done = build(pages)
    assert done.returncode == 0, done.stderr
    page, short = ((pages / f"out/book/{name}.html").read_text() for name in ("claims", "short"))
    assert "area under the curve 0.50" in page
    for c in CLAIMS:
        assert f'href="{c.chapter}.html#{c.figure}"' in page
        assert f'href="claims.html#claim-{c.name}"' in short
    assert re.search(r"https://github.com/x/y/blob/main/lib/facesynth/evaluation/swd.py#L\d+", page)

    path = pages / "book/results/02_morphable_model.json"
    path.write_text(path.read_text().replace("0.5", "0.875"))
    assert build(pages).returncode == 0
    assert "area under the curve 0.88" in (pages / "out/book/claims.html").read_text()
    assert (pages / "out/book/short.html").read_text() != short


def test_a_claim_without_a_result_fails_the_build(pages):
    (pages / "book/results/05_corrupted_data.json").unlink()
    failed = build(pages)
    assert failed.returncode != 0
    assert "'no-red-circles' needs chapter 05_corrupted_data" in failed.stderr
