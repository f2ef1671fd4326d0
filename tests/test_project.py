import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from _pipeline.chapters import ROOT, chapters, paired, toc_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_says_what_pyproject_says():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert f"python{PROJECT['requires-python']}" in dependencies
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    (editable,) = pip  # the project itself: every other package stands in pyproject.toml only
    extra = re.fullmatch(r"--editable \.\[(\w+)\]", editable)
    assert extra
    assert extra[1] in PROJECT["optional-dependencies"]


def test_every_requirement_has_a_bound():
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(entry for extra in extras for entry in extra)]:
        requirement = Requirement(line)
        assert (
            requirement.specifier
            or requirement.name.endswith(("-stubs", "facesynth"))
            or (requirement.name.startswith("types-"))
        )


def test_readme_names_only_commands_that_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    code = re.findall(r"```.*?```|`[^`]+`", (ROOT / "README.md").read_text(), re.S)
    named = {name for text in code for name in re.findall(r"\bmake ([\w-]+)", text)}
    assert {"book", "test"} <= named <= set(targets)


# What README's examples are run with instead of their numbers and its GAN's size, to take seconds.
SMALLER = {"200": "6", "150": "4", "50": "4", "20": "4", "256": "64", "8": "1"}
TINY = "latent=4, max_channels=4, fade_images=0, stable_images=0, last_images=16, batch={8: 4}"


@pytest.mark.parametrize(
    "code", re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
)
def test_readme_s_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACESYNTH_CACHE", str(tmp_path))
    for folder, shade in (("images", 90), ("masks", 255)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (shade, shade, shade)).save(tmp_path / folder / "ada.png")
    code = re.sub(rf"\b({'|'.join(SMALLER)})\b", lambda found: SMALLER[found[0]], code)
    exec(code.replace("precision=gan.fastest_precision()", TINY), {})


def test_toc_names_files_that_exist():
    names = list(toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text())))
    assert len(names) > 1
    for name in names:
        assert any((ROOT / f"{name}{suffix}").exists() for suffix in ("", ".md")), name


def test_every_chapter_is_in_the_toc():
    assert set((ROOT / "book").glob("*.ipynb")) == set(chapters())


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_chapter_and_notebook_are_in_step(chapter):
    text = chapter.with_suffix(".md")
    in_step = (text.read_text(), chapter.read_text()) == paired(text)
    assert in_step, "run `make chapters`"
    assert '"outputs": []' in chapter.read_text()
    assert not re.search(r'"outputs": \[[^]]|"execution_count": \d', chapter.read_text())


def test_the_repository_has_one_address():
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    owned = re.escape(url.rsplit("/", 1)[1])
    files = [ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / "book").glob("*.md")]
    for path in files:
        for found in re.findall(rf"https?://[\w.-]+/[\w.-]+/{owned}\b", path.read_text()):
            assert found == url, f"{path.name} says {found}, _config.yml says {url}"


def test_citation_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1145/3337067"
    assert [author["family-names"] for author in paper["authors"]] == [
        "Shamai",
        "Slossberg",
        "Kimmel",
    ]


def test_the_packages_named_are_those_there_are():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {path.parent.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("__init__.py")}
    there = {".".join(path.parts) for path in found} | {"facesynth.data"}
    assert set(settings["packages"]) == there
    assert settings["package-dir"] == {"": "lib", "facesynth.data": "data"}


def test_data_holds_real_files():
    assert not [path for path in (ROOT / "data").rglob("*") if path.is_symlink()]


def test_the_house_has_few_rooms_and_each_paper_room_has_its_tests():
    rooms = {
        path.stem
        for path in (ROOT / "lib/facesynth").iterdir()
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }
    assert len(rooms | {"book", "benchmarks"}) <= 24
    for room in rooms - {"files"}:
        tests = ROOT / "tests"
        assert (tests / room).is_dir() or (tests / f"test_{room}.py").exists(), room


@pytest.mark.parametrize(
    ("room", "line", "broken"),
    [
        (
            "mapping/image_mapping.py",
            "from facesynth import population",
            "know nothing",
        ),
        ("surface/mesh.py", "from facesynth import template", "Data flows one way"),
        ("files/atomic.py", "from facesynth.gan import Images", "in a circle"),
    ],
)
def test_an_import_against_the_rules_is_found(room, line, broken, tmp_path):
    shutil.copytree(ROOT / "lib/facesynth", tmp_path / "facesynth")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "facesynth" / room
    file.write_text(f"{file.read_text()}\n{line}\n")
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(f"{broken}.* BROKEN", done.stdout), done.stdout
