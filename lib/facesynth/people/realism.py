"""Statistics of the appearance of sets of faces, for comparison with real photographs.

Every figure is measured on crops in which eyes and mouth have been moved to the same places, in
units of the distance between the eyes' centres. All apply to photographs and renders in the same
way; light, camera and framing must be similar, too.
"""

import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import dlib
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from facesynth.files import pretrained
from facesynth.people.real_data import Portrait
from facesynth.population import ANCESTRIES, GENDERS
from facesynth.population.head import head
from facesynth.rendering import Camera, Light, colour, render
from facesynth.rendering.gloss import gloss
from facesynth.surface.mesh import Floats
from facesynth.template import Template

Images = npt.NDArray[np.uint8]

BETWEEN_EYES = 160  # pixels of a crop between the eyes' middles
HEIGHT, WIDTH = 480, 400  # pixels of a crop
EYES_ROW = 190.0  # pixels from the crop's top to the line between the eyes
MOUTH_BELOW = 1.07  # from the eyes down to the mouth, in distances between the eyes
MM_BETWEEN_EYES = 63.0  # the average adult's, to say in mm how large a detail is

# Patches of bare skin: middle (x to the picture's right, y down) from between the eyes and half
# width and height, in distances between the eyes.
CHEEKS = ((-0.52, 0.56, 0.15, 0.14), (0.52, 0.56, 0.15, 0.14))
FOREHEAD = ((0.0, -0.52, 0.20, 0.08),)
BANDS = (0.0, 0.4, 0.8, 1.6, 3.2, 6.4)  # mm, standard deviations of the Gaussians between bands
# The light of the London photographs: large lamps in front of the face, above and below the camera,
# and little from elsewhere. These shares explain the shading of their mean face best.
EVEN_LIGHT = Light(
    key=(0.0, 0.4, 1.0),
    key_colour=(0.59, 0.59, 0.59),
    key_radius=25.0,
    fill=(0.0, -0.35, 1.0),
    fill_colour=(0.665, 0.665, 0.665),
    sky_colour=(0.06, 0.06, 0.06),
    ground_colour=(0.06, 0.06, 0.06),
)
_CAMERA = Camera(target=(0.0, 12.0, -20.0), height=230.0, distance=1500.0)
_RENDERED = 768  # pixels: as fine as the crops
_WALL = (0.55, 0.56, 0.55)  # linear RGB behind the faces
# Numbers of the 43 landmarks: the eye on the picture's left, the other, corners of the mouth.
EYES, MOUTH = ([*range(19, 25)], [*range(25, 31)]), [31, 37]
_EYES_OF_189, _MOUTH_OF_189 = (0, 1), (87, 93)  # landmarks of the London set
_ANCESTRY = {"black": "african", "east_asian": "asian", "east_asian/white": "asian"}  # of its words
COMPONENTS = (1, 5, 10, 20)  # numbers of principal components whose share is reported


class FacePointsError(ValueError):
    """The points are not sufficient to align a face."""


def align(image: Images, points: npt.ArrayLike) -> Images:
    """Crop a face (h, w, 3): the same places for eyes and mouth, (HEIGHT, WIDTH, 3).

    points : (3, 2) column and row in pixels of the eye on the picture's left, the other eye and the
    mouth's middle. A similarity takes them to their places as nearly as it can. What lies outside
    of the picture is black. Raises FacePointsError for points that are not finite or coincide.
    """
    where = np.asarray(points, dtype=float)
    if where.shape != (3, 2) or not np.isfinite(where).all() or np.ptp(where, axis=0).min() < 1:
        raise FacePointsError(f"expected two eyes and a mouth, (3, 2) in pixels, not {points!r}")
    a, b = _to_crop(where)
    # PIL looks up, for the pixel with its corner at x, y, the input at this affine map
    affine = (a.real, -a.imag, b.real, a.imag, a.real, b.imag)
    how = Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).transform((WIDTH, HEIGHT), *how))


def _to_crop(points: Floats) -> tuple[complex, complex]:
    """In the complex plane, where = a wanted + b: from a crop's places to points (3, 2) found."""
    half, below = BETWEEN_EYES / 2, BETWEEN_EYES * MOUTH_BELOW
    canonical = np.array([[-half, 0.0], [half, 0.0], [0.0, below]]) + [WIDTH / 2, EYES_ROW]
    wanted = np.stack([canonical @ [1, 1j], np.ones(3)], axis=1)
    a, b = np.linalg.lstsq(wanted, points @ [1, 1j], rcond=None)[0]
    return complex(a), complex(b)


def photographed(person: Portrait) -> Images:
    """The crop of a photograph of the London set, by its landmarks."""
    if person.landmarks is None:
        raise FacePointsError(f"portrait {person.id} has no landmarks; use a neutral one")
    mouth = person.landmarks[list(_MOUTH_OF_189)].mean(axis=0)
    return align(person.read(), [*person.landmarks[list(_EYES_OF_189)], mouth])


def rendered(
    vertices: npt.ArrayLike,
    uv: npt.ArrayLike,
    texture: npt.ArrayLike,
    relief: npt.ArrayLike | None = None,
    supersampling: int = 2,
) -> Images:
    """The crop of a picture of a head of the population, taken as the photographs were."""
    points = np.asarray(vertices, dtype=float)
    return _pictured(points, _anchors(points), head(), uv, texture, relief, supersampling)


def rendered_face(
    vertices: npt.ArrayLike, uv: npt.ArrayLike, texture: npt.ArrayLike, template: Template
) -> Images:
    """The same of a face of a template, which has no head around it."""
    points = np.asarray(vertices, dtype=float)
    parts = (EYES[0], EYES[1], MOUTH)
    anchors = np.array([points[template.vertices_of(part)].mean(axis=0) for part in parts])
    return _pictured(points, anchors, template, uv, texture, None, 1)


def _pictured(
    points: Floats,
    anchors: Floats,
    template: Template,
    uv: npt.ArrayLike,
    texture: npt.ArrayLike,
    relief: npt.ArrayLike | None,
    supersampling: int,
) -> Images:
    picture = render(
        points,
        template.faces,
        uv,
        texture,
        relief=relief,
        gloss=gloss(template),
        camera=_CAMERA,
        light=EVEN_LIGHT,
        size=_RENDERED,
        supersampling=supersampling,
        background=_WALL,
    )
    return align(picture[..., :3], _CAMERA.project(anchors, _RENDERED))


def place_in_crop(vertices: Floats) -> Floats:
    """Column and row (m, 2) in the crop of `rendered` of a head's vertices (m, 3)."""
    a, b = _to_crop(_CAMERA.project(_anchors(vertices), _RENDERED))
    seen = (_CAMERA.project(vertices, _RENDERED) @ [1, 1j] - b) / a
    return np.column_stack([seen.real, seen.imag])


def _anchors(points: Floats) -> Floats:
    """The middles of the eyes and of the mouth (3, 3) of a head (m, 3)."""
    whole = head()
    lids = [
        np.r_[whole.curves[f"{side}_upper_lid"], whole.curves[f"{side}_lower_lid"]]
        for side in ("right", "left")
    ]
    corners = whole.landmarks[[48 - 17, 54 - 17]]  # dlib's numbers less the jaw's 17
    return np.array([points[part].mean(axis=0) for part in (*lids, corners)])


def counterparts(people: list[Portrait], labels: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """For each person (p,) a subject of the same gender and ancestry, as near in age as there is.

    labels : (n,) of a population. No subject is taken twice. People whom the set labels neither
    black nor East Asian are compared with the Caucasian subjects; an unknown age counts as 27
    years, and an unknown gender matches both. Raises ValueError if there are too few subjects.
    """
    free = np.ones(len(labels), dtype=bool)
    chosen = []
    for person in people:
        fits = free & (labels["ancestry"] == _ANCESTRY.get(person.ethnicity, ANCESTRIES[2]))
        if person.gender in GENDERS:
            fits &= labels["gender"] == person.gender
        if not fits.any():
            raise ValueError(
                f"{len(labels)} subjects are too few for {len(people)} people: no subject is left "
                f"for {person.gender}, {person.ethnicity}; draw more"
            )
        age = 27.0 if np.isnan(person.age) else person.age
        candidates = np.flatnonzero(fits)
        chosen.append(candidates[np.abs(labels["age"][candidates] - age).argmin()])
        free[chosen[-1]] = False
    return np.array(chosen, dtype=np.int64)


def lab(images: Images) -> Floats:
    """CIELAB (..., 3) under D65 of sRGB images (..., 3)."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    white = np.array([0.95047, 1.0, 1.08883])
    t = colour.from_uint8(images) @ to_xyz.T / white
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness = 116 * f[..., 1] - 16
    a, b = 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])
    return np.stack([lightness, a, b], axis=-1)


def skin_colours(crops: Images, patches: tuple[tuple[float, ...], ...] = CHEEKS) -> Floats:
    """Median CIELAB (n, 3) of each crop's patches of skin."""
    parts = [lab(_patch(crops, patch)).reshape(len(crops), -1, 3) for patch in patches]
    return np.median(np.concatenate(parts, axis=1), axis=1)


def detail(crops: Images) -> Floats:
    """Standard deviation (n, b) of the lightness L* on the cheeks, within each of `BANDS`.

    A band is what a Gaussian of its lower limit leaves and one of its upper limit takes away.
    """
    scale = BETWEEN_EYES / MM_BETWEEN_EYES  # pixels a mm
    lightness = lab(crops)[..., 0]
    blurred = [gaussian_filter(lightness, (0, s * scale, s * scale)) for s in BANDS[1:]]
    bands = [fine - coarse for fine, coarse in pairwise([lightness, *blurred])]
    sides = [[_patch(band, p).std(axis=(1, 2)) for band in bands] for p in CHEEKS]
    return np.mean(sides, axis=0).T


def component_shares(crops: Images, counts: tuple[int, ...] = COMPONENTS) -> Floats:
    """Share of the variance of the inner faces that the first principal components hold.

    Inner face: an ellipse from brow to chin; hair and background stay outside.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dx, dy = (x - WIDTH / 2) / BETWEEN_EYES, (y - EYES_ROW) / BETWEEN_EYES
    inside = (dx / 0.85) ** 2 + ((dy - 0.50) / 1.05) ** 2 < 1
    small = inside[::4, ::4]
    faces = np.stack([np.asarray(Image.fromarray(c).reduce(4))[small] for c in crops])
    flat = faces.reshape(len(crops), -1).astype(np.float64)
    variance = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) ** 2
    return np.array([variance[:k].sum() / variance.sum() for k in counts])


def descriptors(crops: Images) -> Floats:
    """Dlib's face descriptor (n, 128) of each crop: pictures of one person lie near each other."""
    predictor, network = _networks()
    # where dlib's own detector finds a face that is aligned like this
    half, middle = 0.95 * BETWEEN_EYES, EYES_ROW + 0.5 * BETWEEN_EYES
    corners = WIDTH / 2 - half, middle - half, WIDTH / 2 + half, middle + half
    box = dlib.rectangle(*map(int, corners))
    chips = [dlib.get_face_chip(crop, predictor(crop, box)) for crop in crops]
    return np.array([network.compute_face_descriptor(chip) for chip in chips])


@functools.cache
def _networks() -> tuple[Any, Any]:
    predictor = pretrained.weights("shape_predictor_5_face_landmarks.dat")
    network = pretrained.weights("dlib_face_recognition_resnet_model_v1.dat")
    return dlib.shape_predictor(predictor), dlib.face_recognition_model_v1(network)


def distances(vectors: npt.ArrayLike) -> Floats:
    """Euclidean distances (n (n - 1) / 2,) between all pairs of vectors (n, d)."""
    v = np.asarray(vectors, dtype=float)
    i, j = np.triu_indices(len(v), k=1)
    return np.linalg.norm(v[i] - v[j], axis=1)


@dataclass(frozen=True)
class Realism:
    """What `measure` finds on n faces."""

    cheek: Floats  # (3,) mean CIELAB of the cheeks
    cheek_covariance: Floats  # (3, 3) between people
    forehead: Floats  # (3,) mean CIELAB of the forehead
    forehead_covariance: Floats  # (3, 3)
    detail: Floats  # (b,) median over people, standard deviation of L* in each of `BANDS`
    shares: Floats  # (c,) of the variance, for the first of `COMPONENTS`
    distance: float  # median distance between the descriptors of two people
    distance_low: float  # and its 5th percentile

    def table(self) -> dict[str, float]:
        """The figures by name, one number each."""
        rows: dict[str, float] = {}
        for name, mean, covariance in (
            ("cheek", self.cheek, self.cheek_covariance),
            ("forehead", self.forehead, self.forehead_covariance),
        ):
            for k, axis in enumerate("Lab"):
                rows[f"{name} {axis}*, mean"] = float(mean[k])
                rows[f"{name} {axis}*, SD"] = float(np.sqrt(covariance[k, k]))
        for low, high, value in zip(BANDS[:-1], BANDS[1:], self.detail, strict=True):
            rows[f"cheek detail {low:g} to {high:g} mm, SD of L*"] = float(value)
        for count, share in zip(COMPONENTS, self.shares, strict=True):
            rows[f"variance in {count} components"] = float(share)
        rows["descriptor distance, median"] = self.distance
        rows["descriptor distance, 5th percentile"] = self.distance_low
        return rows


def measure(crops: Images) -> Realism:
    """All figures of aligned crops (n, HEIGHT, WIDTH, 3), sRGB, one for each of n people."""
    cheek, forehead = skin_colours(crops), skin_colours(crops, FOREHEAD)
    apart = distances(descriptors(crops))
    return Realism(
        cheek=cheek.mean(axis=0),
        cheek_covariance=np.cov(cheek.T),
        forehead=forehead.mean(axis=0),
        forehead_covariance=np.cov(forehead.T),
        detail=np.median(detail(crops), axis=0),
        shares=component_shares(crops),
        distance=float(np.median(apart)),
        distance_low=float(np.percentile(apart, 5)),
    )


def _patch(images: npt.NDArray[Any], patch: tuple[float, ...]) -> npt.NDArray[Any]:
    """The pixels (n, h, w, ...) of a patch of images (n, HEIGHT, WIDTH, ...)."""
    x, y, w, h = (value * BETWEEN_EYES for value in patch)
    rows = slice(round(EYES_ROW + y - h), round(EYES_ROW + y + h))
    columns = slice(round(WIDTH / 2 + x - w), round(WIDTH / 2 + x + w))
    return images[:, rows, columns]
