"""What the face GANs learn from."""

import numpy as np
import pytest
import torch
from changed_scans import changed

from facesynth import gan
from facesynth.dataset.dataset import Dataset
from facesynth.face_gan import models as face_gan
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population import sample
from facesynth.template import standard

N, R = 4, 32


@pytest.fixture(scope="module")
def faces():
    drawn = sample(N, 2, resolution=64, progress=False)
    valid = np.random.default_rng(0).random((N, 64, 64)) < 0.97
    return Dataset.of(drawn.geometry, drawn.textures, valid)


@pytest.fixture(scope="module")
def to(faces):
    return GeometryImages.fit(UniversalMapping(standard(), R), faces.geometry)


@pytest.mark.parametrize("model", face_gan.CHANNELS)
def test_every_model_learns_from_its_images(model, faces, to, tmp_path):
    data = face_gan.training_images(model, faces, to)
    channels = 6 if model == "faces" else 3
    assert (len(data), data.resolution, data.channels) == (N, R, channels)
    assert (data.masks is None) == (model != "textures")
    config = face_gan.configuration(model, R, channels=8, n_shown=48)
    run = gan.train(config, data.unmasked(), tmp_path / "run", progress=False)
    made = gan.sample(run.generator(), 2, seed=0)
    assert made.shape == (2, R, R, channels)
    assert np.isfinite(made).all()


def test_mirrored_as_configured_a_face_is_the_face_in_a_mirror(faces, to):
    mirrored = changed(
        faces,
        geometry=faces.geometry[:, standard().mirror] * np.float32([-1, 1, 1]),
        textures=faces.textures[:, :, ::-1],
        valid=faces.valid[:, :, ::-1],
    )
    data, other = (face_gan.training_images("faces", f, to) for f in (faces, mirrored))
    config = face_gan.configuration("faces", R, channels=8, n_shown=48)
    assert config.mirrored == (tuple(range(6)),)
    sign = np.array([-1 if k in config.negated else 1 for k in range(6)])
    np.testing.assert_allclose(sign * data.pixels[:, :, ::-1], other.pixels, atol=1e-5)


def test_faces_at_rest_have_the_geometry_of_the_neutral_scan(faces, to):
    scans = changed(
        faces,
        subjects=[0, 0, 1, 1],
        expressions=[0, 1, 2, 0],
        expression_names=("neutral", "smile", "anger"),
    )
    data = face_gan.training_images("faces", scans, to)
    np.testing.assert_array_equal(data.pixels[..., 6:], data.pixels[[0, 0, 3, 3]][..., 3:6])
    assert face_gan.configuration("faces", R, channels=8, n_shown=48, rest=True).negated == (3, 6)
    assert not face_gan.tells_rest(scans.take(np.array([1, 3])))  # one subject was never at rest
    assert not face_gan.tells_rest(scans.take(np.array([0, 3])))  # nobody moves


def test_masks_go_with_their_textures(faces, to):
    data = face_gan.training_images("textures", faces, to)
    images, masks = data.batch(np.array([1]), R, 1.0, torch.device("cpu"))
    valid = faces.valid[1].reshape(R, 2, R, 2).all((1, 3))
    np.testing.assert_array_equal(masks[0, 0].numpy(), valid)
    mean = faces.textures[1].reshape(R, 2, R, 2, 3).mean((1, 3))
    np.testing.assert_allclose(images[0].permute(1, 2, 0), mean / 127.5 - 1, atol=0.6 / 127.5)


def test_what_no_scan_shows_is_not_masked(faces, to):
    valid = faces.valid.copy()
    valid[:, 10:20, 20:30] = False
    data = face_gan.training_images("textures", changed(faces, valid=valid), to)
    assert data.masks[:, 5:10, 10:15].all()
    valid[0, 10:20, 20:30] = True  # now one of four does
    data = face_gan.training_images("textures", changed(faces, valid=valid), to)
    assert data.masks[0, 5:10, 10:15].all()
    assert not data.masks[1:, 5:10, 10:15].any()


def test_what_cannot_be_learned_is_named(faces, to):
    with pytest.raises(face_gan.UnknownModelError, match="unknown model 'hair'; there are tex"):
        face_gan.training_images("hair", faces, to)
    large = GeometryImages(UniversalMapping(standard(), 128), to.mean, to.unit)
    with pytest.raises(gan.ImageSizeError, match="64 x 64 pixels do not shrink to 128 x 128"):
        face_gan.training_images("textures", faces, large)


def test_subjects_are_held_out_with_all_their_scans():
    subjects = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    n = np.arange(8)
    images = np.zeros((8, 4, 4, 3), np.uint8)
    faces = Dataset.of(n[:, None, None] * np.ones((8, 2, 3)), images, subjects=subjects)
    for n_test in (3, 4):
        training, test = face_gan.split(faces, n_test)
        assert test.subjects.tolist() == [0, 0, 1, 1]
        assert training.subjects.tolist() == [2, 2, 3, 3]
        assert training.geometry[:, 0, 0].tolist() == [4, 5, 6, 7]
    alone = changed(faces, subjects=n)
    assert set(face_gan.split(alone, 3)[1].subjects) == {0, 1, 2}


def test_clean_scans_have_the_least_damage_in_the_face():
    valid = np.ones((100, 8, 8), bool)
    valid[::2, :4] = False  # the scalp, of which every second scan shows nothing
    for k in range(100):
        for place in (3 * k + np.arange(k // 20)) % 32:  # none to four pixels of the face
            valid[k, 4 + place // 8, place % 8] = False
    some = Dataset.of(np.zeros((100, 2, 3)), np.zeros((100, 8, 8, 3), np.uint8), valid)
    assert np.flatnonzero(face_gan.clean(some, share=0.5)).tolist() == list(range(60))
