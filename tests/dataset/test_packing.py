"""Scans become small files, and come back."""

import numpy as np
import pytest

from facesynth.dataset.packing import KEPT_EVERY, STEP, pack_geometry, unpack_geometry
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
    assert len(packed) < 300  # bytes, of 223,416 in float64
    np.testing.assert_allclose(unpack_geometry(packed, standard()), still, atol=1e-4)
    assert len(still[0, ::KEPT_EVERY]) == 466
