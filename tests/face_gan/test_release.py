"""Generators from the first scan to the card, as small as they can be."""

import copy
import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
import untrained
from changed_scans import changed
from PIL import Image

import facesynth
from facesynth import gan
from facesynth.command import main
from facesynth.dataset.dataset import Dataset
from facesynth.dataset.sources import DatasetError
from facesynth.evaluation.scores import shrunk, shrunk_masks
from facesynth.face_gan import damaged_scans, lift, released_models, scoring, tuning
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import release as face_gan_release
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.detailing import detailed
from facesynth.face_gan.release import Length
from facesynth.geometry_fitting import LeastSquaresFit
from facesynth.population import sample
from facesynth.surface.mesh import MeshArrayError
from facesynth.template import standard

N, N_TEST, R = 24, 12, 32
SMALL = Length(R, 8, 24)


@pytest.fixture(scope="module")
def faces():
    drawn = sample(N, 2, resolution=2 * R, progress=False)
    valid = np.ones((N, 2 * R, 2 * R), bool)
    for k in range(N):  # each hides another part of the face
        valid[k, 16 + k, 16 : 20 + k] = False
    return Dataset.of(drawn.geometry, drawn.textures, valid)


@pytest.fixture(scope="module", autouse=True)
def sizes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_gan_release, "LENGTHS", dict.fromkeys(face_gan.CHANNELS, SMALL))
        patch.setattr(face_gan_release, "N_TEST", N_TEST)
        patch.setattr(face_gan_release, "FEWEST", 8)
        patch.setattr(damaged_scans, "N_COMPARED", N_TEST)
        patch.setattr(scoring, "COMPONENTS", (3, None))
        patch.setattr(damaged_scans, "SEEDS", {"paired": 2, "none": 1})
        patch.setattr(damaged_scans, "SEEDS_OF_PAPERS", 1)
        yield


@pytest.fixture(scope="module")
def weights(faces, sizes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for model in face_gan.CHANNELS:
        face_gan_release.train(model, faces, folder, n_test=N_TEST, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(released_models, "folder", lambda: folder)
        yield folder


@pytest.mark.parametrize("model", face_gan.CHANNELS)
def test_a_card_says_what_was_trained_on_what_and_how_good_it_is(model, faces, weights):
    made, card = (
        released_models.load(weights, model),
        face_gan_release.card(model),
    )
    assert (card["model"], card["data"]) == (
        model,
        {
            "fingerprint": faces.fingerprint,
            "subjects": N - N_TEST,
            "scans": N - N_TEST,
            "held out": [str(k) for k in range(N_TEST)],
        },
    )
    assert gan.Config.from_json(json.dumps(card["configuration"])) == made.config
    if model == "faces":
        assert made.lift.noise in tuning.NOISES
    assert card["images shown"] == card["images of the schedule"] == made.config.images
    assert set(card["fidelity"]) == {*card["sliced Wasserstein distances x 1000"]} - {"n"}
    assert all(numbers["rows"] > 0 for numbers in card["fidelity"].values())
    found = card["sliced Wasserstein distances x 1000"]
    assert found.pop("n") == (N - N_TEST) // 2
    parts = {model}
    if model == "faces":
        parts = {"textures", "geometries", "geometries, before they are lifted"}
    assert set(found) == parts
    for rows in found.values():
        assert set(rows) == {"real", "generated", "pca 3", "pca all"}
        assert min(rows["generated"]["32"], rows["real"]["32"]) > 0
        if model != "faces":  # which begin well
            assert rows["generated"]["32"] > rows["real"]["32"]  # hardly trained at all


def test_what_was_logged_and_made_on_the_way_is_kept(weights):
    log, run = face_gan_release.log("faces"), gan.RunFolder(weights / "runs" / "faces")
    np.testing.assert_allclose(log["images"], run.log()["images"])
    grown = face_gan_release.growth("faces")
    assert grown.shape == (len(run.samples()), face_gan_release.SHOWN, R, R, 3)
    with Image.open(run.samples()[max(run.samples())]) as grid:
        first = np.asarray(grid)[2 : R + 2, 2 : R + 2].astype(float)
    assert np.abs(grown[-1, 0] - first).mean() < 15  # grey levels: noise is compressed badly


def test_a_finished_run_is_released_again_as_it_was(faces, weights, tmp_path):
    again = face_gan_release.train(
        "textures", faces, tmp_path, runs=weights / "runs", n_test=N_TEST, progress=False
    )
    assert json.loads(json.dumps(again)) == face_gan_release.card("textures")
    for name in ("textures.csv", "textures.webp"):
        assert (tmp_path / name).read_bytes() == (weights / name).read_bytes()
    ours, theirs = (
        released_models.load(folder, "textures").generator.state_dict()
        for folder in (tmp_path, weights)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    digest = hashlib.sha256((tmp_path / "textures.safetensors").read_bytes()).hexdigest()
    assert f"{digest}  textures.safetensors" in (tmp_path / "SHA256SUMS").read_text()


def test_all_scans_and_clean_ones_are_compared_with_masks_and_without(faces, tmp_path):
    found = damaged_scans.compare(
        faces, tmp_path / "runs", tmp_path / "weights", n_jobs=1, length=SMALL
    )
    assert found == json.loads((tmp_path / "weights" / "all_or_clean.json").read_text())
    kinds = [(run["scans"], run["masks"], run["seed"], run["loss"]) for run in found["runs"]]
    assert [kind for kind in kinds if kind[3] == "wgan-gp"] == [("all", "none", 0, "wgan-gp")]
    assert sorted(kinds[:-1]) == sorted(
        (scans, masks, seed, "relativistic")
        for scans in ("all", "clean")
        for masks in ("paired", "none")
        for seed in range(2 if masks == "paired" else 1)
    )
    assert found["scans"]["all"] == N - N_TEST > found["scans"]["clean"]
    assert N_TEST > found["scans"]["held out"] > 0
    for run in found["runs"]:
        distances = run["to clean scans held out"]
        assert distances["mean"] > found["real"] > 0
        ours = run["loss"] == damaged_scans.OURS
        assert 0 < run["discriminator's loss"] < 2 or not ours
        assert distances["mean"] == pytest.approx((distances["32"] + distances["16"]) / 2)
        kind = f"{run['scans']}-{run['masks']}" + ("" if ours else f"-{run['loss']}")
        config = gan.RunFolder(tmp_path / "runs" / f"{kind}-{run['seed']}").config
        assert (config.masks, config.seed) == (run["masks"], run["seed"])
        assert config.loss == run["loss"]


def test_an_unknown_model_or_data_set_is_named(tmp_path, capsys):
    command = ["train", str(tmp_path / "none"), "--out", str(tmp_path / "models"), "--model"]
    assert main([*command, "hair"]) == 2
    assert "'hair' is not one of 'textures'" in capsys.readouterr().err
    assert main([*command, "textures"]) == 1
    assert "contains no finished data set" in capsys.readouterr().err


def test_textures_get_the_geometry_that_least_squares_finds(faces, weights):
    made = released_models.load(weights, "textures")
    training, _ = face_gan.split(faces, N_TEST)
    found = made.fit.predict(training.textures)
    k = made.fit.weights.shape[0]
    rows = face_gan.shrunk(training.textures, R).reshape(len(training), -1) / np.float32(255)
    exact = LeastSquaresFit(k, k).fit(rows, training.geometry.reshape(len(training), -1))
    truth = exact.predict(rows).reshape(found.shape)
    np.testing.assert_allclose(found, truth, atol=0.02)  # mm: bases are in half precision
    assert made.makes_faces
    faces = made.make(made.latents(2, seed=0))
    assert faces.geometry.shape == (2, *standard().vertices.shape)
    assert faces.textures.shape == (2, R, R, 3)


@pytest.mark.parametrize(
    "change",
    [lambda t: t / np.float32(255), lambda t: t.astype(np.uint16), lambda t: t[0],
     lambda t: t[:, : R // 2, : R // 2], lambda t: t[..., :1], lambda t: t.reshape(len(t), -1)],
)  # fmt: skip
def test_textures_that_no_fit_takes_are_named(change, faces, weights):
    fit = released_models.load(str(weights), "textures").fit
    with pytest.raises(MeshArrayError, match=rf"expected \(n, R, R, 3\), uint8, .* {R} pixels"):
        fit.predict(change(faces.textures))


def test_what_was_held_out_is_known_for_the_model_s_own_scans_only(faces, weights):
    made = released_models.load(weights, "faces")
    training, test = face_gan_release.held_out(weights, made, faces)
    assert (len(training), len(test)) == (N - N_TEST, N_TEST)
    assert not set(training.subjects) & set(test.subjects)
    with pytest.raises(released_models.WeightsError, match="has learned from other scans than"):
        face_gan_release.held_out(weights, made, faces.take(np.arange(N) > 0))
    points = standard().vertices + [0, 0, 1e-3]
    other = dataclasses.replace(faces, template=dataclasses.replace(standard(), vertices=points))
    with pytest.raises(released_models.WeightsError, match="aligned with another template"):
        face_gan_release.held_out(weights, made, other)
    with pytest.raises(released_models.WeightsError, match="holds models of another template"):
        face_gan_release.train("faces", other, weights, runs=weights / "other", progress=False)
    assert not (weights / "other").exists()  # nothing was trained


@pytest.mark.parametrize(
    ("n", "settings", "message"),
    [
        (7, {}, "7 scans are too few to learn from: 8 are the least"),
        (8, {"n_test": 8}, "cannot hold out 8 of 8 scans: 4 are the least"),
        (8, {"n_test": 0}, "cannot hold out 0 of 8 scans"),
        (9, {"n_test": 6}, "get more scans, or hold out fewer"),
        (N, {"length": Length(4 * R, 8, 24)}, "64 pixels do not shrink to 128: build the data set"),
    ],
)
@pytest.mark.parametrize("model", face_gan.CHANNELS)
def test_what_cannot_be_learned_from_is_named_before_hours_of_training(
    model, n, settings, message, faces, tmp_path
):
    with pytest.raises(DatasetError, match=message):
        face_gan_release.train(model, faces.take(np.arange(N) < n), tmp_path, **settings)
    alone = changed(faces, subjects=np.zeros(N, int))
    with pytest.raises(DatasetError, match="all scans are of one subject, 0: nobody could be"):
        face_gan_release.train(model, alone, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_has_at_most_the_pixels_of_the_scans(faces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_gan_release, "LENGTHS", {"faces": Length(512, 8, 24)})
        assert face_gan_release.length_for("faces", faces) == Length(2 * R, 8, 24)


@pytest.fixture(scope="module")
def expressive():
    """Scans of 128 pixels, with and without an expression."""
    drawn = sample(6, 3, resolution=128, expressions=True, progress=False)
    geometry = drawn.expressions[:, :2].reshape(12, -1, 3)
    textures = drawn.textures.repeat(2, axis=0)
    return Dataset.of(
        geometry,
        textures,
        displacement=np.random.default_rng(0).normal(0, 0.1, textures.shape[:3]),
        subjects=np.arange(6).repeat(2),
        expressions=np.tile([0, 1], 6),
        expression_names=("neutral", "smile"),
    )


@pytest.fixture(scope="module")
def fine(expressive, tmp_path_factory):
    """Whole faces of 128 pixels; model and card."""
    folder = tmp_path_factory.mktemp("fine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "COMPONENTS", (2,))
        patch.setattr(scoring, "N_SCORED", 3)  # scans, some of them without their neutral ones
        length = Length(128, 8, 16, 16)
        card = face_gan_release.train("faces", expressive, folder, length=length, progress=False)
    return folder, card


def test_whole_faces_get_detail_and_displacement(fine):
    """From 64 pixels to 128, as the scans have them."""
    folder, card = fine
    made = released_models.load(folder, "faces")
    assert (made.config.resolution, made.resolution) == (64, 128)
    (detail,) = card["details"]
    assert (detail["resolution"], detail["scans"], detail["tiles shown"]) == (128, 10, 16)
    assert detail["parameters"] == sum(p.numel() for p in made.details[0].parameters()) > 0
    parts = card["sliced Wasserstein distances x 1000"]
    assert set(parts["textures"]["generated"]) == {128, 64, 32, 16}
    assert made.lift.noise == lift.NOISE  # too few are held out to choose by
    faces = made.make(made.latents(2, 0))
    assert faces.textures.shape == (2, 128, 128, 3)
    assert faces.displacement.shape == (2, 128, 128)
    assert 0 < faces.displacement.std() < 0.5  # mm
    coarse = made.make(made.latents(2, 0), resolution=64)
    np.testing.assert_array_equal(coarse.geometry, faces.geometry)
    means = faces.textures.reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.quantile(np.abs(coarse.textures - means), 0.99) < 2  # some are clipped
    still = made.make(made.latents(2, 0), 0.0)
    np.testing.assert_allclose(still.geometry[0], still.geometry[1], atol=0.1)


def test_finer_scans_of_few_subjects_teach_the_finest_detail(expressive, tmp_path):
    coarse = changed(
        expressive,
        textures=shrunk(expressive.textures, 64),
        valid=shrunk_masks(expressive.valid, 64),
        displacement=expressive.displacement[:, ::2, ::2],
    )
    finer = expressive.take(expressive.subjects < 4)
    length = Length(128, 8, 16, 16)

    def trained(finer, folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scoring, "COMPONENTS", (2,))
            patch.setattr(scoring, "N_SCORED", 3)
            return face_gan_release.train(
                "faces", coarse, folder, length=length, finer=finer, progress=False
            )

    card = trained(finer, tmp_path / "models")
    (detail,) = card["details"]
    assert (detail["resolution"], detail["scans"]) == (128, 6)  # without the subject held out
    assert card["data"]["held out"] == ["0"]
    assert set(card["sliced Wasserstein distances x 1000"]["textures"]["real"]) == {64, 32, 16}
    assert released_models.load(tmp_path / "models", "faces").resolution == 128
    with pytest.raises(DatasetError, match="scans of 64 pixels do not shrink to 128"):
        trained(None, tmp_path / "none")
    with pytest.raises(DatasetError, match="finer scans of 64 pixels do not shrink to 128"):
        trained(coarse, tmp_path / "none")
    with pytest.raises(DatasetError, match=r"2 finer scans in .* not held out: 4 are the least"):
        trained(expressive.take(expressive.subjects < 2), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_one_generator_makes_people_with_and_without_expression(fine):
    folder, card = fine
    made = released_models.load(folder, "faces")
    assert made.tells_rest
    assert made.config.channels == 9
    assert "geometries at rest" in card["sliced Wasserstein distances x 1000"]
    z = made.latents(40, 1)
    moved, resting = (made.make(z, resolution=64, neutral=neutral) for neutral in (False, True))
    np.testing.assert_array_equal(moved.textures, resting.textures)
    assert moved.geometry.std(axis=0).mean() > resting.geometry.std(axis=0).mean()
    apart = np.linalg.norm(moved.geometry - resting.geometry, axis=2).mean()
    others = np.linalg.norm(moved.geometry - resting.geometry[::-1], axis=2).mean()
    assert 0 < apart < 0.7 * others  # the same people
    still, smiling = (
        facesynth.synthesize(3, 1, expression=name, model=folder, resolution=64)
        for name in ("neutral", "smile")
    )
    for face, other, own in zip(still, smiling, resting.geometry, strict=False):
        np.testing.assert_array_equal(face.texture, other.texture)
        np.testing.assert_allclose(face.vertices, own, atol=1e-3)
        assert np.abs(other.vertices - face.vertices).max() > 1  # mm


@pytest.fixture(scope="module")
def noisy():
    """A generator of 64 pixels, not trained, whose finest features are noisy; and its colours."""
    config = untrained.config(face_gan.configuration("faces", 64, channels=8, n_shown=48))
    generator = untrained.anchored(config)
    torch.nn.init.constant_(generator.fine[-1].noise, 2.0)
    torch.nn.init.normal_(generator.to_image[-1].weight[:3], std=0.3)
    skin = np.random.default_rng(0).integers(60, 200, (20, 64, 64, 3), np.uint8)
    return generator.eval().requires_grad_(False), Colours.fit(skin)


def scans_of(textures):
    geometry = np.repeat(standard().vertices[None], len(textures), 0).astype(np.float32)
    return Dataset.of(geometry, textures)


def textures_of(generator, colours, n, seed):
    return gan.to_uint8(colours.colours(gan.sample(generator, n, seed)[..., :3]))


def test_noise_is_lessened_to_that_of_scans_held_out(noisy):
    generator, colours = copy.deepcopy(noisy)
    whole = generator.fine[-1].noise.clone()
    as_it_is = scans_of(textures_of(generator, colours, 40, 0))
    generator.fine[-1].noise.mul_(0.5)
    calm = scans_of(textures_of(generator, colours, 40, 0))
    generator.fine[-1].noise.copy_(whole)
    assert tuning.calm(generator, as_it_is, colours) >= 0.8
    generator.fine[-1].noise.copy_(whole)
    share = tuning.calm(generator, calm, colours)
    assert 0.4 <= share <= 0.6
    torch.testing.assert_close(generator.fine[-1].noise, share * whole)
    assert tuning.calm(generator, calm.take(np.arange(5)), colours) == 1.0  # too few


def test_detail_gets_the_power_of_scans_held_out(noisy):
    torch.manual_seed(0)
    network = gan.Detailer(3, 8, 2).eval().requires_grad_(False)
    torch.nn.init.normal_(network.to_detail.weight, std=6.0)
    generator, colours = noisy
    images = colours.colours(gan.sample(generator, 30, 9)[..., :3])
    z = torch.randn(30, 16, generator=torch.Generator().manual_seed(9))
    half = copy.deepcopy(network)
    half.to_detail.weight *= 0.5
    finer, _ = detailed(half, images, z)
    (share,) = tuning.level([network], generator, scans_of(gan.to_uint8(finer)), colours)
    assert share == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(network.to_detail.weight, half.to_detail.weight, atol=0, rtol=0.1)
    coarse = scans_of(textures_of(generator, colours, 30, 1))
    assert tuning.level([network], generator, coarse, colours) == [1.0]  # not known
