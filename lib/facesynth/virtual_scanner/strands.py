"""Locks of hair that fall over the skin, in front of both cameras."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from facesynth.rendering import Camera
from facesynth.rendering.light import unit
from facesynth.surface.mesh import Floats
from facesynth.virtual_scanner.surface import Surface

_STEP = 1.5  # mm between the points of a hair
_LENGTH = (40.0, 110.0)  # mm that a lock falls
_ROOTS = (84.0, 105.0)  # mm above the head's origin where locks begin
_WIDTH = (0.15, 0.4)  # mm of what is drawn as one: a few hairs
_SLOPE = 0.25  # cosine to the front beyond which hair does not lie on the skin
_LIFT = (1.0, 6.0)  # mm over the skin
_FINE = 2  # hairs are drawn at twice the photograph's resolution
_OPACITY = 0.85


@dataclass(frozen=True)
class Strands:
    """h hairs of p points."""

    points: Floats  # (h, p, 3) mm in the scan's frame
    valid: NDArray[np.bool_]  # (h, p) whether a point lies over the face
    normals: Floats  # (h, p, 3) of the skin below
    width: Floats  # (h,) mm


def sample_strands(surface: Surface, to_scan: Floats, rng: np.random.Generator) -> Strands:
    """One to five locks that fall from the hairline, laid over the face.

    surface : the face in the scan's frame. to_scan : (4, 4) moves the upright head there.
    """
    locks = [_lock(rng) for _ in range(rng.integers(1, 6))]
    steps = max(lock.shape[1] for lock in locks)
    front = np.concatenate(
        [np.pad(k, ((0, 0), (0, steps - k.shape[1]), (0, 0)), constant_values=1e4) for k in locks]
    )  # (h, p, 2)
    start = np.concatenate([front, np.full((*front.shape[:2], 1), 200.0)], axis=2).reshape(-1, 3)
    met, hits = surface.cast(
        start @ to_scan[:3, :3].T + to_scan[:3, 3],
        np.broadcast_to(-to_scan[:3, 2], start.shape),
    )
    points, normals = np.zeros((2, *start.shape))
    points[met] = hits.interpolate(surface.vertices)
    normals[met] = unit(hits.interpolate(surface.normals))
    met[met] = normals[met] @ to_scan[:3, 2] > _SLOPE
    h = len(front)
    # hair is stiff: it passes over the skin's hollows
    lift = gaussian_filter1d(rng.uniform(*_LIFT, (h, 1)) + rng.normal(0, 1, (h, steps)), 6, axis=1)
    points = (points + np.maximum(lift, 0.6).reshape(-1, 1) * normals).reshape(h, steps, 3)
    valid, normals = met.reshape(h, steps), normals.reshape(h, steps, 3)
    return Strands(points, valid, normals, rng.uniform(*_WIDTH, h))


def _lock(rng: np.random.Generator) -> Floats:
    """Hairs (h, p, 2) of one lock, seen from the front: x and y in mm of the upright head."""
    h, steps = int(rng.integers(4, 14)), int(rng.uniform(*_LENGTH) / _STEP)
    root = [rng.normal(0, 28), rng.uniform(*_ROOTS)]
    swing = rng.normal(0, 0.45) + 0.009 * root[0]  # outwards, rather
    curl = rng.normal(0, 0.02) + rng.normal(0, 0.006, (h, 1))
    wave = gaussian_filter1d(rng.normal(0, 0.25, (h, steps)), 5, axis=1)
    angle = -np.pi / 2 + swing + rng.normal(0, 0.06, (h, 1)) + curl * np.arange(steps) + wave
    path = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=2), axis=1) * _STEP
    path = root + rng.normal(0, 1.6, (h, 1, 2)) + path
    ends = np.arange(steps) > steps * rng.uniform(0.6, 1.0, (h, 1))
    path[ends] = 1e4  # hairs end where they like: beyond, the points lie off the face
    return path


def coverage(strands: Strands, surface: Surface, camera: Camera, size: int) -> Floats:
    """Share (size, size) of each pixel of a camera's photograph that the hairs hide."""
    h, steps = strands.valid.shape
    seen: NDArray[np.bool_] = strands.valid.flatten()
    flat = strands.points.reshape(-1, 3)[seen]
    seen[seen] = surface.cosines(flat, strands.normals.reshape(-1, 3)[seen], camera) > 0
    runs = [_runs(flags) for flags in seen.reshape(h, steps)]
    at = camera.project(strands.points.reshape(-1, 3), size * _FINE).reshape(h, steps, 2)
    image = Image.new("L", (size * _FINE, size * _FINE))
    draw = ImageDraw.Draw(image)
    pixels = np.maximum(1, np.rint(strands.width * size * _FINE / camera.height)).astype(int)
    for hair in range(h):
        for run in runs[hair]:
            draw.line(at[hair, run].ravel().tolist(), fill=255, width=int(pixels[hair]))
    fine = np.asarray(image, dtype=np.float32) / 255
    return _OPACITY * fine.reshape(size, _FINE, size, _FINE).mean(axis=(1, 3))


def _runs(flags: NDArray[np.bool_]) -> list[slice]:
    """The stretches of at least two True in flags (p,)."""
    change = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    return [slice(a, b) for a, b in change.reshape(-1, 2) if b - a > 1]
