"""How accurate alignment and texture are on scans whose truth is known: Sections 5.1 and 5.2.

The paper could look at its results; where the truth is known, each step has an error in mm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesynth.alignment import deformation
from facesynth.alignment.registration import Weights, errors, nonrigid, shown
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.canonical import Canonical, canonical_texture
from facesynth.rendering.colour import from_uint8, srgb
from facesynth.scans import Scan, landmarks
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray
from facesynth.template import standard

Mask = NDArray[np.bool_]
FULL, PLAIN = "all three terms", "smoothness alone for R"
DARKEST = 1e-3  # of linear colours that are compared


class Known(Protocol):
    """The truth of a scan of the standard template's face, as `virtual_scanner.Truth` has it."""

    @property
    def vertices(self) -> FloatArray:
        """(m, 3) mm, in the scan's frame."""

    @property
    def landmarks(self) -> FloatArray:
        """(43, 3) mm, where a modeller puts them."""

    @property
    def texture(self) -> NDArray[np.uint8]:
        """(R, R, 3) sRGB."""

    @property
    def holes(self) -> Mask:
        """(R, R), what the scan does not show."""


@dataclass(frozen=True)
class Study:
    """One scan at every step, in mm: landmarks, alignment with terms left out, texture.

    marks         (43,) from the detected landmarks to the calibrated places on the true face
    uncalibrated  (43,) to the places where a modeller puts them
    errors        {arm: median, 95th percentile, at landmarks, to the surface}: see
                  `registration.errors`
    off           {arm: (m,)} from each vertex to its true place; NaN where the scan shows nothing
    aligned       (m, 3) with all terms
    texture       see `texture_scores`
    """

    marks: FloatArray
    uncalibrated: FloatArray
    errors: dict[str, tuple[float, float, float, float]]
    off: dict[str, FloatArray]
    aligned: FloatArray
    texture: dict[str, float]


def arms() -> dict[str, dict[str, Any]]:
    """The alignment and four ablations of its energy, as arguments of `nonrigid`."""
    return {
        FULL: {},
        PLAIN: {"prior": deformation.smooth(standard())},
        "no landmarks": {"weights": Weights(landmarks=0)},
        "no surface": {"weights": Weights(surface=0)},
        "no smoothness": {"weights": Weights(smoothness=0)},
    }


def study(scan: Scan, truth: Known, compared: Mapping[str, dict[str, Any]] | None = None) -> Study:
    """Detect, align and take the texture of a scan, and compare each with the truth.

    compared : arguments of `nonrigid` by name, `FULL` among them; by default all `arms`
    """
    surface, marked = ScannedSurface(scan), standard().at_detected
    marks = landmarks.detect(surface)
    seen = shown(truth.vertices, surface)
    aligned = {
        name: nonrigid(surface, marks, marked=marked, **options)
        for name, options in (arms() if compared is None else compared).items()
    }
    to = mapping(len(truth.texture))
    return Study(
        _distance(marks, marked @ truth.vertices),
        _distance(marks, truth.landmarks),
        {name: errors(v, truth.vertices, surface) for name, v in aligned.items()},
        {name: np.where(seen, _distance(v, truth.vertices), np.nan) for name, v in aligned.items()},
        aligned[FULL],
        texture_scores(canonical_texture(surface, aligned[FULL], to), truth, to.mask),
    )


def texture_scores(texture: Canonical, truth: Known, inside: Mask) -> dict[str, float]:
    """What a mask finds and loses of a face's pixels (R, R), and the colours within it.

    holes     share of the face's pixels that the scan does not show
    caught    share of these that the mask rejects
    lost      share of the others that it rejects
    psnr      dB, at valid pixels; `exposed`: the same after one gain for each channel
    """
    valid, holes = texture.valid, truth.holes
    true = from_uint8(truth.texture)[valid]
    found = texture.image[valid]
    gain = np.median(true / np.maximum(found, DARKEST), axis=0)
    return {
        "holes": float(holes[inside].mean()),
        "caught": float((~valid)[holes & inside].mean()),
        "lost": float((~valid)[~holes & inside].mean()),
        "psnr": psnr(srgb(found), srgb(true)),
        "exposed": psnr(srgb(found * gain), srgb(true)),
    }


def psnr(image: ArrayLike, true: ArrayLike) -> float:
    """Peak signal-to-noise ratio, in dB, of an image in [0, 1]: 20 for an error of a tenth."""
    return float(-10 * np.log10(np.mean(np.square(np.asarray(image) - np.asarray(true)))))


def _distance(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(a - b, axis=1))
