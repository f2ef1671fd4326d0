"""Where a scan's 43 landmarks lie: Section 5.1 of the paper.

"These locations are determined automatically by projecting the facial surface into an image and
applying one of many 2D facial landmark detectors such as Dlib. The landmarks are then
back-projected onto the surface." Here the surface is seen from several sides: a first detection
says where the face is and how it is turned, and views around its front then vote. The 43 are
dlib's 68 without the jaw, which is not a point of the surface, and the inner lips.

The paper then refines the locations by hand. Here the template is calibrated instead: dlib does not
put a landmark where a modeller would, but it puts it at about the same point of every face, which
`Template.at_detected` gives.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dlib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from facesynth.files import pretrained
from facesynth.rendering.colour import to_uint8
from facesynth.scans.parts import Photograph, ScanError
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import Places, ScannedSurface
from facesynth.surface.mesh import FloatArray
from facesynth.template import ENOUGH, FIRST_OF_68, N_LANDMARKS, standard

PIXEL = 1.0  # mm of the surface that a view's pixel shows: dlib finds faces of 80 pixels and more
FACE = 300.0  # mm that a view around the face shows: dlib wants the face's surroundings too
LARGEST = 800  # pixels along a view's side: a scan from head to toe is shown smaller
BACKGROUND = 110  # sRGB grey around the surface
LAMP = (0.0, 0.4, 1.0)  # direction to a lamp in a view's axes: over the camera, as dlib's faces
SHADE = 0.7  # the part of the light that comes from it, rather than from everywhere
STAND_OFF = 1000.0  # mm from a view's middle to where its rays begin

# Yaw and pitch in degrees. Search until a view finds a face; then these around its front vote.
SEARCH = ((0, 0), (-25, 0), (25, 0), (0, -20), (0, 20), (-50, 0), (50, 0))
VOTE = ((0, 0), (-20, 0), (20, 0), (0, -10), (0, 10), (-10, 5), (10, -5))
GRAZING = 0.2  # cosine between the ray and the normal below which a back-projection is refused
CONFIRMED = 1 / 3  # of the views around a face must show one
OUTLIER = 5.0  # mm from the median of the votes beyond which a vote does not count


class NoFaceError(ScanError):
    """The detector finds no face in any view of the scan."""


def of(scan: Scan | ScannedSurface) -> FloatArray:
    """The landmarks (43, 3) in mm that came with a scan, or those detected on it.

    Raises `NoFaceError`.
    """
    given = (scan.scan if isinstance(scan, ScannedSurface) else scan).landmarks
    return detect(scan) if given is None else np.asarray(given, dtype=np.float64)


def detect(scan: Scan | ScannedSurface) -> FloatArray:
    """The landmarks (43, 3) in mm on a scan's surface; NaN where no view sees one.

    The face may look up to 40 degrees to a side of +z, or 25 up or down. Raises `NoFaceError`.
    """
    surface = scan if isinstance(scan, ScannedSurface) else ScannedSurface(scan)
    for first in _candidates(surface):
        front = _vote(surface, first, VOTE[:1])  # turns to the face's own front
        found = None if front is None else _vote(surface, front, VOTE)
        if found is not None:
            return found
    raise NoFaceError(
        f"no face found on {surface.scan.name} in {len(SEARCH)} views; rotate the scan so that "
        "the face looks approximately along +z with y up, in mm, or provide its landmarks"
    )


@dataclass(frozen=True)
class View:
    """An orthographic picture of a scan, square."""

    turn: FloatArray  # (3, 3) rotation: in rows the picture's right, its up, towards the viewer
    middle: FloatArray  # (3,) mm, the point at the picture's middle
    size: int  # pixels along a side
    pixel: float = PIXEL  # mm along a pixel's side

    def rays(self, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Origins (k, 3) and the direction (3,) of rays through pixels (k, 2), column and row."""
        right, down = (pixels.T - (self.size - 1) / 2) * self.pixel
        start = self.middle + STAND_OFF * self.turn[2]
        origins = [start[c] + right * self.turn[0, c] - down * self.turn[1, c] for c in range(3)]
        return np.stack(origins, axis=1), -self.turn[2]

    def project(self, points: FloatArray) -> FloatArray:
        """Where points (k, 3) in mm are seen: pixels (k, 2), column and row."""
        right, up = ((points - self.middle) @ self.turn[:2].T).T / self.pixel
        return np.stack([right, -up], axis=1) + (self.size - 1) / 2


def _candidates(surface: ScannedSurface) -> Iterator[FloatArray]:
    """Landmarks (43, 3) from views of the whole scan that show something like a face."""
    low, high = surface.corners.min(axis=(0, 1)), surface.corners.max(axis=(0, 1))
    extent = float(np.max(high - low))
    size = max(1, min(round(extent / PIXEL), LARGEST))
    for angle in SEARCH:
        marks = _mark(surface, View(_turned(angle), (low + high) / 2, size, extent / size))
        if marks is not None and _enough(marks.points):
            yield marks.points


def _vote(
    surface: ScannedSurface, found: FloatArray, angles: Sequence[tuple[int, int]]
) -> FloatArray | None:
    """Landmarks (43, 3) from views around a face found before; None if too few confirm it."""
    marks = [_mark(surface, view) for view in _around(found, angles)]
    votes = [vote for vote in marks if vote is not None]
    if len(votes) < CONFIRMED * len(angles):
        return None
    points = _combine(votes)
    return points if _enough(points) else None


def _enough(points: FloatArray) -> bool:
    return int(np.isfinite(points).all(axis=1).sum()) >= ENOUGH


def _around(found: FloatArray, angles: Sequence[tuple[int, int]]) -> list[View]:
    """Views around the front of a face whose landmarks (43, 3) are roughly known."""
    known = np.isfinite(found).all(axis=1)
    model = standard().vertices[standard().landmarks]
    middle, centre = found[known].mean(axis=0), model[known].mean(axis=0)
    pose = Rotation.align_vectors(model[known] - centre, found[known] - middle)[0].as_matrix()
    return [
        View(_turned(angle) @ pose, middle - centre @ pose, round(FACE / PIXEL)) for angle in angles
    ]


def _turned(yaw_pitch: tuple[int, int]) -> FloatArray:
    """The picture's axes in rows, from a camera turned around the face by yaw and pitch."""
    yaw, pitch = yaw_pitch
    return np.asarray(Rotation.from_euler("XY", [pitch, -yaw], degrees=True).as_matrix())


@dataclass(frozen=True)
class _Marks:
    """What one view says: points (43, 3) on the surface or NaN, and how far each faces it (43,)."""

    points: FloatArray
    facing: FloatArray


def _mark(surface: ScannedSurface, view: View) -> _Marks | None:
    """Detect in one view and back-project; None without a face."""
    pixels = _detected(picture(surface, view))
    if pixels is None:
        return None
    places, facing = _look(surface, view, pixels)
    return _Marks(np.where(facing[:, None] > GRAZING, surface.points(places), np.nan), facing)


def in_photograph(image: Photograph) -> FloatArray:
    """Find the 43 landmarks (43, 2), column and row in pixels, of the face in a photograph.

    Raises `NoFaceError`.
    """
    pixels = _detected(image)
    if pixels is None:
        raise NoFaceError(
            f"no face is found in a photograph of {image.shape[1]} x {image.shape[0]} pixels: the "
            "face must be upright, frontal, and at least 80 pixels wide"
        )
    return pixels


def _detected(image: Photograph) -> FloatArray | None:
    """The 43 landmarks (43, 2) of the clearest face in an image (h, w, 3); None without one."""
    detector, predictor = _dlib()
    boxes, scores, _ = detector.run(image, 0, 0.0)
    if not boxes:
        return None
    shape = predictor(image, boxes[int(np.argmax(scores))])
    pixels = np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64)
    return pixels[FIRST_OF_68 : FIRST_OF_68 + N_LANDMARKS]


def picture(surface: ScannedSurface, view: View) -> NDArray[np.uint8]:
    """The scan as it is seen from outside (size, size, 3): its colours, sRGB, a little shaded."""
    pixels = np.argwhere(np.ones((view.size, view.size), dtype=bool))[:, ::-1]
    seen, _ = _look(surface, view, pixels)
    places = Places(seen.triangle[seen.found], seen.weights[seen.found])
    lamp = np.asarray(LAMP) / np.linalg.norm(LAMP) @ view.turn
    lit = np.clip(surface.normals_at(places) @ lamp, 0, None)
    image = np.full((view.size**2, 3), BACKGROUND, np.uint8)
    shade = 1 - SHADE + SHADE * lit[:, None]
    image[seen.found] = to_uint8(surface.colours(places, view.pixel) * shade)
    return image.reshape(view.size, view.size, 3)


def _look(surface: ScannedSurface, view: View, pixels: NDArray[Any]) -> tuple[Places, FloatArray]:
    """What pixels (k, 2) see, if from outside, and the cosines (k,) to the normals there."""
    origins, direction = view.rays(pixels)
    places = surface.cast(origins, np.broadcast_to(direction, origins.shape))
    facing = np.where(places.found, -surface.normals[places.triangle] @ direction, 0.0)
    outside = facing > 0
    return Places(np.where(outside, places.triangle, -1), places.weights), facing * outside


def _combine(votes: Sequence[_Marks]) -> FloatArray:
    """Points (43, 3): mean of the votes near their median, weighted by how they face the view."""
    points = np.stack([v.points for v in votes])  # (v, 43, 3)
    seen = np.isfinite(points).all(axis=2)
    middle = _median(points)
    near = seen & (np.linalg.norm(points - middle, axis=2) < OUTLIER)
    weight = np.where(near, np.stack([v.facing for v in votes]) ** 2, 0.0)  # (v, 43)
    total = weight.sum(axis=0)
    mean = np.einsum("vk,vkc->kc", weight, np.where(near[..., None], points, 0.0))
    combined = np.divide(mean, total[:, None], out=middle.copy(), where=total[:, None] > 0)
    return np.asarray(combined)


def _median(points: FloatArray) -> FloatArray:
    """Median (43, 3) over the first axis without NaNs; NaN where there is nothing else."""
    result = np.full(points.shape[1:], np.nan)
    seen = np.isfinite(points[..., 0]).any(axis=0)
    result[seen] = np.nanmedian(points[:, seen], axis=0)
    return result


@functools.cache
def _dlib() -> tuple[Any, Any]:
    """Return dlib's detector of frontal faces and its predictor of 68 points."""
    weights = pretrained.weights("shape_predictor_68_face_landmarks.dat")
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(weights)
