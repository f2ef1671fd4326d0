"""Anybody's scans and template, the whole way, by the commands of an installed wheel."""

import csv
import json
import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import trimesh
from another_face import write

from _pipeline.chapters import ROOT
from facesynth.template import Template

R = 32


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package as it is installed from a wheel of the project's files."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("book/", "tests/", "benchmarks/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *alone, "--wheel-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    shutil.rmtree(source)

    code = "import facesynth; print(facesynth.__file__)"
    where = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    return site


@pytest.fixture(scope="module")
def run(site):
    """Runs the installed `facesynth`."""

    def facesynth(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "facesynth", *map(str, arguments)],
            cwd=site.parent,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return facesynth


def multiply(data, times):
    """Repeat a data set's scans, as those of other subjects."""
    with (data / "scans.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    files = {row["file"] for row in rows}
    with (data / "scans.csv").open("a", newline="") as file:
        for k in range(1, times):
            for name in files:
                copy = data / f"scans/{k}{name}.npz"
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(data / f"scans/{name}.npz", copy)
            for row in rows:
                named = {key: f"{k}{row[key]}" for key in ("name", "file", "subject")}
                csv.DictWriter(file, row).writerow(row | named)


def test_from_scans_to_the_report(run, tmp_path):
    scans, data, models = tmp_path / "scans", tmp_path / "data", tmp_path / "models"
    run("scan", "--subjects", 3, "--resolution", 64, "--out", scans, "--seed", 2)
    (scans / "0002" / "anger.obj").write_text("f 1 2 3\n")  # one that cannot be read
    template = write(tmp_path)
    told = run("dataset", scans, "--out", data, "--template", template, "--resolution", 64)
    assert "14 scans in" in told
    assert "1 failed" in told

    multiply(data, 4)  # there are too few to learn from
    size = ["--resolution", R, "--channels", 16, "--images", 400, "--held-out", 4]
    run("train", data, "--model", "textures", "--out", models, *size)
    card = json.loads((models / "textures.json").read_text())
    assert card["data"]["held out"] == ["0000"]
    assert card["data"]["scans"] == 4 * 14 - 5

    run("synthesize", "--count", 1, "--out", tmp_path / "released")  # by the package's own model
    assert len(list((tmp_path / "released").glob("*.glb"))) == 1
    run("synthesize", "--model", models, "--count", 3, "--out", tmp_path / "faces")
    face = Template.load(template)
    made = [trimesh.load(path, process=False) for path in (tmp_path / "faces").glob("*.obj")]
    assert len(made) == 3
    for mesh in made:
        np.testing.assert_array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))
        assert len(mesh.faces) == len(face.faces)
        across = np.ptp(mesh.vertices[:, 0])
        assert 0.8 < across / np.ptp(face.vertices[:, 0]) < 1.2

    run("evaluate", data, models, "--out", tmp_path / "report", "--count", 12)
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["settings"]["held-out subjects"] == 1
    for table in ("textures", "geometries"):
        rows = found["tables"][table]
        assert rows["proposed"]["32"]["value"] > rows["real"]["32"]["value"] > 0
    columns = {"3DMM", "copula 3DMM", "proposed", "train"}
    assert set(found["tables"]["identities"]["test"]) == columns
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<table" in page


# What is installed for the book and the tests only, a kernel may not import: Colab has none of it.
GUARD = """\
import sys
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement


def needed(names, extras):
    found = set()
    while names:
        name = names.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = map(Requirement, distribution(name).requires or ())
        except ImportError:
            continue
        for r in requirements:
            if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras):
                names.add(r.name.lower().replace("_", "-"))
    return found


class Guard:
    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if "ipykernel_launcher" in sys.orig_argv:
    kept = needed({"facesynth"}, [""]) | needed({"ipykernel", "ipywidgets", "nbformat"}, [""])
    extra = needed({"facesynth"}, ["", "book", "test"]) - kept
    HIDDEN = {
        module
        for module, owners in packages_distributions().items()
        if {owner.lower().replace("_", "-") for owner in owners} <= extra
    }
    assert {"jupytext", "papermill", "pytest", "meshmonk"} <= HIDDEN
    sys.meta_path.insert(0, Guard())
"""


@pytest.mark.parametrize("chapter", ["02_morphable_model", "04_universal_mapping"])
def test_a_chapter_runs_where_only_the_package_is_installed(site, tmp_path, chapter):
    """As in Colab, after its first cell: no repository, no cache, nothing of the book's tools."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "empty").mkdir()
    notebook = [ROOT / "book" / f"{chapter}.ipynb", tmp_path / "done.ipynb"]
    path = os.pathsep.join(map(str, (tmp_path / "guard", site)))
    apart = {"FACESYNTH_DATA", "IPYTHONDIR", "MPLBACKEND"}
    environment = {k: v for k, v in os.environ.items() if k not in apart}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "papermill", *map(str, notebook), "-p", "preset", "smoke"],
        cwd=tmp_path / "empty",
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [cell.get("outputs") for cell in nbformat.read(notebook[1], 4).cells]
    assert str(ROOT) not in str(outputs)
