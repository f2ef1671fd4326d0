import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from facesynth import experiments, gan, presets, shapes
from facesynth.command import main
from facesynth.experiments import ARMS, Trial

SIZE = replace(presets.preset("smoke"), n_shapes=64, n_shown=64, gan_channels=4)


@pytest.fixture
def two_trials(monkeypatch):
    chosen = [Trial("masked"), Trial("plain", share=0.9)]
    monkeypatch.setattr(experiments, "trials", lambda seeds: chosen)
    monkeypatch.setattr(experiments, "N_MEASURED", 100)
    return chosen


def test_the_whole_experiment():
    todo = experiments.trials(3)
    assert len({trial.name for trial in todo}) == len(todo)
    plainly = [t for t in todo if (t.share, t.grow, t.shift) == (experiments.SHARE, 0, 0)]
    assert Counter(trial.arm for trial in plainly) == dict.fromkeys(ARMS, 3)
    shares = Counter(trial.share for trial in todo if trial.arm == "masked" and not trial.grow)
    assert set(shares) == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert {trial.arm for trial in todo if trial.grow or trial.shift} == {"masked"}


def test_each_way_learns_from_its_own_images():
    masked, plain, remainder, spoilt = (
        experiments.training_images(trial, SIZE)
        for trial in (Trial("masked"), Trial("plain"), Trial("remainder"), Trial("masked", grow=1))
    )
    np.testing.assert_array_equal(masked.pixels, plain.pixels)
    clean = shapes.draw(SIZE.n_shapes, SIZE.shape_resolution, 0, 0).images
    whole = masked.masks.all((1, 2))
    np.testing.assert_array_equal(remainder.pixels, clean[whole])
    assert remainder.masks is None
    assert spoilt.masks.sum() < masked.masks.sum()
    assert {experiments.configuration(Trial(arm), SIZE).masks for arm in ARMS} == {
        "none",
        "paired",
        "independent",
    }


def test_drawings_are_measured_as_what_they_are():
    drawn = shapes.draw(300, 32, 0.4, seed=5)
    row = experiments.measure(drawn.images)
    assert (row["n"], row["corrupted"]) == (300, drawn.corrupted.sum())
    assert row["recognised"] > 0.9
    assert row["colours_covered"] == 1
    assert min(row["colours"], row["kinds"], row["counts"]) > 0.85
    clean = experiments.measure(shapes.draw(300, 32, 0, seed=5).images)
    assert clean["corrupted"] == 0
    assert clean["sliced_wasserstein"] < row["sliced_wasserstein"]


def test_a_collapsed_gan_shows_in_the_controls():
    one = shapes.draw(1, 32, 0, seed=3).images
    row = experiments.measure(np.repeat(one, 100, axis=0))
    assert row["corrupted"] == 0  # as good as can be
    assert max(row["colours_covered"], row["colours"]) <= 0.7
    assert row["counts"] < 0.5


def test_nothing_but_corruption_covers_nothing():
    row = experiments.measure(shapes.draw(50, 32, 1, seed=1).images)
    assert row["corrupted"] == 50
    assert [row[name] for name in ("recognised", *experiments.SHOWN)] == [0] * 5


def test_what_is_trained_is_not_trained_again(two_trials, tmp_path):
    first = experiments.run_all(SIZE, tmp_path, workers=1)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("generator.safetensors")}
    assert len(files) == 3
    again = experiments.run_all(SIZE, tmp_path, workers=1)
    assert files == {path: path.stat().st_mtime_ns for path in files}
    assert first == again
    assert [row["arm"] for row in first["trials"]] == ["masked", "plain"]
    assert first["data"]["0.9"]["corrupted"] > first["data"]["0.5"]["corrupted"]
    assert first["configuration"]["max_channels"] == 4


def test_the_command_writes_what_the_chapter_reads(two_trials, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.PRESETS, "smoke", SIZE)
    results = tmp_path / "results.json"
    arguments = ["experiments", "--preset", "smoke", "--jobs", "1", "--runs", str(tmp_path)]
    assert main([*arguments, "--results", str(results)]) == 0
    assert str(results) in capsys.readouterr().out
    written = json.loads(results.read_text())
    assert {row["share"] for row in written["trials"]} == {0.5, 0.9}
    assert written["preset"]["n_shown"] == SIZE.n_shown // 2
    assert written["longer"]["preset"]["shape_resolution"] == 2 * SIZE.shape_resolution
    generator = gan.load_generator(results.with_suffix(".safetensors"))
    assert generator.resolution == 2 * SIZE.shape_resolution
