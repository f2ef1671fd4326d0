"""What gives generated images away at a glance: checkerboards, rims, and casts.

Each is a ratio to scans, and 1 if there is nothing to see.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesynth.evaluation.scores import Images
from facesynth.evaluation.swd import UnequalSetsError

HIGHEST = 1 / 8  # of the frequencies along a row or a column: where checkerboards are
RIM = 4  # pixels


@dataclass(frozen=True)
class Artefacts:
    """Ratios of generated images to scans.

    rows, columns  of the power at the highest frequencies along them: more are checkerboards
    rim            of the contrast of neighbouring pixels at the border, against that within
    colours        of the standard deviations along the principal axes of the scans' colours, the
                   one that is farthest from 1
    """

    rows: float
    columns: float
    rim: float
    colours: float


def artefacts(scans: Images, generated: Images) -> Artefacts:
    """Compare images (n, R, R, c) and (l, R, R, c), in one unit. Raises `UnequalSetsError`."""
    if scans.shape[1:] != generated.shape[1:]:
        raise UnequalSetsError(f"images {scans.shape[1:]} and {generated.shape[1:]}")
    rows, columns = (_power(generated, axis) / max(_power(scans, axis), 1e-12) for axis in (2, 1))
    return Artefacts(
        rows, columns, _rim(generated) / max(_rim(scans), 1e-12), _colours(scans, generated)
    )


def _power(images: Images, axis: int) -> float:
    """Mean power at the highest frequencies along an axis."""
    total = 0.0
    for image in images:
        along = np.moveaxis(image.astype(np.float32), axis - 1, 0)
        away = along - along.mean(axis=0)
        power = np.square(np.abs(np.fft.rfft(away, axis=0)))
        total += float(power[-max(1, round(HIGHEST * len(power))) :].mean())
    return total / len(images)


def _rim(images: Images) -> float:
    """Mean absolute difference of neighbours along the border, over that within."""
    rim, inner = [], []
    for image in images:
        x = image.astype(np.float32)
        steps = np.abs(np.diff(x, axis=0))[:, :-1] + np.abs(np.diff(x, axis=1))[:-1]
        outer = np.ones(steps.shape[:2], bool)
        outer[RIM:-RIM, RIM:-RIM] = False
        rim.append(steps[outer].mean())
        inner.append(steps[~outer].mean())
    return float(np.mean(rim) / max(float(np.mean(inner)), 1e-12))


def _colours(scans: Images, generated: Images) -> float:
    """The ratio of standard deviations, along the scans' axes, that is farthest from 1."""
    a, b = (_covariance(x) for x in (scans, generated))
    values, axes = np.linalg.eigh(a)
    ratios = np.sqrt(np.diag(axes.T @ b @ axes) / np.maximum(values, 1e-12))
    return float(ratios[np.abs(np.log(np.maximum(ratios, 1e-12))).argmax()])


def _covariance(images: Images) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(images.reshape(-1, images.shape[-1]).astype(np.float64).T))
