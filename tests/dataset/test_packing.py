"""Scans become small files, and come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth.dataset import packing
from facesynth.dataset.canonical import NEAR
from facesynth.dataset.packing import (
    DISPLACEMENT_STEP,
    STEP,
    pack_geometry,
    unpack_geometry,
)
from facesynth.population import sample
from facesynth.surface.mesh import graph_laplacian
from facesynth.template import standard


@pytest.fixture(scope="module")
def faces():
    return sample(4, 8, expressions=True, progress=False).expressions[:, 2]


def test_geometry_comes_back_to_hundredths_of_a_millimetre(faces):
    packed = pack_geometry(faces, standard())
    back = unpack_geometry(packed, standard())
    assert back.shape == faces.shape
    assert back.dtype == np.float32
    assert len(packed) < 0.12 * faces.astype(np.float32).nbytes
    off = back - faces
    assert np.sqrt((off**2).mean()) < 0.03  # mm
    assert np.abs(off).max() < 0.4


def test_what_rounding_does_is_smooth(faces):
    off = (unpack_geometry(pack_geometry(faces, standard()), standard()) - faces).astype(float)[0]
    laplacian = graph_laplacian(standard().faces)
    roughness = (laplacian @ off) / laplacian.diagonal()[:, None]  # against the neighbours
    assert np.sqrt((roughness**2).mean()) < STEP / 2 < np.sqrt((off**2).mean())


def test_packing_what_was_unpacked_changes_little(faces):
    once = unpack_geometry(pack_geometry(faces, standard()), standard())
    twice = unpack_geometry(pack_geometry(once, standard()), standard())
    assert np.sqrt(((twice - once) ** 2).mean()) < STEP


def test_the_template_itself_is_exact_and_small():
    still = standard().vertices[None]
    packed = pack_geometry(still, standard())
    assert len(packed) < 300  # bytes, of 200,000 in float64
    np.testing.assert_allclose(unpack_geometry(packed, standard()), still, atol=1e-4)


def packed_and_back(displacement, valid, kept="full", quality=packing.LOSSLESS):
    size = displacement.shape[1]
    scans = [
        {
            "geometry": standard().vertices,
            "texture": np.zeros((size, size, 3), np.uint8),
            "valid": mask,
            "displacement": detail,
        }
        for detail, mask in zip(displacement, valid, strict=True)
    ]
    content = packing.pack(scans, standard(), quality, kept)
    return packing.displacement(content, size), len(content["displacements"])


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 20))
def test_displacement_comes_back_to_half_a_step_where_it_is_valid(seed, n, size):
    rng = np.random.default_rng(seed)
    displacement = rng.uniform(-NEAR, NEAR, (n, size, size))
    valid = rng.random((n, size, size)) < 0.7
    back, _ = packed_and_back(displacement, valid)
    assert back.shape == displacement.shape
    assert back.dtype == np.float32
    assert np.abs(back - displacement)[valid].max(initial=0) <= DISPLACEMENT_STEP / 2 + 1e-6
    assert (back[~valid] == 0).all()


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_half_a_displacement_keeps_what_is_smooth_up_to_the_rim_of_a_hole(seed, half):
    rng = np.random.default_rng(seed)
    size = 2 * half
    valid = rng.random((1, size, size)) < 0.6
    level = rng.uniform(-NEAR, NEAR)
    back, _ = packed_and_back(np.full((1, size, size), level), valid, "half")
    assert np.abs(back - level)[valid].max(initial=0) <= DISPLACEMENT_STEP / 2 + 1e-6
    assert (back[~valid] == 0).all()
    ramp = np.add.outer(np.arange(size), 2 * np.arange(size))[None] / (3 * size)
    back, _ = packed_and_back(ramp, np.ones((1, size, size), bool), "half")
    inner = np.s_[:, 1:-1, 1:-1]
    assert np.abs(back - ramp)[inner].max() <= DISPLACEMENT_STEP / 2 + 1e-6


def test_quality_and_half_a_displacement_save_bytes():
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 128, 128))
    valid = np.ones(noise.shape, bool)
    (_, full), (_, half) = (packed_and_back(noise, valid, kept) for kept in ("full", "half"))
    assert half < full / 3
    back, lossy = packed_and_back(noise, valid, quality=95)
    assert lossy < full / 1.5
    assert np.median(np.abs(back - noise)) < DISPLACEMENT_STEP
