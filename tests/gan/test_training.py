"""A training run: its schedule, its folder, and the same weights whatever happens on the way."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import filelock
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.io import decode_image

from facesynth.files.atomic import WriteError
from facesynth.gan import (
    Config,
    ConfigError,
    DamagedFileError,
    Discriminator,
    Generator,
    Images,
    LockedRunError,
    OtherDataError,
    OtherRunError,
    PixelRangeError,
    RunFolder,
    UnfinishedRunError,
    fastest_precision,
    load_generator,
    machine,
    sample,
    save_generator,
    to_uint8,
    train,
)
from facesynth.gan.losses import LOSSES

CHECKPOINT, GENERATOR = "checkpoint.safetensors", "generator.safetensors"
# 16 steps: 4 at 4 x 4, 4 while 8 x 8 fades in, and 8 more; each of them is in the log.
TINY = Config(
    resolution=8, latent=4, capacity=64, max_channels=8, group=2, batch={8: 4},
    fade_images=16, stable_images=16, last_images=32, decay_images=24,
    log_images=4, checkpoint_images=8, sample_images=20, masks="paired",
)  # fmt: skip


WHOLE = ((0, 1, 2),)  # all channels are mirrored at once


@pytest.fixture(autouse=True, scope="module")
def cpu():
    """Only there is a run the same bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr(torch.cuda, "device_count", lambda: 0)
        yield


def faces(n=12, channels=3, masks=True):
    """Images that are noise, of which a corner is damaged."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 8, 8, channels), dtype=np.uint8)
    valid = np.ones((n, 8, 8), bool)
    for k, (y, x) in enumerate(rng.integers(0, 6, (n, 2))):
        valid[k, y : y + 3, x : x + 3] = False
    return Images(pixels, valid if masks else None)


def run(config, data, out):
    return train(config, data, out, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped: only to be read."""
    return run(TINY, faces(), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(whole.path, tmp_path / "copy")
    return tmp_path / "copy"


def weights(folder):
    """All tensors of a finished run: both networks, the average and the optimisers' state."""
    return load_file(folder.path / CHECKPOINT) | {
        f"finished.{k}": v for k, v in load_file(folder.path / GENERATOR).items()
    }


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def log(folder):
    """The log but for the time that it took."""
    return {k: v.tolist() for k, v in folder.log().items() if k != "seconds"}


class Watched:
    """Pixels that tell which of them are asked for, and end a run at some batch."""

    def __init__(self, pixels, stop_at=-1):
        self.pixels, self.stop_at, self.asked = pixels, stop_at, []

    def __getattr__(self, name):
        return getattr(self.pixels, name)

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        if len(self.asked) == self.stop_at:
            raise InterruptedError("stopped")
        self.asked.append(index)
        return self.pixels[index]


# -- the configuration and its schedule


def test_a_schedule_by_hand():
    config = Config(
        16, fade_images=10, stable_images=20, last_images=30, batch={4: 8, 16: 4}, group=4
    )
    stages = {
        0: (4, 1.0, 8),
        19: (4, 1.0, 8),
        20: (8, 0.0, 4),  # 8 x 8 takes the batch of the next side that is named
        25: (8, 0.5, 4),
        30: (8, 1.0, 4),
        49: (8, 1.0, 4),
        50: (16, 0.0, 4),
        57: (16, 0.7, 4),
        60: (16, 1.0, 4),
        90: (16, 1.0, 4),
    }
    assert config.images == 90
    for shown, (resolution, alpha, batch) in stages.items():
        stage = config.stage(shown)
        assert (stage.resolution, stage.batch) == (resolution, batch)
        assert stage.alpha == pytest.approx(alpha)


def test_the_learning_rate_falls_to_zero():
    config = replace(TINY, learning_rate=0.1, decay_images=20)  # the last of 64
    assert [config.rate(k) for k in (0, 44, 54, 64)] == pytest.approx([0.1, 0.1, 0.05, 0])
    assert replace(config, decay_images=0).rate(63) == 0.1


def test_training_is_at_the_rate_of_the_schedule(tmp_path):
    slow = replace(TINY, learning_rate=0.1, decay_images=10**6)  # 64 images from its end
    torch.manual_seed(slow.seed)
    before = slow.generator().state_dict()
    after = run(slow, faces(), tmp_path).generator().state_dict()
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert 0 < moved < 16 * 0.1 * 64 / 10**6 * 10  # of 16 steps


def test_the_first_level_does_not_fade_in():
    config = replace(TINY, first_resolution=8)
    assert config.images == 32
    assert [config.stage(k).resolution for k in (0, 31)] == [8, 8]
    assert config.stage(0).alpha == 1


@st.composite
def schedules(draw):
    sides = [4, 8, 16, 32]
    last = draw(st.integers(0, 3))
    return Config(
        sides[last],
        first_resolution=sides[draw(st.integers(0, last))],
        fade_images=draw(st.integers(0, 40)),
        stable_images=draw(st.integers(0, 40)),
        last_images=draw(st.integers(1, 40)),
        batch={4: 6, 16: 4, 32: 2},
        group=2,
    )


@given(schedules())
def test_every_schedule_grows_to_its_end(config):
    shown, before = 0, None
    while shown < config.images:
        stage = config.stage(shown)
        assert 0 <= stage.alpha <= 1
        if before is None:
            if config.stable_images:  # else its time is over
                assert (stage.resolution, stage.alpha) == (config.first_resolution, 1)
        elif stage.resolution == before.resolution:
            assert stage.alpha >= before.alpha  # never falls within a level
        else:
            assert stage.resolution > before.resolution
            if config.fade_images and stage.resolution == 2 * before.resolution:
                # begins at 0, but for what the last batch showed beyond the level's beginning
                assert stage.alpha <= max(0, before.batch - 1) / config.fade_images
        before = stage
        shown += stage.batch
    end = config.stage(config.images)
    assert (end.resolution, end.alpha) == (config.resolution, 1)
    assert config.stage(config.images - config.last_images).alpha == 1


def test_json_gives_the_configuration_back():
    for config in (TINY, Config(1024), Config(64, channels=6, masks="paired", betas=(0.5, 0.9))):
        assert Config.from_json(config.to_json()) == config
    assert json.loads(TINY.to_json())["batch"] == {"8": 4}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose from wgan-gp, non-saturating"),
        ({"masks": "some"}, "unknown masks 'some'; choose from none, paired, indep"),
        ({"precision": "16-true"}, "unknown precision '16-true'; choose from 32-true, bf16-mixed"),
        ({"resolution": 12}, "power of two and at least 4, got 12"),
        ({"resolution": 2}, "power of two and at least 4, got 2"),
        ({"first_resolution": 16}, r"first_resolution must be one of \[4, 8\], got 16"),
        ({"first_resolution": 5}, "first_resolution must be .* got 5"),
        ({"channels": 0}, "channels must be greater than 0, got 0"),
        ({"latent": 0}, "latent must be greater than 0"),
        ({"capacity": -1}, "capacity must be greater than 0, got -1"),
        ({"max_channels": 0}, "max_channels must be"),
        ({"penalty_every": 0}, "penalty_every must be"),
        ({"last_images": 0}, "last_images must be"),
        ({"group": 0}, "group must be"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"average_images": -1.0}, "average_images must be"),
        ({"checkpoint_images": 0}, "checkpoint_images must be"),
        ({"sample_images": 0}, "sample_images"),
        ({"log_images": 0}, "log_images"),
        ({"fade_images": -1}, "fade_images must be at least 0, got -1"),
        ({"stable_images": -1}, "stable_images"),
        ({"penalty": -1.0}, "penalty"),
        ({"seed": -1}, "seed"),
        ({"batch": {8: 0}}, "batch"),
        ({"batch": {8: -4}}, "batch"),
        ({"batch": {8: 5}}, "the batch at 4 x 4 must be a multiple of group = 2, got 5"),
        ({"batch": {4: 4}}, "batch must have an entry for 8 x 8 pixels or more"),
        ({"batch": {}}, "batch must have an entry for 4 x 4"),
        ({"mirrored": ((0, 3),)}, r"mirrored must name channels from 0 to 2, .* got \[0, 3\]"),
        ({"mirrored": ((0, 1), (1,))}, r"each at most once, got \[0, 1, 1\]"),
        ({"negated": (-1,)}, r"negated must name channels from 0 to 2, .* got \[-1\]"),
        ({"mirrored": ((0,), (1, 2)), "masks": "paired"}, "one group of all 3 channels, or empty"),
        ({"masked_channels": 4}, "masked_channels must be from 1 to 3, .* got 4"),
        ({"masked_channels": 0}, "masked_channels must be .* got 0"),
    ],
)
def test_a_setting_that_no_run_can_have_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **setting)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "3", '{"batch": {"8": 4}, "betas": [0, 0.99]}', "null"]
    + [TINY.to_json().replace(a, b) for a, b in (("latent", "lament"), ('"8": 4', '"x": 4'))]
    + [TINY.to_json().replace("relativistic", "hinge")],
)
def test_what_is_no_configuration_is_named(text):
    with pytest.raises(ConfigError, match="not a valid configuration of a run"):
        Config.from_json(text)


@pytest.mark.parametrize(
    ("setting", "data", "message"),
    [
        ({"resolution": 16, "batch": {16: 4}}, faces(), "resolution is 16 .* but 8 in the images"),
        ({"channels": 6}, faces(), "channels is 6 in the configuration, but 3 in the images"),
        ({}, faces(channels=1), "channels is 3 in the configuration, but 1 in the images"),
        (
            {"masks": "paired"},
            faces(masks=False),
            "masks is 'paired' .* but the images have no masks: add",
        ),
        ({"masks": "independent"}, faces(masks=False), "masks is 'independent'"),
        ({"masks": "none"}, faces(), r"have masks, but masks is 'none' .* or train on unmasked"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_named(setting, data, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run(replace(TINY, **setting), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_are_kept_as_python_s(whole):
    config = replace(TINY, seed=np.int64(3), latent=np.int32(4), learning_rate=np.float64(0.002))
    assert Config.from_json(config.to_json()) == config == replace(TINY, seed=3)
    images = sample(whole.generator(), 2, seed=np.int64(3))
    np.testing.assert_array_equal(images, sample(whole.generator(), 2, seed=3))
    for seed in (True, 3.0):
        with pytest.raises(ConfigError, match="a seed is a whole number"):
            replace(TINY, seed=seed)


def test_pixels_that_are_read_only_now_are_refused_before_training(tmp_path):
    np.save(tmp_path / "pixels.npy", faces().pixels.astype(np.float32))
    data = Images(np.load(tmp_path / "pixels.npy", mmap_mode="r"), faces().masks)
    with pytest.raises(PixelRangeError, match="from 0 to 255"):
        run(TINY, data, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_batch_that_no_level_takes_does_not_matter(tmp_path):
    run(replace(TINY, batch={8: 4, 1024: 3}), faces(), tmp_path / "run").generator()


# -- the folder


def test_what_a_finished_run_leaves(whole):
    lines = log(whole)
    stages = [TINY.stage(shown) for shown in range(0, 64, 4)]
    assert lines["images"] == list(range(4, 68, 4))
    assert lines["resolution"] == [stage.resolution for stage in stages]
    assert lines["alpha"] == [stage.alpha for stage in stages]
    for name in ("discriminator_loss", "penalty", "generator_loss"):
        assert np.isfinite(lines[name]).all()
        assert len(set(lines[name])) > 1
    seconds = whole.log()["seconds"]
    assert (np.diff(seconds) > 0).all()
    assert seconds[0] > 0

    grids = whole.samples()
    assert list(grids) == [20, 40, 60, 64]
    sides = [decode_image(path).shape[1:] for path in grids.values()]
    assert sides == [(8 * (8 + 2) + 2,) * 2] * 4  # 8 x 8 samples of 8 x 8, 2 pixels apart
    assert not list(whole.path.rglob("*.part"))
    assert whole.config == TINY
    assert whole.made_by["torch"] == torch.__version__.partition("+")[0]
    assert set(whole.made_by) == {"torch", "machine", "finished"}


def tensorboard(folder):
    """What TensorBoard shows of one column: the images shown and the values."""
    events = EventAccumulator(str(folder.path / "tensorboard")).Reload().Scalars("generator_loss")
    return [event.step for event in events], [event.value for event in events]


def test_tensorboard_has_the_log(whole):
    shown, values = tensorboard(whole)
    assert shown == log(whole)["images"]
    np.testing.assert_allclose(values, log(whole)["generator_loss"], rtol=1e-6)


def test_tensorboard_goes_on_with_the_log(whole, tmp_path):
    data = faces()
    with pytest.raises(InterruptedError):
        run(TINY, Images(Watched(data.pixels, 7), data.masks), tmp_path)
    time.sleep(1.1)  # its files are in order by the second
    assert tensorboard(run(TINY, data, tmp_path)) == tensorboard(whole)


def test_a_run_into_a_new_folder_of_a_new_folder(tmp_path):
    folder = run(replace(TINY, last_images=4), faces(), str(tmp_path / "a" / "b"))
    assert folder.generator().resolution == 8


def test_no_run_and_an_unfinished_one_are_named(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(UnfinishedRunError, match=r"no run in .*run: train one"):
        _ = folder.config
    folder.open(TINY, faces())
    assert folder.config == TINY
    with pytest.raises(UnfinishedRunError, match=r"no finished run in .*: call train\(\)"):
        folder.generator()
    assert folder.samples() == {}


def test_a_run_of_another_configuration_is_named(copy):
    other = replace(TINY, seed=1, learning_rate=0.001)
    with pytest.raises(OtherRunError, match=r"learning_rate 0\.002, now 0\.001; seed 0, now 1"):
        run(other, faces(), copy)
    assert RunFolder(copy).config == TINY
    (copy / "config.json").write_text("{}")
    with pytest.raises(OtherRunError, match=r"config\.json: .* train into another folder"):
        run(TINY, faces(), copy)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: Images(255 - d.pixels, d.masks), "other pixels, masks or order"),
        (lambda d: Images(d.pixels, ~d.masks | np.eye(d.resolution, dtype=bool)), "other pixels"),
        (lambda d: Images(d.pixels[::-1].copy(), d.masks[::-1].copy()), "order"),
        (lambda d: Images(d.pixels[1:], d.masks[1:]), "images 12, now 11"),
        (lambda d: Images(d.pixels), "masks True, now False"),
        (lambda d: Images(d.pixels / np.float32(255), d.masks), "dtype 'uint8', now 'float32'"),
    ],
)
def test_other_data_is_another_run(copy, finished, change, message):
    if not finished:
        (copy / GENERATOR).unlink()
    before = contents(copy)
    with pytest.raises(OtherDataError, match=f"{message}.*train into another folder"):
        RunFolder(copy).open(TINY, change(faces()))
    assert contents(copy).items() >= before.items()


def test_the_folder_tells_what_data_a_run_learns_from(whole):
    assert json.loads((whole.path / "data.json").read_text()) == {
        "images": 12,
        "resolution": 8,
        "channels": 3,
        "dtype": "uint8",
        "masks": True,
        "fingerprint": faces().fingerprint(),
    }


def test_a_run_resumes_with_the_same_data_from_a_file(whole, tmp_path):
    data = faces()
    with pytest.raises(InterruptedError):
        run(TINY, Images(Watched(data.pixels, 7), data.masks), tmp_path / "run")
    np.save(tmp_path / "pixels.npy", data.pixels)
    mapped = Images(np.load(tmp_path / "pixels.npy", mmap_mode="r"), data.masks)
    assert equal(weights(run(TINY, mapped, tmp_path / "run")), weights(whole))


def test_a_process_that_was_killed_before_it_wrote_the_configuration_began_no_run(whole, tmp_path):
    RunFolder(tmp_path).open(TINY, Images(255 - faces().pixels))
    (tmp_path / "config.json").unlink()
    assert equal(weights(run(TINY, faces(), tmp_path)), weights(whole))
    assert (tmp_path / "data.json").read_text() == (whole.path / "data.json").read_text()


def test_results_without_a_configuration_are_not_taken_for_a_new_run(copy):
    (copy / "config.json").unlink()
    with pytest.raises(OtherRunError, match=r"config\.json is missing, .* delete this one"):
        run(TINY, faces(), copy)


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_run_that_does_not_tell_its_data_is_not_resumed(copy, content):
    (copy / "data.json").unlink()
    if content is not None:
        (copy / "data.json").write_text(content)
    with pytest.raises(OtherDataError, match=r"data\.json"):
        run(TINY, faces(), copy)


def test_two_processes_do_not_train_into_one_folder(copy):
    (copy / GENERATOR).unlink()
    code = (
        "import sys, time; from pathlib import Path; from facesynth.gan import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n"
        "    print('locked', flush=True); time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(copy)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"locked\n"
    before = contents(copy)
    with pytest.raises(LockedRunError, match=r"another process is training into .* wait until"):
        run(TINY, faces(), copy)
    assert contents(copy) == before
    other.kill()
    other.wait()
    other.stdout.close()
    run(TINY, faces(), copy)  # a killed process leaves no lock


def test_a_process_that_trains_keeps_others_out_until_it_is_killed(tmp_path):
    config, data = replace(TINY, last_images=320), faces()
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["facesynth.gan"])
    process = processes.Process(
        target=train, args=(config, data, tmp_path / "run"), kwargs={"progress": False}
    )
    process.start()
    while not (tmp_path / "run" / CHECKPOINT).exists():
        assert process.is_alive()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)  # in the midst of its training
    try:
        assert not (tmp_path / "run" / GENERATOR).exists()
        with pytest.raises(LockedRunError, match="or train into another folder"):
            run(config, data, tmp_path / "run")
        whole = run(config, data, tmp_path / "another")
    finally:
        process.kill()
        process.join()
    assert equal(weights(run(config, data, tmp_path / "run")), weights(whole))


def test_a_finished_run_is_read_whoever_holds_its_lock(copy):
    with filelock.FileLock(copy / ".lock"):
        assert run(TINY, faces(), copy).generator().resolution == 8


def test_a_run_that_failed_leaves_no_lock(tmp_path):
    with pytest.raises(InterruptedError):
        run(TINY, Images(Watched(faces().pixels, 3), faces().masks), tmp_path)
    with RunFolder(tmp_path).lock():
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"could not write to .*run: .*; choose another folder"):
        run(TINY, faces(), tmp_path / "file" / "run")


def test_a_finished_run_is_not_trained_again(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    data = Watched(faces().pixels)
    run(TINY, Images(data, faces().masks), copy)
    assert [rows.tolist() for rows in data.asked] == [list(range(12))]  # for the fingerprint
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def cut(content):
    return content[: len(content) // 2]


def empty(_):
    return b""


def flipped_last(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def flipped_first(content):
    start = 8 + int.from_bytes(content[:8], "little")  # after the header
    return content[:start] + bytes([content[start] ^ 128]) + content[start + 1 :]


def other_count(content):
    assert b'"shown":"64"' in content
    return content.replace(b'"shown":"64"', b'"shown":"60"')


@pytest.mark.parametrize("damage", [cut, empty, flipped_last, flipped_first, other_count])
def test_a_damaged_checkpoint_is_named(copy, damage):
    (copy / GENERATOR).unlink()
    path = copy / CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"checkpoint\.safetensors is damaged: .*restore"):
        run(TINY, faces(), copy)


@pytest.mark.parametrize("damage", [cut, empty, flipped_last, flipped_first])
def test_a_damaged_generator_is_named_and_made_again(copy, damage, whole):
    path = copy / GENERATOR
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(DamagedFileError, match=r"generator\.safetensors is damaged: "):
        RunFolder(copy).generator()
    path.unlink()
    folder = run(TINY, faces(), copy)
    assert equal(weights(folder), weights(whole))
    assert log(folder) == log(whole)


# -- the same weights


def test_one_seed_gives_one_run(whole, tmp_path):
    torch.manual_seed(5)  # not what counts
    state = torch.get_rng_state()
    again = run(TINY, faces(), tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), state)
    assert equal(weights(again), weights(whole))
    assert log(again) == log(whole)
    other = run(replace(TINY, seed=1), faces(), tmp_path / "other")
    ours, theirs = weights(whole), weights(other)
    changed = [k for k in ours if k.startswith("finished.") and not torch.equal(ours[k], theirs[k])]
    assert len(changed) == len([k for k in ours if k.startswith("finished.")])


@pytest.mark.parametrize("stop_at", [1, 3, 4, 7, 15])
def test_a_stopped_run_goes_on(stop_at, whole, tmp_path):
    data = faces()
    stopped = Images(Watched(data.pixels, stop_at), data.masks)
    with pytest.raises(InterruptedError, match="stopped"):
        run(TINY, stopped, tmp_path)
    folder = run(TINY, data, tmp_path)
    assert equal(weights(folder), weights(whole))
    assert log(folder) == log(whole)


@pytest.mark.parametrize("stop_at", [5, 7, 11])
def test_lines_of_the_log_need_not_meet_the_checkpoints(stop_at, tmp_path):
    """A line's means are over all its steps, though a checkpoint came between."""
    config, data = replace(TINY, log_images=12, checkpoint_images=8), faces()
    whole = run(config, data, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(config, Images(Watched(data.pixels, stop_at), data.masks), tmp_path / "stopped")
    folder = run(config, data, tmp_path / "stopped")
    assert equal(weights(folder), weights(whole))
    assert log(folder) == log(whole)


@pytest.mark.parametrize("begun", ["", "images,resol", "images,resolution\r\n4,4.0,0."])
def test_a_log_that_was_only_begun_is_begun_again(begun, whole, tmp_path):
    folder = RunFolder(tmp_path)
    folder.open(TINY, faces())
    (tmp_path / "log.csv").write_text(begun)
    assert log(run(TINY, faces(), tmp_path)) == log(whole)


def test_what_a_killed_process_left_half_written_goes(copy):
    (copy / GENERATOR).unlink()
    left = copy / f".{CHECKPOINT}.1.part"
    left.write_bytes(b"half")
    run(TINY, faces(), copy)
    assert not left.exists()


def test_a_run_that_is_killed_five_times_has_the_same_weights(tmp_path):
    config = replace(TINY, stable_images=200, fade_images=200, last_images=400, sample_images=100)
    data = faces()
    whole = run(config, data, tmp_path / "whole")
    killed = RunFolder(tmp_path / "killed")
    processes = multiprocessing.get_context("forkserver")  # it imports the package but once
    processes.set_forkserver_preload(["facesynth.gan"])
    rng = np.random.default_rng(0)

    def start():
        process = processes.Process(
            target=train, args=(config, data, killed.path), kwargs={"progress": False}
        )
        process.start()
        return process

    def lines():
        path = killed.path / "log.csv"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    for _ in range(5):
        process, enough = start(), lines() + rng.integers(1, 15)
        while lines() < enough and process.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))  # some steps and checkpoints later
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (killed.path / GENERATOR).exists()
    process = start()
    process.join()
    assert process.exitcode == 0
    assert equal(weights(killed), weights(whole))
    assert log(killed) == log(whole)
    assert not list(killed.path.rglob("*.part"))
    events = [EventAccumulator(str(path)).Reload() for path in killed.path.glob("tensorboard/*")]
    events = [each for each in events if each.Tags()["scalars"]]
    drawn = {event.step for each in events for event in each.Scalars("generator_loss")}
    assert drawn >= set(log(whole)["images"])  # some of them twice, under what TensorBoard hides
    assert killed.samples().keys() == whole.samples().keys()
    for ours, theirs in zip(killed.samples().values(), whole.samples().values(), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


TRAIN_ALL = """
import os
import sys
from pathlib import Path

import numpy as np

from facesynth.gan import Config, Images, OtherDataError, train

folder = Path(sys.argv[1])
data = Images(np.load(folder / "pixels.npy"), np.load(folder / "masks.npy"))
for path in sorted(folder.glob("*.json")):
    config = Config.from_json(path.read_text())
    train(config, data, folder / path.stem, progress=False)
try:
    train(config, Images(255 - data.pixels, data.masks), folder / path.stem, progress=False)
except OtherDataError:
    (folder / f"refused_{os.environ['RANK']}").touch()
"""


def test_two_processes_train_as_one(tmp_path):
    """Under torchrun, which starts a process for each GPU, or here for each of two CPUs."""
    data = faces()
    np.save(tmp_path / "pixels.npy", data.pixels)
    np.save(tmp_path / "masks.npy", data.masks)
    (tmp_path / "train_all.py").write_text(TRAIN_ALL)
    config = replace(
        TINY, batch={8: 8}, log_images=8, masks="paired", mirrored=WHOLE, penalty_every=2,
        stable_images=40, fade_images=40, last_images=80,
    )  # fmt: skip
    configs = {loss: replace(config, loss=loss) for loss in ("relativistic", "wgan-gp")}
    for loss, each in configs.items():
        (tmp_path / f"{loss}.json").write_text(each.to_json())
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         tmp_path / "train_all.py", tmp_path],
        check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    assert len(list(tmp_path.glob("refused_[01]"))) == 2  # what one refuses, the other does, too
    for loss, each in configs.items():
        one, two = (
            log(run(each, data, tmp_path / f"{loss}_of_one")),
            log(RunFolder(tmp_path / loss)),
        )
        assert len(one["images"]) == 20
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_allclose(two[name], one[name], atol=1e-4, rtol=0, err_msg=name)


def test_a_batch_that_processes_cannot_share_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(
        ConfigError, match=r"a batch of 4 cannot be split among 3 processes .* multiple of 6"
    ):
        run(TINY, faces(), tmp_path)


# -- what is learned from


def test_every_image_is_shown_once_in_each_round(tmp_path):
    data = Watched(faces().pixels)  # 12 images, 64 of which are shown
    run(replace(TINY, masks="none"), Images(data), tmp_path)
    order = np.concatenate(data.asked[1:])  # the first reading is for the fingerprint
    assert len(order) == 64
    rounds = [order[k : k + 12].tolist() for k in range(0, 60, 12)]
    assert all(sorted(each) == list(range(12)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 5


@pytest.mark.parametrize(
    ("masks", "loss"), [*(("paired", loss) for loss in LOSSES), ("independent", "relativistic")]
)
def test_what_is_under_the_masks_is_not_learned(masks, loss, tmp_path):
    config, data = replace(TINY, masks=masks, loss=loss), faces()
    anything = np.random.default_rng(1).integers(0, 256, data.pixels.shape, dtype=np.uint8)
    changed = np.where(data.masks[..., None], data.pixels, anything)
    ours = weights(run(config, data, tmp_path / "a"))
    theirs = weights(run(config, Images(changed, data.masks), tmp_path / "b"))
    assert equal(ours, theirs)
    plain = replace(config, masks="none")
    ours = weights(run(plain, data.unmasked(), tmp_path / "c"))
    assert not equal(ours, weights(run(plain, Images(changed), tmp_path / "d")))


class Seen:
    """Records what the discriminator sees."""

    def __init__(self, monkeypatch):
        self.batches = []
        forward = Discriminator.forward

        def recording(network, image, alpha=1.0):
            self.batches.append(image.detach().clone())
            return forward(network, image, alpha)

        monkeypatch.setattr(Discriminator, "forward", recording)


# Of the images on the left side only, no level hides more than the right side.
LEFT = np.tile(np.arange(8) < 4, (12, 8, 1))
PLAIN = replace(  # sees real, fake, fake
    TINY, loss="non-saturating", penalty=0.0, mirrored=WHOLE, masks="none"
)


def test_real_and_fake_images_have_the_same_masks(monkeypatch, tmp_path):
    seen = Seen(monkeypatch)
    run(replace(PLAIN, masks="paired"), Images(faces().pixels, LEFT), tmp_path)
    sides = set()
    for real, fake, again in zip(*(seen.batches[k::3] for k in range(3)), strict=True):
        assert real.shape[1] == 4
        assert torch.equal(real[:, 3], fake[:, 3])
        assert torch.equal(real[:, 3], again[:, 3])
        for batch in (real, fake):
            hidden = batch[:, 3:] == 0
            assert (batch[:, :3][hidden.expand_as(batch[:, :3])] == 0).all()
            assert (batch[:, :3][~hidden.expand_as(batch[:, :3])] != 0).any()
        half = real.shape[3] // 2
        for mask in real[:, 3]:
            left, right = mask[:, :half], mask[:, half:]
            assert (left == left[0, 0]).all()
            assert (right == 1 - left[0, 0]).all()
            sides.add(float(left[0, 0]))
    assert sides == {0.0, 1.0}  # mirrored, or not


def test_masks_of_other_images_are_mirrored_as_often(monkeypatch, tmp_path):
    """Or the side that is hidden would tell which images are real."""
    seen = Seen(monkeypatch)
    run(replace(PLAIN, masks="independent"), Images(faces().pixels, LEFT), tmp_path)

    def hidden_left(batches):
        flat = torch.stack([x[:, :, :, 0].abs().amax((1, 2)) == 0 for x in batches])
        return flat.double().mean().item()

    assert hidden_left(seen.batches[0::3]) == pytest.approx(0.5, abs=0.25)
    assert hidden_left(seen.batches[1::3]) == pytest.approx(0.5, abs=0.25)


def test_mirrored_images_are_images_from_the_other_side(monkeypatch, tmp_path):
    seen, data = Seen(monkeypatch), faces(masks=False)
    run(replace(PLAIN, first_resolution=8), data, tmp_path)
    known = torch.from_numpy(data.pixels).permute(0, 3, 1, 2) / 127.5 - 1
    turned = []
    for image in torch.cat(seen.batches[0::3]):
        as_is, mirrored = ((known - x).abs().amax((1, 2, 3)) < 1e-6 for x in (image, image.flip(2)))
        assert as_is.any() != mirrored.any()
        turned.append(mirrored.any().item())
    assert 0.2 < np.mean(turned) < 0.8


def test_channels_are_mirrored_on_their_own_and_change_their_sign(monkeypatch, tmp_path):
    seen, data = Seen(monkeypatch), faces(masks=False)
    config = replace(PLAIN, mirrored=((0,), (1, 2)), negated=(0,), first_resolution=8)
    run(config, data, tmp_path)
    known = torch.from_numpy(data.pixels).permute(0, 3, 1, 2) / 127.5 - 1
    variants = {
        (a, b): torch.cat([-x.flip(3) if a else x, y.flip(3) if b else y], 1)
        for x, y in (known.split((1, 2), 1),)
        for a in (False, True)
        for b in (False, True)
    }
    turned = []
    for image in torch.cat(seen.batches[0::3]):
        (found,) = (
            turns
            for turns, images in variants.items()
            if ((images - image).abs().amax((1, 2, 3)) < 1e-6).any()
        )
        turned.append(found)
    assert set(turned) == set(variants)


@pytest.mark.parametrize("masks", ["paired", "independent"])
def test_masks_hide_the_first_channels_only(masks, monkeypatch, tmp_path):
    seen = Seen(monkeypatch)
    config = replace(PLAIN, masks=masks, masked_channels=1, mirrored=())
    run(config, Images(faces().pixels, LEFT), tmp_path)
    for batch in seen.batches:
        half = batch.shape[3] // 2
        hidden = (batch[:, :3, :, half:] == 0).all(3).all(2)  # what is not LEFT
        assert hidden[:, 0].all()
        assert not hidden[:, 1:].any()


def test_a_penalty_now_and_then_is_as_heavy_as_one_at_each_step(tmp_path):
    config = replace(TINY, penalty_every=4, learning_rate=1e-12)  # networks stay as they are
    every = log(run(replace(config, penalty_every=1), faces(), tmp_path / "every"))["penalty"]
    rare = log(run(config, faces(), tmp_path / "rare"))["penalty"]
    for k in range(16):
        expected = 4 * every[k] if k % 4 == 0 else 0
        assert rare[k] == pytest.approx(expected, rel=1e-4)


def test_a_half_life_of_nothing_leaves_no_average(tmp_path):
    tensors = weights(run(replace(TINY, average_images=1e-6), faces(), tmp_path))
    for name, tensor in tensors.items():
        if name.startswith("finished."):
            assert torch.equal(tensor, tensors[name.replace("finished.", "g.")])


def test_the_average_lags_behind(whole):
    tensors = weights(whole)
    assert any(
        not torch.equal(tensor, tensors[name.replace("finished.", "g.")])
        for name, tensor in tensors.items()
        if name.startswith("finished.")
    )


@pytest.mark.parametrize("channels", [1, 6])
def test_images_of_any_channels_can_be_learned(channels, tmp_path):
    config = replace(TINY, channels=channels, last_images=4)
    folder = run(config, faces(channels=channels), tmp_path)
    assert sample(folder.generator(), 2, seed=0).shape == (2, 8, 8, channels)
    assert folder.samples()


# -- samples


def test_a_finished_generator_makes_samples(whole):
    generator = whole.generator()
    assert not generator.training
    assert not any(p.requires_grad for p in generator.parameters())
    images = sample(generator, 7, seed=3)
    assert images.shape == (7, 8, 8, 3)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(sample(generator, 7, seed=3), images)
    np.testing.assert_allclose(sample(generator, 7, seed=3, batch=2), images, atol=1e-5)
    assert not np.allclose(sample(generator, 7, seed=4), images)
    assert np.ptp(images, axis=0).max() > 0.01  # no two are the same


def test_a_generator_is_what_was_saved(tmp_path):
    torch.manual_seed(0)
    config = replace(TINY, channels=6, latent=3)
    generator = config.generator()
    path = str(tmp_path / "new" / "generator.safetensors")
    save_generator(generator, config, path)
    loaded = load_generator(path)
    assert isinstance(loaded, Generator)
    np.testing.assert_array_equal(sample(loaded, 3, seed=0), sample(generator, 3, seed=0))


def test_eight_bits_survive_the_way_there_and_back():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(to_uint8(values.astype(dtype) / 127.5 - 1), values)
    images, _ = Images(values).batch(np.array([0]), 16, 1.0, torch.device("cpu"))
    np.testing.assert_array_equal(to_uint8(images.numpy())[0, 0], values[0, ..., 0])


def test_to_uint8_rounds_and_clips():
    near = np.array([-5, -1.001, 1.001, 5, (99.4 / 127.5) - 1, (99.6 / 127.5) - 1])
    assert to_uint8(near).tolist() == [0, 0, 255, 255, 99, 100]


@pytest.mark.parametrize(
    ("bfloat16", "precision"), [(0.5, "bf16-mixed"), (0.95, "32-true"), (2, "32-true")]
)
def test_precision_is_mixed_only_where_that_is_faster(bfloat16, precision, monkeypatch):
    seconds = {torch.float32: 1.0, torch.bfloat16: bfloat16}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_seconds_to_convolve", seconds.get)
    fastest_precision.cache_clear()
    assert fastest_precision() == precision
    fastest_precision.cache_clear()


def test_a_convolution_takes_time():
    assert 0 < machine._seconds_to_convolve(torch.float32) < 1
