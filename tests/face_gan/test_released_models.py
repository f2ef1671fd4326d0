"""The generators that come with the package."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import facesynth
from facesynth import gan
from facesynth.dataset import dataset
from facesynth.evaluation.artefacts import artefacts
from facesynth.face_gan import damaged_scans, released_models, scoring
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import release as face_gan_release
from facesynth.surface.mesh import check_disk

MODELS = tuple(face_gan.CHANNELS)


@pytest.mark.parametrize("model", MODELS)
def test_a_released_model_is_what_its_card_says(model):
    made, card = released_models.released(model), face_gan_release.card(model)
    assert card["model"] == made.model == model
    assert gan.Config.from_json(json.dumps(card["configuration"])) == made.config
    assert card["images of the schedule"] == made.config.images
    assert card["images shown"] == made.config.images
    assert card["parameters"] == sum(p.numel() for p in made.generator.parameters())
    log, grown = face_gan_release.log(model), face_gan_release.growth(model)
    assert log["images"][-1] >= card["images shown"]
    side = made.config.resolution
    assert grown.shape == (len(card["samples after"]), face_gan_release.SHOWN, side, side, 3)
    assert (released_models.folder() / f"{model}.safetensors").stat().st_size < 20e6


@pytest.mark.parametrize("model", MODELS)
def test_a_released_model_is_trained_as_the_command_trains_it(model):
    length, made = face_gan_release.LENGTHS[model], released_models.released(model)
    config = length.configuration(model, rest=made.tells_rest)
    assert replace(config, precision=made.config.precision) == made.config  # that is the machine's
    assert made.resolution == length.resolution
    shown = {detail["tiles shown"] for detail in face_gan_release.card(model)["details"]}
    assert shown <= {length.n_last}
    tiles = gan.Tiles(gan.Images(np.zeros((1, 256, 256, 4), np.uint8)))
    for network in made.details:
        detail = face_gan.detail_configuration(tiles, channels=48, n_shown=length.n_last)
        ours, theirs = (of.state_dict() for of in (detail.generator(), network))
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_the_same_subjects_were_held_out_of_all():
    first, *others = (face_gan_release.card(model)["data"] for model in MODELS)
    assert all(other["held out"] == first["held out"] for other in others)
    assert face_gan_release.card("faces")["data"]["fingerprint"] == dataset.released().fingerprint
    training, test = face_gan_release.released_scans(20, 20)
    assert len(np.unique(training.subjects)) == 16
    assert len(test) == 20
    names = np.array(test.subject_names)
    assert {*names[test.subjects]} <= {*first["held out"]}
    assert not {*names[training.subjects]} & {*first["held out"]}


@pytest.mark.parametrize("model", MODELS)
def test_a_card_says_how_good_it_is(model):
    found = face_gan_release.card(model)["sliced Wasserstein distances x 1000"]
    parts = {model}
    if model == "faces":
        parts = {"textures", "geometries", "geometries at rest"}
        parts |= {"geometries, before they are lifted"}
    assert set(found) == parts | {"n"}
    for part in parts:
        assert set(found[part]) == {"real", "generated", "pca 200", "pca all"}
        for rows in found[part].values():
            assert all(0 < value < 500 for value in rows.values())


def test_all_scans_are_compared_with_clean_ones():
    found = damaged_scans.comparison()
    kinds = Counter((run["scans"], run["masks"], run["loss"]) for run in found["runs"])
    expected = {
        (scans, masks, damaged_scans.OURS): seeds
        for scans in ("all", "clean")
        for masks, seeds in damaged_scans.SEEDS.items()
    }
    assert kinds == expected | {
        ("all", "none", damaged_scans.PAPERS): damaged_scans.SEEDS_OF_PAPERS
    }


def test_differences_of_kinds_are_paired_by_their_seeds():
    def run(scans, distance):
        return {
            "scans": scans,
            "masks": "paired",
            "loss": damaged_scans.OURS,
            "to clean scans held out": {"mean": distance},
        }

    found = {"runs": [run("all", 5.0), run("clean", 4.0), run("all", 8.0), run("clean", 6.0)]}
    every, clean = (damaged_scans.runs(found, scans) for scans in ("all", "clean"))
    assert damaged_scans.distances(every).tolist() == [5, 8]
    assert damaged_scans.difference(every, clean).value == 1.5
    assert damaged_scans.runs(found, "all", masks="none") == []


def test_generated_faces_are_whole_and_none_is_another():
    made = facesynth.synthesize(16, seed=5)
    shapes = np.stack([face.vertices for face in made])
    still = released_models.released("faces").geometries.mean
    away = np.linalg.norm(shapes - still, axis=2).mean(axis=1)
    assert np.isfinite(shapes).all()
    assert ((away > 1) & (away < 30)).all()  # mm
    for face in made:
        check_disk(face.vertices, face.faces)
        assert face.texture.std() > 5  # not one colour
    between = np.linalg.norm(shapes[:, None] - shapes, axis=3).mean(axis=2)
    assert between[~np.eye(16, dtype=bool)].min() > 0.3


ROWS = 1.35  # generated textures have a little too much power along rows


def check_artefacts(found, rows):
    """No checkerboards, no rim, no cast."""
    assert 0.75 < found["rows"] < rows
    assert all(0.75 < found[name] < 1.25 for name in ("columns", "rim"))
    assert 0.9 < found["colours"] < 1.1


@pytest.mark.parametrize("part", ["textures", "geometries", "geometries at rest"])
def test_nothing_gave_generated_images_away_when_the_card_was_written(part):
    found = face_gan_release.card("faces")["fidelity"][part]
    check_artefacts(found, ROWS if part == "textures" else 1.25)


def test_nothing_gives_generated_textures_away_at_a_glance():
    scans = dataset.released().textures[3::20]
    made = scoring.in_parts(released_models.released("faces"), len(scans), 3, resolution=256)
    check_artefacts(vars(artefacts(scans, made.textures)), ROWS)
