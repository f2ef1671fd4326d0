import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from facesynth import presets
from facesynth.command import main
from facesynth.corrupted_data import experiments, shapes
from facesynth.corrupted_data.experiments import ARMS, Trial

SIZE = replace(presets.preset("smoke"), n_shapes=64, n_shown=64, gan_channels=4)


@pytest.fixture
def two_trials(monkeypatch):
    chosen = [Trial("masked"), Trial("plain", share=0.9)]
    monkeypatch.setattr(experiments, "trials", lambda seeds: chosen)
    monkeypatch.setattr(experiments, "N_MEASURED", 100)
    monkeypatch.setattr(experiments, "larger", lambda size: replace(size, name="test-larger"))
    return chosen


def test_the_whole_experiment():
    todo = experiments.trials(3)
    assert len({trial.name for trial in todo}) == len(todo)
    plainly = [t for t in todo if (t.share, t.grow, t.shift) == (experiments.SHARE, 0, 0)]
    assert Counter(trial.arm for trial in plainly) == dict.fromkeys(ARMS, 3)
    shares = Counter(trial.share for trial in todo if trial.arm == "masked" and not trial.grow)
    assert set(shares) == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert {trial.arm for trial in todo if trial.grow or trial.shift} == {"masked"}


def test_the_larger_gan_has_the_papers_images():
    config = experiments.configuration(
        Trial("masked"), experiments.larger(presets.preset("standard"))
    )
    assert (config.resolution, config.masks) == (256, "paired")
    assert {config.batch_at(side) for side in config.sides} == {32}
    # per pixel as heavy as at 32 x 32, but for the number of images a step
    small = experiments.configuration(Trial("masked"), presets.preset("standard"))
    assert config.penalty * 32 / 256**2 == pytest.approx(small.penalty * 8 / 32**2)


def test_each_way_learns_from_its_own_images():
    masked, plain, remainder, spoilt = (
        experiments.training_images(trial, SIZE)
        for trial in (Trial("masked"), Trial("plain"), Trial("remainder"), Trial("masked", grow=1))
    )
    np.testing.assert_array_equal(masked.pixels, plain.pixels)
    clean = shapes.draw(SIZE.n_shapes, SIZE.shape_resolution, 0, 0).images
    whole = masked.masks.all((1, 2))
    np.testing.assert_array_equal(remainder.pixels, clean[whole])
    assert plain.masks is remainder.masks is None
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


def run(folder, **changes):
    size, results = replace(SIZE, **changes), folder / "results.json"
    return experiments.run_all(size, folder / "runs", results, workers=1, seeds=1, large=True)


def generators(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("generator.safetensors")}


def test_what_is_done_is_not_done_again(two_trials, tmp_path, monkeypatch):
    first, files = run(tmp_path), generators(tmp_path)
    assert len(files) == 3
    assert json.loads((tmp_path / "results.json").read_text()) == first
    arms = {name: row["arm"] for name, row in first["gans"].items()}
    assert list(arms.values()) == ["masked", "plain", "masked"]
    assert first["gans"]["test-larger/masked-0.5-+0-0-0"]["clean"]["corrupted"] == 0
    assert first["data"]["0.9"]["corrupted"] > first["data"]["0.5"]["corrupted"]
    assert first["configurations"]["trials"]["max_channels"] == 4

    monkeypatch.setattr(experiments, "run", None)  # nothing is even measured
    assert run(tmp_path) == first
    assert generators(tmp_path) == files


def test_what_was_stopped_goes_on(two_trials, tmp_path):
    whole = run(tmp_path)
    results = tmp_path / "results.json"
    content = json.loads(results.read_text())
    *_, last = content["gans"]
    del content["gans"][last]  # stopped after two
    results.write_text(json.dumps(content))
    files = generators(tmp_path)
    assert run(tmp_path) == whole  # by the runs in their folders
    assert generators(tmp_path) == files
    shutil.rmtree(tmp_path / "runs")  # and on another machine
    results.write_text(json.dumps(content))
    again = run(tmp_path)["gans"]
    assert again.keys() == whole["gans"].keys()
    assert len(generators(tmp_path)) == 1
    assert again[last]["sliced_wasserstein"] == whole["gans"][last]["sliced_wasserstein"]


def test_results_of_another_experiment_are_kept(two_trials, tmp_path):
    run(tmp_path)
    results = tmp_path / "results.json"
    before = results.read_bytes()
    with pytest.raises(experiments.OtherResultsError, match="with different configurations, n_sha"):
        run(tmp_path, n_shapes=65, n_shown=128)
    assert results.read_bytes() == before
    results.write_text('{"gans": 3}')
    with pytest.raises(experiments.OtherResultsError, match=r"no valid results .*move it away"):
        run(tmp_path)


def test_the_command_writes_what_the_chapter_reads(two_trials, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.PRESETS, "smoke", SIZE)
    results = tmp_path / "corrupted_data.json"
    arguments = [
        "experiments",
        "corrupted-data",
        "--preset",
        "smoke",
        "--jobs",
        "1",
        "--runs",
        str(tmp_path),
    ]
    arguments += ["--results", str(results)]
    assert main([*arguments, "--no-large"]) == 0
    monkeypatch.setattr(experiments, "_kept", lambda suffix: results.with_suffix(f".{suffix}"))
    assert "larger" not in experiments.published()
    assert main([*arguments, "--large"]) == 0
    assert str(results) in capsys.readouterr().out
    written = experiments.published()
    assert {row["share"] for row in written["trials"]} == {0.5, 0.9}
    assert written["configurations"]["trials"]["last_images"] == 2 * SIZE.n_shown // 3
    assert written["configurations"]["larger"]["last_images"] == SIZE.n_shown
    assert written["larger"]["arm"] == "masked"
    assert experiments.published_generator().resolution == SIZE.shape_resolution

    monkeypatch.setitem(presets.PRESETS, "smoke", replace(SIZE, n_shapes=65))
    assert main(arguments) == 1
    assert "with different n_shapes" in capsys.readouterr().err


def test_trials_are_found_by_their_settings():
    usual = {"share": experiments.SHARE, "grow": 0, "shift": 0, "n": 200}
    found = {
        "trials": [
            {"arm": "masked", "corrupted": 1} | usual,
            {"arm": "plain", "corrupted": 100} | usual,
            {"arm": "plain", "corrupted": 150} | usual | {"share": 0.9},
        ]
    }
    assert experiments.trials_with(found, arm="plain") == found["trials"][1:2]
    much = experiments.trials_with(found, arm="plain", share=0.9)
    assert experiments.values("red", much) == [0.75]
    assert experiments.values("corrupted", found["trials"]).tolist() == [1, 100, 150]


def test_trials_trained_beside_each_other_are_those_trained_alone(tmp_path):
    trials = {arm: Trial(arm) for arm in ("masked", "plain")}
    folders = experiments.train_beside(trials, SIZE, tmp_path / "beside")
    alone = experiments.train(trials["plain"], SIZE, tmp_path / "alone", progress=False)
    assert list(folders) == ["masked", "plain"]
    for ours, theirs in zip(
        folders["plain"].generator().parameters(), alone.generator().parameters(), strict=True
    ):
        assert ours.equal(theirs)
