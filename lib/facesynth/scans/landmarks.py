"""Where a scan's 43 landmarks lie: Section 5.1 of the paper.

"These locations are determined automatically by projecting the facial surface into an image and
applying one of many 2D facial landmark detectors such as Dlib. The landmarks are then
back-projected onto the surface." Here the surface is seen from several sides: a first detection
says where the face is, how large, and how it is turned, and views around its front then vote. The
face of most scans looks along +z, with y up; if none is found there, it is looked for all around.
The 43 are dlib's 68 without the jaw, which is not a point of the surface, and the inner lips.

The paper then refines the locations by hand. Here the template is calibrated instead: dlib does not
put a landmark where a modeller would, but it puts it at about the same point of every face, which
`Template.at_detected` gives.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from facesynth.files import pretrained
from facesynth.rendering.colour import to_uint8
from facesynth.scans.landmark_files import misfits
from facesynth.scans.parts import Photograph, ScanError
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import Places, ScannedSurface
from facesynth.surface.mesh import FloatArray
from facesynth.surface.similarity import similarity
from facesynth.surface.sphere import sphere
from facesynth.template import FIRST_OF_68, N_LANDMARKS, standard

PIXEL = 1.0  # mm of the surface that a view's pixel shows: dlib finds faces of 80 pixels and more
FACE = 300.0  # mm that a view around the face shows: dlib wants the face's surroundings too
USUAL = (0.7, 1.4)  # sizes over the mean face's that are shown as if they were its own
LARGEST = 800  # pixels along a view's side: a scan from head to toe is shown smaller
SMALLEST = 160  # the same: what is small, in whichever unit, is shown larger
BACKGROUND = 110  # sRGB grey around the surface
LAMP = (0.0, 0.4, 1.0)  # direction to a lamp in a view's axes: over the camera, as dlib's faces
SHADE = 0.7  # the part of the light that comes from it, rather than from everywhere
STAND_OFF = 4.0  # widths of a view from its middle to where its rays begin

# Yaw and pitch in degrees. Search until a view finds a face; then these around its front vote.
SEARCH = ((0, 0), (-25, 0), (25, 0), (0, -20), (0, 20), (-50, 0), (50, 0))
DIRECTIONS = 40  # all around, 30 degrees apart, from which a turned scan is seen at last,
ROLLS = (0, 45)  # degrees, with its pictures turned by these, and by quarters
VOTE = ((0, 0), (-20, 0), (20, 0), (0, -10), (0, 10), (-10, 5), (10, -5))
LOOKS = (1, 3)  # views of these in one look after another, each from the front found before
BOXES = 10  # around a face in a view; dlib's landmarks depend on its box, their mean hardly does
SHIFT = 0.05  # of a box's width, by which these are moved, and grown or shrunk
GRAZING = 0.2  # cosine between the ray and the normal below which a back-projection is refused
CONFIRMED = 1 / 3  # of the views around a face must show one
CLEAR = 1.0  # mean of the detector's scores over these views, above which it is surely a face
OUTLIER = 5.0  # mm from the median of the votes beyond which a vote does not count


class NoFaceError(ScanError):
    """The detector finds no face in any view of the scan; `picture` shows what it looked at."""

    picture: Photograph | None = None


def detect(scan: Scan | ScannedSurface, near: FloatArray | None = None) -> FloatArray:
    """The landmarks (43, 3) in mm on a scan's surface; NaN where no view sees one.

    The scan may be turned in any way, and of any size. Raises `NoFaceError`.

    near : where they lie roughly (43, 3), if that is known
    """
    surface = scan if isinstance(scan, ScannedSurface) else ScannedSurface(scan)
    unclear: list[tuple[float, FloatArray]] = []
    known = [] if near is None else [near]
    for first in itertools.chain(known, _candidates(surface), _anywhere(surface)):
        found, clear = _settled(surface, first)
        if found is not None and clear > CLEAR:
            return found
        if found is not None:
            unclear.append((clear, found))
    if unclear:
        return max(unclear, key=lambda one: one[0])[1]
    error = NoFaceError(
        f"no face found on {surface.scan.name}, from whichever side; if it has one, provide its "
        f"landmarks, in a file {surface.scan.name}.csv beside it"
    )
    error.picture = searched(surface)
    raise error


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
        start = self.middle + STAND_OFF * self.size * self.pixel * self.turn[2]
        origins = [start[c] + right * self.turn[0, c] - down * self.turn[1, c] for c in range(3)]
        return np.stack(origins, axis=1), -self.turn[2]

    def project(self, points: FloatArray) -> FloatArray:
        """Where points (k, 3) in mm are seen: pixels (k, 2), column and row."""
        right, up = ((points - self.middle) @ self.turn[:2].T).T / self.pixel
        return np.stack([right, -up], axis=1) + (self.size - 1) / 2


def _candidates(surface: ScannedSurface) -> Iterator[FloatArray]:
    """Landmarks (43, 3) from views of the whole scan that show something like a face."""
    for angle in SEARCH:
        marks = _mark(surface, whole(surface, _turned(angle)))
        if marks is not None and _plausible(marks.points):
            yield marks.points


def _anywhere(surface: ScannedSurface) -> Iterator[FloatArray]:
    """The same from all around and with the scan's up anywhere, the clearest faces first."""
    found = []
    for direction in sphere(DIRECTIONS):
        upright = Rotation.align_vectors([[0, 0, 1]], [direction])[0].as_matrix()
        for roll in ROLLS:
            turn = Rotation.from_euler("Z", roll, degrees=True).as_matrix() @ upright
            for quarter, image in enumerate(_quarters(surface, whole(surface, turn))):
                detected = _detected(image)
                if detected is not None:
                    back = Rotation.from_euler("Z", 90 * quarter, degrees=True).as_matrix()
                    found.append((detected[1], whole(surface, back @ turn)))
    for _, view in sorted(found, key=lambda one: -one[0]):
        marks = _mark(surface, view)
        if marks is not None and _plausible(marks.points):
            yield marks.points


def whole(surface: ScannedSurface, turn: FloatArray) -> View:
    """A view of the whole scan, turned by (3, 3)."""
    low, high = surface.bounds
    extent = float(np.max(high - low))
    size = max(SMALLEST, min(round(extent / PIXEL), LARGEST))
    return View(turn, (low + high) / 2, size, max(extent, 1e-9) / size)


def _settled(surface: ScannedSurface, found: FloatArray) -> tuple[FloatArray | None, float]:
    """Landmarks (43, 3) after all looks, and how clear the face is in the last; None if not one."""
    points, clear = found, 0.0
    for views in LOOKS:
        seen, clear = _vote(surface, points, VOTE[:views])
        if seen is None:
            return None, 0.0
        points = seen
    return points, clear


def _vote(
    surface: ScannedSurface, found: FloatArray, angles: Sequence[tuple[int, int]]
) -> tuple[FloatArray | None, float]:
    """Landmarks (43, 3) from views around a face found before, and how clear it is in them.

    None if too few confirm it.
    """
    views = _around(found, angles)
    marks = [_mark(surface, view) for view in views]
    votes = [vote for vote in marks if vote is not None]
    if len(votes) < CONFIRMED * len(angles):
        return None, 0.0
    points = _combine(votes, OUTLIER * views[0].pixel / PIXEL)
    clear = sum(vote.score for vote in votes) / len(angles)
    return points if _plausible(points) else None, clear


def _plausible(points: FloatArray) -> bool:
    """Whether points (43, 3) are enough, and a face rather than the inside of a mask of one."""
    straight, mirrored = misfits(points)  # NaN for too few
    return straight < mirrored


def _model() -> FloatArray:
    """The landmarks (43, 3) of the mean face."""
    return standard().vertices[standard().landmarks]


def _around(found: FloatArray, angles: Sequence[tuple[int, int]]) -> list[View]:
    """Views around the front of a face whose landmarks (43, 3) are roughly known."""
    known, model = np.isfinite(found).all(axis=1), _model()
    middle, centre = found[known].mean(axis=0), model[known].mean(axis=0)
    pose = Rotation.align_vectors(model[known] - centre, found[known] - middle)[0].as_matrix()
    scale = similarity(model, found).scale
    if USUAL[0] < scale < USUAL[1]:
        scale = 1.0
    return [
        View(
            _turned(angle) @ pose,
            middle - scale * centre @ pose,
            round(FACE / PIXEL),
            scale * PIXEL,
        )
        for angle in angles
    ]


def _turned(yaw_pitch: tuple[int, int]) -> FloatArray:
    """The picture's axes in rows, from a camera turned around the face by yaw and pitch."""
    yaw, pitch = yaw_pitch
    return np.asarray(Rotation.from_euler("XY", [pitch, -yaw], degrees=True).as_matrix())


@dataclass(frozen=True)
class _Marks:
    """What one view says: points (43, 3) on the surface or NaN, and how far each faces it (43,).

    score : the detector's, of how clear the face is
    """

    points: FloatArray
    facing: FloatArray
    score: float = 0.0


def _mark(surface: ScannedSurface, view: View) -> _Marks | None:
    """Detect in one view and back-project; None without a face."""
    detected = _detected(picture(surface, view))
    if detected is None:
        return None
    places, facing = _look(surface, view, detected[0])
    points = np.where(facing[:, None] > GRAZING, surface.points(places), np.nan)
    return _Marks(points, facing, detected[1])


def searched(surface: ScannedSurface) -> Photograph:
    """The views (h, w, 3) in which a face is looked for first, beside each other."""
    pictures = [picture(surface, whole(surface, _turned(angle))) for angle in SEARCH]
    shrunk = [Image.fromarray(p).resize((SMALLEST, SMALLEST)) for p in pictures]
    return np.concatenate([np.asarray(p) for p in shrunk], axis=1)


def disagreement(surface: ScannedSurface, expected: FloatArray) -> FloatArray | None:
    """How far (43,), in mm, a picture from the front shows landmarks from expected ones (43, 3).

    The picture is of the scan's colours alone; where it has none, of its shape. None without a
    face in it.
    """
    view = _around(expected, VOTE[:1])[0]
    bare = SHADE if not surface.scan.has_texture else 0.0
    detected = _detected(picture(surface, view, bare))
    if detected is None:
        return None
    off = np.linalg.norm(view.project(expected) - detected[0], axis=1)
    return np.asarray(off * view.pixel)


def in_photograph(image: Photograph) -> FloatArray:
    """Find the 43 landmarks (43, 2), column and row in pixels, of the face in a photograph.

    Raises `NoFaceError`.
    """
    detected = _detected(image)
    if detected is None:
        raise NoFaceError(
            f"no face is found in a photograph of {image.shape[1]} x {image.shape[0]} pixels: the "
            "face must be upright, frontal, and at least 80 pixels wide"
        )
    return detected[0]


def _detected(image: Photograph) -> tuple[FloatArray, float] | None:
    """The 43 landmarks (43, 2) of the clearest face in an image (h, w, 3), and how clear it is.

    None without one.
    """
    detector, predictor = _dlib()
    boxes, scores, _ = detector.run(image, 0, 0.0)
    if not boxes:
        return None
    best = int(np.argmax(scores))
    shapes = [predictor(image, box).parts() for box in _shaken(boxes[best])]
    pixels = np.mean([[(p.x, p.y) for p in shape] for shape in shapes], axis=0)
    return pixels[FIRST_OF_68 : FIRST_OF_68 + N_LANDMARKS], float(scores[best])


def _shaken(box: Any) -> Iterator[Any]:
    """A detector's box, a little moved, and grown or shrunk, in `BOXES` ways."""
    corners = np.array([box.left(), box.top(), box.right(), box.bottom()])
    for right, down, growth in SHIFT * box.width() * sphere(BOXES):
        moved = corners + [right - growth, down - growth, right + growth, down + growth]
        yield dlib.rectangle(*(round(corner) for corner in moved))


def picture(surface: ScannedSurface, view: View, shade: float = SHADE) -> NDArray[np.uint8]:
    """The scan as it is seen from outside (size, size, 3), sRGB.

    shade : the part of the light that comes from a lamp; 0 for the colours alone
    """
    return _lit(*_unlit(surface, view), np.asarray(LAMP), shade)


def _quarters(surface: ScannedSurface, view: View) -> Iterator[NDArray[np.uint8]]:
    """Pictures of views that are turned by no, one, two and three quarters about their axis."""
    unlit = _unlit(surface, view)
    for quarter in range(4):
        x, y, z = LAMP
        for _ in range(quarter):  # the lamp stays above the picture as it will be turned
            x, y = y, -x
        yield np.ascontiguousarray(np.rot90(_lit(*unlit, np.array([x, y, z]), SHADE), quarter))


def _unlit(surface: ScannedSurface, view: View) -> tuple[FloatArray, FloatArray]:
    """Linear colours (size, size, 3), NaN around the scan, and normals in the view's axes."""
    pixels = np.argwhere(np.ones((view.size, view.size), dtype=bool))[:, ::-1]
    seen, _ = _look(surface, view, pixels)
    places = Places(seen.triangle[seen.found], seen.weights[seen.found])
    colours, normals = np.full((2, view.size**2, 3), np.nan)
    colours[seen.found] = surface.colours(places, view.pixel)
    normals[seen.found] = surface.normals_at(places) @ view.turn.T
    return colours.reshape(view.size, -1, 3), normals.reshape(view.size, -1, 3)


def _lit(
    colours: FloatArray, normals: FloatArray, lamp: FloatArray, shade: float
) -> NDArray[np.uint8]:
    lit = np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, None)
    light = 1 - shade + shade * lit[..., None]
    there = np.isfinite(colours[..., 0])
    image = np.full(colours.shape, BACKGROUND, np.uint8)
    image[there] = to_uint8((colours * light)[there])
    return image


def _look(surface: ScannedSurface, view: View, pixels: NDArray[Any]) -> tuple[Places, FloatArray]:
    """What pixels (k, 2) see, if from outside, and the cosines (k,) to the normals there."""
    origins, direction = view.rays(pixels)
    places = surface.cast(origins, np.broadcast_to(direction, origins.shape))
    facing = np.where(places.found, -surface.normals[places.triangle] @ direction, 0.0)
    outside = facing > 0
    return Places(np.where(outside, places.triangle, -1), places.weights), facing * outside


def _combine(votes: Sequence[_Marks], outlier: float) -> FloatArray:
    """Points (43, 3): mean of the votes near their median, weighted by how they face the view.

    outlier : mm from the median beyond which a vote does not count
    """
    points = np.stack([v.points for v in votes])  # (v, 43, 3)
    seen = np.isfinite(points).all(axis=2)
    middle = _median(points)
    near = seen & (np.linalg.norm(points - middle, axis=2) < outlier)
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
