"""What is doubtful about a scan is told, and what is not a face's is refused."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facesynth.command import cli
from facesynth.dataset import building, contact_sheet, dataset, quality
from facesynth.dataset.aligned_scan import SEARCHED, align, mapping
from facesynth.dataset.shrinking import shrink
from facesynth.dataset.sources import DatasetError, Folder
from facesynth.population import sample
from facesynth.scans import Scan
from facesynth.scans.scanned_surface import reduced
from facesynth.virtual_scanner import Scanner, scan

R = 64
ROUGH = Scanner(photograph=320, spacing=2.5, strands=0.0)  # quick
GOOD = {
    "size": 1.0,
    "landmarks": 3.0,
    "seen": 2.0,
    "surface": 0.05,
    "modes": 1.1,
    "valid": 0.95,
    "features": 1.0,
}


@pytest.fixture(scope="module")
def good():
    people = sample(1, 4, resolution=R, whole=True, n_jobs=1, progress=False)
    return scan(people.geometry[0], people.textures[0], seed=0, settings=ROUGH)


def without_photographs(made):
    return dataclasses.replace(
        made, photographs=(), photograph=np.full(len(made.faces), -1), landmarks=None
    )


@pytest.fixture(scope="module")
def made(good, tmp_path_factory):
    """A data set of a good scan, one without texture, four spoilt ones, and one without a face."""
    folder = tmp_path_factory.mktemp("scans")
    marks = good.truth.landmarks
    good.save(folder / "good.obj")
    without_photographs(good).save(folder / "bare.obj")
    large = dataclasses.replace(good, vertices=1.3 * good.vertices, landmarks=1.3 * marks)
    large.save(folder / "large.obj")
    dataclasses.replace(good, uv=good.uv * [1, -1] + [0, 1], landmarks=marks).save(
        folder / "upside.obj"
    )
    twice = dataclasses.replace(good, vertices=2 * good.vertices, landmarks=2 * marks)
    twice.save(folder / "twice.obj")
    n = 30
    x, y = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-90, 90, n)]))
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    plane = np.concatenate([np.c_[a, a + 1, a + n + 1], np.c_[a, a + n + 1, a + n]])
    Scan.geometry(np.c_[x, y, 0 * x], plane).save(folder / "plane.obj")
    return building.build(
        folder, tmp_path_factory.mktemp("out"), resolution=R, n_jobs=1, progress=False
    )


def test_good_numbers_leave_no_doubt():
    assert quality.doubts(GOOD) == []
    assert quality.doubts(GOOD | {"modes": np.nan}) == []  # not known of another template


@pytest.mark.parametrize("name", list(quality.BOUNDS))
def test_each_number_alone_makes_a_scan_doubtful(name):
    for beyond in (False, True):
        low, high = quality.BOUNDS[name][int(beyond)]
        for value in (low - 1e-3, high + 1e-3):
            if np.isfinite(value) and value >= 0:
                (doubt,) = quality.doubts(GOOD | {name: value}, beyond)
                shown = (f"{value:{form}}" for form in (".3g", ".0%", ".1f", ".2f"))
                assert any(one in doubt for one in shown)
        assert quality.doubts(GOOD | {name: np.inf}, beyond) or high == np.inf
    usual, reasonable, _ = quality.BOUNDS[name]
    assert reasonable[0] <= usual[0]
    assert usual[1] <= reasonable[1]


def test_what_is_wrong_is_marked_and_what_is_beyond_reason_fails(made):
    assert set(made.names) == {"good", "bare", "large", "upside"} - set(made.failed)
    assert set(made.doubtful) == {"large", "upside"} - set(made.failed)
    assert {"twice", "plane"} <= set(made.failed)
    assert "2" in made.failed["twice"]
    assert "times as large as a mean face" in made.failed["twice"]
    assert "no face found" in made.failed["plane"]
    told = json.loads((made.folder / dataset.QUALITY).read_text())
    assert set(told) == set(made.names)
    assert told["good"]["doubtful"] == []
    assert told["good"].keys() >= {"landmarks", "seen"}
    assert told["bare"].keys() >= {"landmarks_of_shape", "seen_in_shape"}
    assert told["bare"].keys().isdisjoint({"landmarks", "seen"})
    assert 0.8 < told["good"]["size"] < 1.2


def test_landmarks_that_came_with_a_shape_are_held_to_the_usual_bound(good):
    marked = dataclasses.replace(without_photographs(good), landmarks=good.truth.landmarks)
    told = json.loads(str(align(marked, mapping(R))["quality"]))
    assert told["landmarks"] < quality.BOUNDS["landmarks"][0][1]
    assert "landmarks_of_shape" not in told
    assert told["doubtful"] == []


def test_a_scan_without_texture_has_the_same_geometry(made):
    scans = made.take(np.array([name in ("good", "bare") for name in made.names]))
    off = np.linalg.norm(scans.geometry[0] - scans.geometry[1], axis=1)
    assert np.median(off) < 0.5
    assert dict(zip(scans.names, scans.textured, strict=True)) == {"bare": False, "good": True}
    with pytest.raises(DatasetError, match=r"1 of 2 scans have no texture, the first is bare"):
        _ = scans.textures
    assert scans.take(scans.textured).textures.shape == (1, R, R, 3)
    both = scans.valid.mean(axis=(1, 2))
    assert both[0] >= both[1] - 0.02
    assert np.abs(scans.displacement).max() > 0


def test_pictures_show_what_was_searched_and_what_is_doubtful(made):
    assert (made.folder / SEARCHED / "plane.png").exists()
    assert not (made.folder / SEARCHED / "good.png").exists()
    (page,) = contact_sheet.write(made, n_jobs=1)
    assert page.stat().st_size > 10_000


def test_a_coarser_copy_keeps_what_was_measured(made, tmp_path):
    small = shrink(made.folder, tmp_path / "small", resolution=R // 2, n_jobs=1, progress=False)
    assert small.doubtful == made.doubtful
    np.testing.assert_array_equal(small.textured, made.textured)


def test_no_more_workers_than_there_is_memory_for(made, good, tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "c"):
        good.save(tmp_path / f"{name}.obj")
    parts = list(Folder(tmp_path).parts().values())
    share = parts[0].memory()
    Image.new("RGB", (3000, 1000)).save(tmp_path / "a.png")
    assert parts[0].memory() - share >= 3 * 3_000_000

    def free(bytes_):
        monkeypatch.setattr(
            building.psutil, "virtual_memory", lambda: SimpleNamespace(available=bytes_)
        )

    free(10 * share / building.MEMORY)
    assert building._affordable(3, parts) == 3
    free(2.5 * share / building.MEMORY)
    assert building._affordable(3, parts) == 2
    assert "2 of 3 processes" in capsys.readouterr().err
    free(1)
    assert building._affordable(3, parts) == 1


def test_large_photographs_are_halved_and_show_the_same(good):
    fine = [np.repeat(np.repeat(p, 4, 0), 4, 1) for p in good.photographs]
    large = dataclasses.replace(good, photographs=tuple(fine))
    mm = 2 * np.sqrt(3e4) / R
    small = reduced(large, mm)
    assert small.photographs[0].shape[0] in (p // k for p in fine[0].shape[:1] for k in (2, 4, 8))
    here = reduced(good, mm)
    assert here is good or here.photographs[0].shape[0] < good.photographs[0].shape[0]
    whole = Scan(
        large.vertices, large.faces, large.uv, large.photograph,
        tuple(np.full_like(p, 77) for p in fine),
    )  # fmt: skip
    assert all((p == 77).all() for p in reduced(whole, mm).photographs)


def test_the_command_says_what_to_look_at(good, tmp_path):
    without_photographs(good).save(tmp_path / "scans" / "a.obj")
    (tmp_path / "scans" / "a.stl").write_bytes(b"")
    options = ["--out", str(tmp_path / "out"), "--resolution", str(R), "--jobs", "1"]
    said = CliRunner().invoke(
        cli, ["dataset", str(tmp_path / "scans"), *options, "--scale", "auto"]
    )
    assert said.exit_code == 0, said.output
    assert "passed over: " in said.output
    assert "1 scans in" in said.output
    assert "0 doubtful, 0 failed; 1 have no texture" in said.output
    for wrong in (["--scale", "x"], ["--scale", "2", "--unit", "cm"]):
        assert (
            CliRunner()
            .invoke(cli, ["dataset", str(tmp_path / "scans"), *options, *wrong])
            .exit_code
        )
