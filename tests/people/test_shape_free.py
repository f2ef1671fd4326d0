"""Shape-free textures: what is known of warped images and of moved shapes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesynth.people import real_data
from facesynth.people.real_data import Portrait
from facesynth.people.shape_free import PUPILS, procrustes, shape_free
from facesynth.surface.mesh import MeshArrayError


def similar(shape: np.ndarray, seed: int) -> np.ndarray:
    """A shape (p, 2), turned, scaled and moved."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-0.4, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rng.uniform(0.5, 2) * shape @ turn + rng.uniform(-100, 100, 2)


def test_similar_shapes_become_one():
    shape = np.random.default_rng(0).normal(size=(20, 2))
    found = procrustes([similar(shape, k) for k in range(5)])
    np.testing.assert_allclose(found, found[:1].repeat(5, 0), atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=(1, 2)), 1)


def test_what_differs_stays():
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(20, 2)) + 0.05 * rng.normal(size=(6, 20, 2))
    moved = procrustes([similar(s, k) for k, s in enumerate(shapes)])
    np.testing.assert_allclose(
        np.linalg.norm(moved[:, None] - moved, axis=(2, 3)),
        np.linalg.norm((still := procrustes(shapes))[:, None] - still, axis=(2, 3)),
        atol=2e-3,
    )


def _portrait(path: Path, k: int, points: np.ndarray) -> Portrait:
    """A photograph whose colours are a function of where a point lies within the face."""
    rows, columns = np.mgrid[0:600, 0:600]
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    within = (np.dstack([columns, rows]) - low) / size
    image = np.clip(np.dstack([within, np.full_like(within[..., :1], 0.5)]), 0, 1)
    file = path / f"{k}.png"
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file)
    return Portrait(str(k), 30, "female", "white", file, points)


def test_a_texture_no_longer_tells_of_the_shape(tmp_path):
    """Faces that are stretched differ in shape; warped to the mean, they are one texture."""
    rng = np.random.default_rng(1)
    face = np.vstack(
        [[[0.3, 0.4], [0.7, 0.4]], [[0, 0], [1, 0], [0, 1], [1, 1]], rng.random((9, 2))]
    )
    people = [_portrait(tmp_path, k, 60 + face * [300 + 60 * k, 420 - 40 * k]) for k in range(3)]
    found = shape_free(people, 32, progress=False)
    inside = found.textures[:, found.mask]
    np.testing.assert_allclose(inside, inside[:1].repeat(3, 0), atol=0.02)
    assert np.abs(found.shapes[0] - found.shapes[2]).max() > 2  # mm
    mean = found.shapes.mean(axis=0)
    assert np.linalg.norm(mean[0] - mean[1]) == pytest.approx(PUPILS)
    # the texture's rows run down, as the photograph's
    column = found.textures[0, :, 16, 1]
    assert np.all(np.diff(column[4:28]) > 0)


def test_portraits_without_landmarks(tmp_path):
    person = Portrait("1", 30, "male", "black", tmp_path / "none.jpg", None)
    with pytest.raises(MeshArrayError, match="need portraits, all with landmarks"):
        shape_free([person])
    with pytest.raises(MeshArrayError, match="need portraits"):
        shape_free([])


def test_people(real_data_folder):
    found = shape_free(real_data.london()[:6], 32, progress=False)
    assert found.shapes.shape == (6, 189, 2)
    # Shape-free faces are alike: nearer to each other than pixels are to one another.
    inside = found.textures[:, found.mask]
    assert inside.std(axis=0).mean() < inside.std(axis=1).mean()
