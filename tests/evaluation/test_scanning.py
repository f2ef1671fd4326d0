"""What is said of a scan whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from facesynth.dataset.canonical import Canonical
from facesynth.evaluation.scanning import FULL, PLAIN, arms, psnr, study, texture_scores
from facesynth.population import sample
from facesynth.virtual_scanner import Scanner, scan


@dataclass(frozen=True)
class Truth:
    texture: np.ndarray
    holes: np.ndarray
    vertices: np.ndarray | None = None
    landmarks: np.ndarray | None = None


def test_psnr_by_hand():
    assert psnr(np.full((2, 2), 0.6), np.full((2, 2), 0.5)) == pytest.approx(20)
    assert psnr([0.5, 0.7], [0.5, 0.5]) == pytest.approx(-10 * np.log10(0.02))


def test_a_mask_of_ten_pixels_by_hand():
    # Ten pixels of a face, and six beside it, which do not count. Two of the four holes are found,
    # and one of the six good pixels is lost.
    inside, holes, valid = np.zeros((3, 4, 4), bool)
    inside.ravel()[:10] = True
    holes.ravel()[[0, 1, 2, 3, 12, 13]] = True
    valid.ravel()[[2, 3, 5, 6, 7, 8, 9]] = True
    true = np.full((4, 4, 3), 128, np.uint8)
    linear = ((128 / 255 + 0.055) / 1.055) ** 2.4
    image = np.full((4, 4, 3), linear) * [1, 0.5, 2]
    image[0, 0] = 7  # not valid
    scores = texture_scores(
        Canonical(image, image, valid, np.zeros((4, 4))), Truth(true, holes), inside
    )
    assert scores["holes"] == pytest.approx(4 / 10)
    assert scores["caught"] == pytest.approx(2 / 4)
    assert scores["lost"] == pytest.approx(1 / 6)
    assert 10 < scores["psnr"] < 20
    assert scores["exposed"] > 60  # one gain for each channel makes them equal


def test_a_scan_is_followed_through_every_step():
    people = sample(1, 77, expressions=True, whole=True, progress=False)
    settings = Scanner(photograph=384, spacing=2.0)
    texture = np.full((64, 64, 3), 150, np.uint8)
    face = scan(people.expressions[0, 0], texture, seed=3, settings=settings)
    some = {name: arms()[name] for name in (FULL, PLAIN)}
    found = study(face, face.truth, some)
    assert found.errors[FULL][0] < found.errors[PLAIN][0]
    assert np.nanmedian(found.off[FULL]) == pytest.approx(found.errors[FULL][0])
    assert np.nanmedian(found.marks) < np.nanmedian(found.uncalibrated)
    assert found.aligned.shape == face.truth.vertices.shape
    assert found.texture["caught"] > found.texture["lost"]
