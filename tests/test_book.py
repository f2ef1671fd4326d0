import hashlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pages
import pytest
from PIL import Image

from _pipeline import results
from _pipeline.browser import find_browser
from _pipeline.chapters import ROOT, BookError, chapters, notebook_text, paired, sync
from _pipeline.execution import execute, execute_all, kernel_environment, key
from _pipeline.pages import HEAVY, PLOTLY, TURNTABLE, lighten, problems, with_outputs
from facesynth.claims.judgement import record
from facesynth.evaluation.measured import Measured
from facesynth.people import real_data

CHAPTER = """\
# {title}

```{{code-cell}} ipython3
:tags: [remove-cell]

```

```{{code-cell}} ipython3
:tags: [parameters]

preset = "standard"
seed = 0
```

```{{code-cell}} ipython3
import os
from pathlib import Path

with Path(os.environ["TOY_LOG"]).open("a") as log:
    print("{title}", os.getpid(), file=log)
Path("{title}.txt").write_text("written by the chapter")
{code}
```
"""


class Toy:
    """A book of two chapters, each of which logs that it was executed."""

    def __init__(self, root: Path) -> None:
        self.root, self.html, self.log = root, root / "build/html", root / "log.txt"
        for name in ("_config.yml", "pyproject.toml", "book/_ext", "book/_static"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-r", ROOT / name, root / name], check=True)
        (root / "_toc.yml").write_text(
            "format: jb-book\nroot: book/index\n"
            "chapters:\n- file: book/01_first.ipynb\n- file: book/02_second.ipynb\n"
        )
        self.write("book/index.md", "# Toy\n\nSee {doc}`01_first`.\n")
        self.write("lib/toy.py", "ANSWER = 42\n")
        self.chapter("01_first", "import toy\n\nprint(preset, seed, toy.ANSWER)")
        self.chapter("02_second", "print('second')")

    def write(self, name: str, content: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(content)

    def chapter(self, name: str, code: str) -> None:
        self.write(f"book/{name}.md", CHAPTER.format(title=name, code=code))
        if (self.root / "book/02_second.md").exists():
            sync(self.root)

    @property
    def command(self) -> list[str]:
        script = str(ROOT / "book/build.py")
        return [sys.executable, script, "--root", str(self.root), "--preset", "smoke"]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TOY_LOG": str(self.log)}

    def build(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *options], env=self.environment, capture_output=True, text=True
        )

    def executed(self) -> list[str]:
        """Return the chapters executed since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(line.split()[0] for line in lines)

    def page(self, name: str) -> str:
        return (self.html / f"book/{name}.html").read_text()


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(bytes(p) + p.read_bytes() for p in files)).hexdigest()


# The pipeline


def test_a_book_is_built_once_and_kept_when_a_chapter_breaks(toy):
    done = toy.build()
    assert done.returncode == 0, done.stderr
    assert "01_first: done in" in done.stdout
    assert toy.executed() == ["01_first", "02_second"]
    assert "smoke 0 42" in toy.page("01_first")
    assert "preset smoke, seed 0" in toy.page("index")
    before, source = digest(toy.html), digest(toy.root / "book")

    again = toy.build()
    assert again.returncode == 0
    assert "pages unchanged" in again.stdout
    assert toy.executed() == []
    assert digest(toy.html) == before

    toy.chapter("02_second", "raise RuntimeError('the sky fell')")
    failed = toy.build()
    assert failed.returncode == 1
    assert "02_second failed in cell" in failed.stderr
    assert "RuntimeError: the sky fell" in failed.stderr
    assert "Traceback" in failed.stderr
    assert digest(toy.html) == before

    toy.chapter("02_second", "print('second')")
    toy.write("book/index.md", "# Toy\n\nSee {doc}`03_nowhere`.\n")
    warned = toy.build()
    assert warned.returncode == 1
    assert "03_nowhere" in warned.stderr
    assert digest(toy.html) == before

    toy.write("book/index.md", "# Toy\n\nSee {doc}`01_first`.\n")
    assert digest(toy.root / "book") == source  # nothing was written beside the sources
    assert toy.build().returncode == 0


def test_only_what_changed_is_executed_again(toy):
    assert toy.build("--execute-only").returncode == 0
    assert toy.executed() == ["01_first", "02_second"]

    text = toy.root / "book/01_first.md"
    text.write_text(text.read_text() + "\nA better sentence.\n")
    sync(toy.root)
    assert toy.build("--execute-only").returncode == 0
    toy.write("lib/README.md", "What is in this folder.\n")
    assert toy.build("--execute-only").returncode == 0
    assert toy.executed() == []  # prose

    toy.chapter("02_second", "print('third')")
    assert toy.build("--execute-only").returncode == 0
    assert toy.executed() == ["02_second"]  # its code

    assert toy.build("--execute-only", "--seed", "1").returncode == 0
    assert toy.executed() == ["01_first", "02_second"]  # a parameter

    toy.write("lib/toy.py", "ANSWER = 43\n")
    assert toy.build("--execute-only", "--seed", "1").returncode == 0
    assert toy.executed() == ["01_first", "02_second"]  # the package


def test_a_chapter_of_real_data_depends_on_what_is_there(tmp_path, monkeypatch):
    parameters = {"preset": "smoke", "seed": 0}
    chapters = {path.stem: path for path in (ROOT / "book").glob("*.ipynb")}
    with_data, without = chapters["10_real_people"], chapters["02_morphable_model"]
    keys = []
    for folder in (tmp_path / "empty", tmp_path / "some"):
        monkeypatch.setenv(real_data.FOLDER, str(folder))
        (folder / "james").mkdir(parents=True)
        if folder.name == "some":
            (folder / "james/james.obj").touch()
        keys.append([key(chapter, parameters) for chapter in (with_data, without)])
    assert keys[0][0] != keys[1][0]
    assert keys[0][1] == keys[1][1]


def test_execution_repeats_to_the_byte(toy):
    notebooks = []
    for _ in range(2):
        assert toy.build("--execute-only", "--only", "01").returncode == 0
        (folder,) = (toy.root / "build/executed/smoke").glob("01_first-*")
        chapter = toy.root / "book/01_first.ipynb"
        notebook = with_outputs(chapter, folder, {"preset": "smoke", "seed": 0})
        notebooks.append(notebook_text(notebook))
        assert (folder / "files/01_first.txt").read_text() == "written by the chapter"
        subprocess.run(["rm", "-r", folder], check=True)
    assert notebooks[0] == notebooks[1]
    assert "smoke 0 42" in notebooks[0]


def test_a_killed_build_leaves_nothing_half_written(toy):
    toy.chapter("02_second", "import time\n\ntime.sleep(600)")
    process = subprocess.Popen(
        [*toy.command, "--only", "02"], env=toy.environment, stdout=subprocess.DEVNULL
    )
    while not toy.log.exists() or "\n" not in toy.log.read_text():
        assert process.poll() is None
        time.sleep(0.1)
    kernel = int(toy.log.read_text().split()[1])
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((toy.root / "build/executed/smoke").glob("02_second-*"))
    assert not (toy.root / "build/preview").exists()
    while Path(f"/proc/{kernel}").exists():  # the kernel sees that its parent is gone
        time.sleep(0.1)

    toy.chapter("02_second", "print('awake')")
    assert toy.build("--only", "02", "--execute-only").returncode == 0
    assert len(list((toy.root / "build/executed/smoke").glob("02_second-*"))) == 1


def test_chapters_out_of_step_are_refused(toy):
    text = toy.root / "book/02_second.md"
    text.write_text(text.read_text() + "\nOne more sentence.\n")
    failed = toy.build("--execute-only")
    assert failed.returncode == 1
    assert "02_second.md and 02_second.ipynb are not in step: run `make chapters`" in failed.stderr
    assert toy.executed() == []


def test_a_folder_that_is_no_book_is_not_replaced(toy):
    toy.write("mine/notes.txt", "keep me")
    failed = toy.build("--output", str(toy.root / "mine"))
    assert failed.returncode == 1
    assert "it is not replaced" in failed.stderr
    assert (toy.root / "mine/notes.txt").read_text() == "keep me"


def test_an_unknown_preset_is_refused_before_anything_starts(toy):
    failed = toy.build("--preset", "smok")
    assert failed.returncode == 2
    assert "smok" in failed.stderr
    assert "standard" in failed.stderr
    assert toy.executed() == []


def test_a_missing_chapter_is_named(toy):
    (toy.root / "book/02_second.md").unlink()
    with pytest.raises(BookError, match=r"_toc.yml names 02_second.ipynb"):
        chapters(toy.root)


def test_pairing_is_stable(toy):
    text = toy.root / "book/01_first.md"
    markdown, notebook = paired(text, toy.root)
    assert text.read_text() == markdown
    assert (toy.root / "book/01_first.ipynb").read_text() == notebook
    ids = [cell.id for cell in nbformat.reads(notebook, 4).cells]
    assert len(set(ids)) == len(ids)
    nbformat.validate(nbformat.reads(notebook, 4))


# The numbers that chapters record

PARAMETERS = {"preset": "smoke", "seed": 0}


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """A root without a reference, and the folder of a chapter that recorded a number."""
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\n"
        "chapters:\n- file: book/01_first.ipynb\n- file: book/02_second.ipynb\n"
    )
    (tmp_path / "book").mkdir()
    for name in ("01_first", "02_second"):
        (tmp_path / f"book/{name}.md").touch()
    folder = tmp_path / "executed/files"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    record("01_first", "smoke", 0, {"length": Measured(2.0, tolerance=0.1)})
    return tmp_path, {tmp_path / "book/01_first.ipynb": folder.parent}


def test_a_reference_is_kept_with_the_machine_and_the_versions(executed):
    root, folders = executed
    results.keep(folders, PARAMETERS, root)
    content = json.loads((root / "data/results/reference_smoke.json").read_text())
    assert content["chapters"]["01_first"]["length"]["value"] == 2
    assert content["versions"]["numpy"] == importlib.metadata.version("numpy")
    assert "processors" in content["machine"]
    results.check(folders, PARAMETERS, root)


def test_a_part_of_the_book_keeps_its_numbers_beside_the_others(executed):
    root, folders = executed
    file = root / "data/results/reference_smoke.json"
    results.keep(folders, PARAMETERS, root)
    content = json.loads(file.read_text())
    first = content["chapters"]["01_first"]
    content["chapters"] |= {"02_second": first, "03_given_up": first}
    content["chapters"]["01_first"] = {}
    file.write_text(json.dumps(content))
    results.keep(folders, PARAMETERS, root)
    assert json.loads(file.read_text())["chapters"] == {"01_first": first, "02_second": first}
    file.write_text("{")
    with pytest.raises(BookError, match="keep` for the whole book"):
        results.keep(folders, PARAMETERS, root)


def test_numbers_that_left_their_bands_are_shown_in_a_table(executed):
    root, folders = executed
    results.keep(folders, PARAMETERS, root)
    record("01_first", "smoke", 0, {"length": Measured(2.3), "width": Measured(1.0)})
    with pytest.raises(BookError) as raised:
        results.check(folders, PARAMETERS, root)
    assert "| chapter | number | reference | here | band |" in str(raised.value)
    assert "| 01_first | length | 2 | 2.3 | ± 0.2 |" in str(raised.value)
    assert "| 01_first | width | missing | 1 | |" in str(raised.value)


def test_a_reference_of_something_else_is_refused(executed):
    root, folders = executed
    with pytest.raises(BookError, match=r"reference_smoke\.json is missing or damaged"):
        results.check(folders, PARAMETERS, root)
    results.keep(folders, PARAMETERS, root)
    with pytest.raises(BookError, match=r"was made with .*'seed': 0.*, not with .*'seed': 1"):
        results.check(folders, {"preset": "smoke", "seed": 1}, root)


def test_heavy_pictures_are_compressed_where_pages_show_them(tmp_path):
    images, page = tmp_path / "_images", tmp_path / "book/01.html"
    images.mkdir()
    page.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 4), np.uint8)
    noise[:, 128:, 3], noise[:, :128, 3] = 0, 255  # half of it is transparent
    Image.fromarray(noise).save(images / "face.png")
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(images / "plot.png")
    before = (images / "face.png").stat().st_size
    page.write_text('<img src="../_images/face.png"/><img src="../_images/plot.png"/>')
    lighten(tmp_path)
    assert sorted(p.name for p in images.iterdir()) == ["face.webp", "plot.png"]
    assert page.read_text() == ('<img src="../_images/face.webp"/><img src="../_images/plot.png"/>')
    assert (images / "face.webp").stat().st_size < before / 2 > HEAVY / 2
    with Image.open(images / "face.webp") as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    assert alpha[:, 128:].max() == 0
    assert alpha[:, :128].min() == 255


# What a page needs of a chapter

PICTURE = nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
TURNING = nbformat.v4.new_output("execute_result", {PLOTLY: {"data": [], "layout": {}}})
TEXTURED = nbformat.v4.new_output("execute_result", {TURNTABLE: {}})
STDERR = nbformat.v4.new_output("stream", name="stderr", text="a warning")
ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=["..."])
DESCRIBED = {"mystnb": {"image": {"alt": "a face"}, "figure": {"caption": "A face."}}}


def notebook(outputs, **metadata):
    parameters = nbformat.v4.new_code_cell(
        'preset = "smoke"\nseed = 0', metadata={"tags": ["parameters"]}
    )
    cell = nbformat.v4.new_code_cell("draw()", outputs=outputs, metadata=metadata)
    return nbformat.v4.new_notebook(cells=[parameters, cell])


@pytest.mark.parametrize("figure", [PICTURE, TURNING, TEXTURED])
def test_a_described_figure_is_accepted(figure):
    assert list(problems(notebook([figure], **DESCRIBED))) == []


@pytest.mark.parametrize(
    ("outputs", "metadata", "problem"),
    [
        ([PICTURE], {"mystnb": {"figure": {"caption": "A face."}}}, "text alternative"),
        ([TURNING], {"mystnb": {"figure": {"caption": "A face."}}}, "text alternative"),
        ([TEXTURED], {"mystnb": {"image": {"alt": "a face"}}}, "without a caption"),
        ([PICTURE], {"mystnb": {"image": {"alt": "a face"}}}, "without a caption"),
        ([PICTURE, TURNING], DESCRIBED, "shows 2 outputs"),
        ([STDERR], {}, "writes to stderr: a warning"),
        ([ERROR], {}, "holds an error"),
    ],
)
def test_what_a_page_cannot_be_made_of(outputs, metadata, problem):
    (found,) = problems(notebook(outputs, **metadata))
    assert problem in found
    assert "code cell 2 ('draw()')" in found


def test_stderr_that_is_removed_is_accepted():
    assert list(problems(notebook([STDERR], tags=["remove-stderr"]))) == []


@pytest.mark.parametrize("cells", [[], [0, 0]])
def test_one_parameters_cell(cells):
    book = notebook([])
    book.cells = [book.cells[i] for i in cells]
    assert "one cell tagged `parameters`" in next(problems(book))


# The book itself

HEAVIEST = 3e6  # bytes of a page, beside faces in 3D


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_every_chapter_runs_at_smoke(chapter):
    script = [sys.executable, "book/build.py", "--preset", "smoke"]
    done = subprocess.run(
        [*script, "--only", chapter.stem, "--execute-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_numbers_at_smoke_stay_within_their_bands():
    script = [sys.executable, "book/build.py", "--preset", "smoke", "--execute-only"]
    done = subprocess.run([*script, "--numbers", "check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "numbers are within their bands" in done.stdout


def test_a_chapter_that_is_executed_again_shows_the_same(tmp_path, monkeypatch):
    chapter, parameters = ROOT / "book/02_morphable_model.ipynb", {"preset": "smoke", "seed": 0}
    for name, value in kernel_environment(ROOT, tmp_path).items():
        monkeypatch.setenv(name, value)
    script = [sys.executable, "book/build.py", "--preset", "smoke", "--only", chapter.stem]
    subprocess.run([*script, "--execute-only"], cwd=ROOT, check=True, capture_output=True)
    folder = execute_all([chapter], parameters, ROOT, ROOT / "build", 1)[chapter]  # is cached
    execute(chapter, parameters, ROOT, tmp_path / "again")
    shown, again = (with_outputs(chapter, f, parameters) for f in (folder, tmp_path / "again"))
    assert shown == again  # numbers, figures and meshes, bit for bit


def test_the_pages_in_a_browser_without_a_network():
    browser = find_browser()
    if browser is None:
        assert "CI" not in os.environ, "CI must have a browser: see .ci/run"
        pytest.skip("there is no Chromium or Chrome on this machine to look at the pages with")
    html = ROOT / "build/smoke"
    script = [sys.executable, "book/build.py", "--preset", "smoke", "--output", str(html)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert pages.look_at_all(html, browser) == []
    heavy = [p.name for p in (html / "book").glob("*.html") if weight(p) > HEAVIEST]
    assert not heavy, f"pages of more than {HEAVIEST / 1e6:g} MB"


def weight(page: Path) -> int:
    """Bytes of a page with its pictures, without the scripts that all share and the faces in 3D."""
    text = re.sub(
        r'<div class="(turntable|generator)">.*?</script>', "", page.read_text(), flags=re.S
    )
    pictures = re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', text)
    return len(text) + sum((page.parent / name).stat().st_size for name in {*pictures})
