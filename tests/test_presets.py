from dataclasses import FrozenInstanceError, fields

import pytest

from facesynth.presets import (
    PRESETS,
    TRAINED,
    Preset,
    UnknownOverrideError,
    UnknownPresetError,
    preset,
    trainable,
)


def test_the_papers_sizes():
    paper = preset("paper")
    assert (paper.n_scans - paper.n_test, paper.n_test) == (4963, 297)
    assert (paper.resolution, paper.n_components, paper.n_samples) == (1024, 200, 10_000)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_leaves_a_model_enough_scans(name):
    size = preset(name)
    assert size.name == name
    assert size.n_components < size.n_subjects
    assert size.n_components < size.n_scans - size.n_test
    assert size.n_samples > size.n_components  # Figure 1 compares as many faces as it has samples


def test_presets_grow():
    smoke, standard, paper = (preset(name) for name in ("smoke", "standard", "paper"))
    for field in ("n_scans", "resolution", "n_components", "n_samples", "render_size"):
        sizes = [getattr(size, field) for size in (smoke, standard, paper)]
        assert sizes == sorted(sizes)


def test_overrides_leave_the_preset_alone():
    assert preset("smoke", resolution=32, n_test=4).resolution == 32
    assert preset("smoke").resolution == PRESETS["smoke"].resolution != 32


def test_without_a_gpu_only_the_trainings_are_smaller():
    paper, standard = preset("paper"), preset("standard")
    assert trainable(paper, gpu=True) == paper
    found = trainable(paper, gpu=False)
    for field in fields(Preset):
        of = standard if field.name in TRAINED else paper
        assert getattr(found, field.name) == getattr(of, field.name)
    for size in (standard, preset("smoke")):
        assert trainable(size, gpu=False) == size


def test_a_preset_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        preset("smoke").resolution = 1  # type: ignore[misc]


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UnknownPresetError, match=r"'smok'.*smoke, standard, paper"):
        preset("smok")
    assert issubclass(UnknownPresetError, ValueError)


def test_unknown_override_names_the_known_ones():
    with pytest.raises(UnknownOverrideError, match=r"no resolutoin; it has n_subjects"):
        preset("smoke", resolutoin=1)
    assert issubclass(UnknownOverrideError, TypeError)


@pytest.mark.parametrize("value", [0, -1, 2.5, "64"])
def test_a_size_that_no_run_can_have(value):
    with pytest.raises(ValueError, match=r"'smoke': resolution must be an integer >= 1"):
        preset("smoke", resolution=value)
