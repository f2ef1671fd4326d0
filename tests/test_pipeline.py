"""Anybody's scans and template, the whole way, by the commands of an installed wheel."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from another_face import write

from _pipeline.chapters import ROOT
from facesynth.template import Template

R = 32


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs `facesynth` as it is installed from a wheel of the project's files."""
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

    def facesynth(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "facesynth", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

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
