"""The generators that come with the package."""

import json
from dataclasses import replace

import numpy as np
import pytest

import facesynth
from facesynth import gan
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import release as face_gan_release
from facesynth.face_gan import released_models
from facesynth.surface.mesh import check_disk

MODELS = tuple(face_gan.CHANNELS)


@pytest.mark.parametrize("model", MODELS)
def test_a_released_model_is_what_its_card_says(model):
    made, card = released_models.released(model), face_gan_release.card(model)
    assert card["model"] == made.model == model
    assert gan.Config.from_json(json.dumps(card["configuration"])) == made.config
    assert card["images of the schedule"] == made.config.images
    if model == "textures":  # whose training was stopped
        assert 0.9 * made.config.images < card["images shown"] < made.config.images
    else:
        assert card["images shown"] == made.config.images
    assert card["parameters"] == sum(p.numel() for p in made.generator.parameters())
    log, grown = face_gan_release.log(model), face_gan_release.growth(model)
    assert log["images"][-1] >= card["images shown"]
    side = made.config.resolution
    assert grown.shape == (len(card["samples after"]), face_gan_release.SHOWN, side, side, 3)
    assert (released_models.folder() / f"{model}.safetensors").stat().st_size < 20e6


@pytest.mark.parametrize(
    "model",
    [
        *("textures", "geometries"),
        *(pytest.param(m, marks=pytest.mark.xfail(strict=True)) for m in face_gan.WHOLE),
    ],
)
def test_a_released_model_is_trained_as_the_command_trains_it(model):
    config = face_gan_release.LENGTHS[model].configuration(model)
    released = released_models.released(model).config
    assert replace(config, precision=released.precision) == released  # that is the machine's


@pytest.mark.parametrize("model", MODELS)
def test_a_card_says_how_good_it_is(model):
    found = face_gan_release.card(model)["sliced Wasserstein distances x 1000"]
    parts = {"textures", "geometries"} if face_gan.CHANNELS[model] == 6 else {model}
    assert set(found) == parts | {"n"}
    for part in parts:
        assert set(found[part]) == {"real", "generated", "pca 200", "pca all"}
        for rows in found[part].values():
            assert all(0 < value < 500 for value in rows.values())


def test_all_scans_are_compared_with_clean_ones():
    found = face_gan_release.comparison()
    kinds = {(run["scans"], run["masks"]) for run in found["runs"]}
    assert kinds == {(s, m) for s in ("all", "clean") for m in ("paired", "none")}
    assert len(found["runs"]) == 4 * face_gan_release.SEEDS


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
