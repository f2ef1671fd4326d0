import numpy as np
import pytest

from facesynth.dataset.stray_hair import stray_hair

SIZE, TEXELS = 300, 3.0  # pixels along the side, and to a mm


@pytest.fixture
def skin():
    rng = np.random.default_rng(1)
    image = np.array([205, 165, 145]) + rng.normal(0, 2, (SIZE, SIZE, 1))
    return image.astype(np.uint8)


def strand(slope=0.4):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (np.abs(rows - 60 - slope * columns) < 1.2) & (columns > 50) & (columns < 250)


def test_a_strand_is_found(skin):
    skin[strand()] = [60, 40, 30]
    found = stray_hair(skin, TEXELS)
    assert found[strand()].mean() > 0.95
    assert (found & ~strand()).mean() < 0.01


def test_bare_skin_is_clean(skin):
    assert not stray_hair(skin, TEXELS).any()


def test_a_mole_is_no_hair(skin):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    skin[np.hypot(rows - 150, columns - 150) < 2.5] = [70, 45, 35]
    assert not stray_hair(skin, TEXELS).any()


def test_a_wrinkle_is_no_hair(skin):
    skin[strand()] = [182, 143, 124]
    assert not stray_hair(skin, TEXELS).any()


def test_dense_hair_is_where_it_belongs(skin):
    skin[:, ::3] = skin[:, 1::3] = [60, 40, 30]
    assert not stray_hair(skin, TEXELS)[60:-60, 60:-60].any()
