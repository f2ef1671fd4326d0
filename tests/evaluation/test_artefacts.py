"""What gives images away."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from facesynth.evaluation.artefacts import RIM, artefacts
from facesynth.evaluation.swd import UnequalSetsError

R = 64


def faces(seed, n=60):
    """Smooth images with a fine grain, whose channels vary mostly together."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, [1, 0.3, 0.1], (n, R, R, 3)) @ [[1, 1, 1], [1, 0, -1], [1, -2, 1]]
    smooth = gaussian_filter(noise, (0, 4, 4, 0), mode="wrap")
    return 100 * smooth + 2 * noise


@pytest.fixture(scope="module")
def scans():
    return faces(0)


def test_others_of_one_kind_have_none(scans):
    found = artefacts(scans, faces(1))
    assert vars(found) == pytest.approx(dict.fromkeys(vars(found), 1.0), abs=0.06)


def test_a_checkerboard_is_found_along_both_axes(scans):
    checks = (-1.0) ** np.add.outer(np.arange(R), np.arange(R))[..., None]
    found = artefacts(scans, faces(1) + 4 * checks)
    assert min(found.rows, found.columns) > 1.5


def test_stripes_are_found_along_one_axis(scans):
    stripes = (-1.0) ** np.arange(R)[:, None, None]
    found = artefacts(scans, faces(1) + 4 * stripes)
    assert found.columns > 1.5
    assert found.rows == pytest.approx(1, abs=0.1)


def test_blurred_images_have_less(scans):
    found = artefacts(scans, gaussian_filter(faces(1), (0, 1, 1, 0)))
    assert max(found.rows, found.columns) < 0.3


def test_a_rim_is_found(scans):
    made = faces(1)
    inner = made[:, RIM:-RIM, RIM:-RIM].copy()
    made += np.random.default_rng(2).normal(0, 4, made.shape)
    made[:, RIM:-RIM, RIM:-RIM] = inner
    assert artefacts(scans, made).rim > 1.3


def test_a_cast_and_lost_contrast_are_found(scans):
    green = np.random.default_rng(3).normal(0, 15, (60, 1, 1, 1)) * [-1, 2, -1]
    assert artefacts(scans, faces(1) + green).colours > 1.5
    assert artefacts(scans, 0.8 * faces(1)).colours == pytest.approx(0.8, abs=0.05)


def test_images_of_another_size(scans):
    with pytest.raises(UnequalSetsError, match=r"images \(64, 64, 3\) and \(32, 32, 3\)"):
        artefacts(scans, scans[:, ::2, ::2])
