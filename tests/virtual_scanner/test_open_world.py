"""The open population as anybody's scans: a data set on the way, or a folder of files."""

import csv
import json

import numpy as np
import pytest

from facesynth import expressions, population
from facesynth.command import main
from facesynth.dataset import building, dataset
from facesynth.dataset.sources import DatasetError, Folder
from facesynth.evaluation import annotation
from facesynth.files.integers import JobsError, SeedError
from facesynth.population import sample
from facesynth.virtual_scanner import open_world
from facesynth.virtual_scanner.open_world import OpenWorld

EXPRESSIONS = {name: population.EXPRESSIONS[name] for name in ("neutral", "smile")}
R = 64


@pytest.fixture
def two(monkeypatch):
    """Two expressions; returns the subjects that were scanned."""
    monkeypatch.setattr(open_world, "EXPRESSIONS", EXPRESSIONS)
    made, scanned = open_world.sample_expressions, []

    def some(identities, seed, subject):
        scanned.append(subject)
        faces, amplitudes = made(identities, seed, subject)
        return faces[:, :2], amplitudes[:, :2]

    monkeypatch.setattr(open_world, "sample_expressions", some)
    return scanned


def build(folder, n=2, seed=0):
    source = OpenWorld(n, seed, 3 * R // 2, n_jobs=1)  # as the command paints them
    return building.build(source, folder, resolution=R, n_jobs=1, progress=False)


def test_a_data_set_from_the_scanner_and_back(two, tmp_path, capsys):
    made = build(tmp_path)
    assert made.names == ("0000/neutral", "0000/smile", "0001/neutral", "0001/smile")
    assert made.subjects.tolist() == [0, 0, 1, 1]
    assert made.expressions.tolist() == [0, 1, 0, 1]
    assert made.labels["gender"].tolist() == ["male", "male", "female", "female"]
    assert 0.4 < made.valid.mean() < 0.99
    # the faces that were before the scanner, as well as alignment finds them
    truth = sample(2, 0, expressions=True, progress=False).expressions[:, :2].reshape(4, -1, 3)
    assert np.median(np.linalg.norm(made.geometry - truth, axis=2)) < 2  # mm
    smile = np.linalg.norm(made.geometry[1] - made.geometry[0], axis=1)
    assert smile.max() > 4

    assert two == [0, 1]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.npz")}
    again = build(tmp_path)
    assert two == [0, 1]  # nothing is scanned again
    np.testing.assert_array_equal(again.geometry, made.geometry)

    (tmp_path / "scans" / "0001.npz").unlink()
    build(tmp_path)
    assert two == [0, 1, 1]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.npz")} == files

    command = ["dataset", "--population", "2", "--resolution", "64", "--jobs", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0  # resumes, and has nothing to do
    assert "4 scans in" in capsys.readouterr().out
    assert main(["describe", str(tmp_path), "--jobs", "1"]) == 0
    described = annotation.load(tmp_path / annotation.FILE)
    np.testing.assert_array_equal(described.subjects, made.subjects)
    np.testing.assert_array_equal(described.labels["gender"], ["male", "male", "female", "female"])
    added = expressions.load(tmp_path / expressions.FILE)
    assert np.linalg.norm(added["smile"], axis=1).max() > 4

    assert main([*command, "--out", str(tmp_path), "--seed", "7"]) == 1
    assert "was made with seed 0; now given: seed 7" in capsys.readouterr().err


def test_other_code_of_the_scanner_makes_another_data_set(two, tmp_path, monkeypatch):
    build(tmp_path, n=1)
    monkeypatch.setattr(open_world, "CODE", (*open_world.CODE, "presets.py"))
    with pytest.raises(DatasetError, match="was made with world"):
        build(tmp_path, n=2)
    assert two == [0]


def test_a_folder_of_scans_that_tells_whom_they_show(two, tmp_path, capsys):
    command = ["scan", "--subjects", "2", "--resolution", str(R), "--jobs", "1", "--out"]
    assert main([*command, str(tmp_path)]) == 0
    assert "4 scans in" in capsys.readouterr().out
    assert two == [0, 1]
    with (tmp_path / "scans.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scan"] for row in rows] == [f"000{k}/{e}" for k in range(2) for e in EXPRESSIONS]
    parts = Folder(tmp_path).parts()
    first = parts["0000/smile"].entries[0]
    assert (first.subject, first.expression, first.labels["gender"]) == ("0000", "smile", "male")
    (read,) = parts["0000/smile"].scans()
    direct = list(OpenWorld(1, 0, R, 1).parts()["0000"].scans())[1]
    np.testing.assert_array_equal(read.vertices, direct.vertices)
    np.testing.assert_array_equal(read.photographs[0], direct.photographs[0])
    two.clear()
    (tmp_path / "0001" / "smile.obj").unlink()
    assert main([*command, str(tmp_path)]) == 0
    assert two == [1]


def test_its_numbers_are_python_s(tmp_path):
    assert json.dumps(OpenWorld(1, np.int64(3)).settings()["seed"]) == "3"
    assert sample(1, np.int64(3), progress=False).labels == sample(1, 3, progress=False).labels
    for make in (OpenWorld, sample):
        with pytest.raises(SeedError):
            make(1, 3.0)
        with pytest.raises(JobsError):
            make(1, 3, n_jobs=0)


@pytest.mark.parametrize("n", [0, -5])
def test_subjects_must_be_there(n, tmp_path):
    with pytest.raises(DatasetError, match=f"number of subjects must be at least 1, got {n}"):
        build(tmp_path, n)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [("--resolution", "32"), ("--seed", "-1")])
def test_impossible_numbers_are_named_by_the_command(option, tmp_path, capsys):
    assert main(["scan", "--subjects", "1", "--out", str(tmp_path), *option]) == 1
    assert "subjects are painted at 64 to 1024 pixels, from seed 0 up" in capsys.readouterr().err


def test_a_subject_is_scanned_in_all_expressions():
    part = OpenWorld(4, 0, R, 1).parts()["0003"]
    scans = list(part.scans())
    assert [scan.name for scan in scans] == [f"0003/{e}" for e in population.EXPRESSIONS]
    assert all(len(scan.photographs) == 2 for scan in scans)


def test_it_is_the_data_set_that_comes_with_the_package():
    entries = [e for part in OpenWorld(3, 0, 256, 1).parts().values() for e in part.entries]
    released = dataset.released(3)
    assert tuple(entry.name for entry in entries) == released.names
    for name, of in released.labels.items():
        assert [entry.labels[name] for entry in entries] == of.tolist()
