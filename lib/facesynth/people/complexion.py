"""Makes the tables of `population.complexion`: aggregates of real people's skin.

    python -m facesynth.people.complexion      (or `make complexion`; where the photographs are)

From the neutral portraits of the Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0):
photographs are warped to one frontal shape by dlib's 68 landmarks, 64 x 64. Kept are medians over
35 women and 34 men whom the set calls white and over the 33 others (at least 20 people each), and
the leading principal components of what women and men differ in from their groups. Our own faces,
pictured in the photographs' light and warped in the same way, are subtracted: what is left goes
into the skin, so that medians of pictures agree. From six photographic skins of MakeHuman (CC0):
their median at the head's vertices. Brows, eyes and lips are left to those who paint them.
"""

import functools
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import dlib
import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter
from scipy.spatial import Delaunay, cKDTree

from facesynth.dataset.canonical import fill
from facesynth.files import pretrained
from facesynth.files.atomic import write_whole
from facesynth.mapping import UniversalMapping
from facesynth.mapping.image_mapping import bilinear
from facesynth.people import real_data
from facesynth.people.realism import (
    BETWEEN_EYES,
    EYES_ROW,
    HEIGHT,
    WIDTH,
    Images,
    counterparts,
    photographed,
    place_in_crop,
    rendered,
)
from facesynth.population import makehuman, paint, sample
from facesynth.population.anatomy import between_eyes
from facesynth.population.appearance import COMPLEXIONS
from facesynth.population.complexion import BOTTOM, FILE, LEFT, RIGHT, SIDE, TOP, table
from facesynth.population.head import head
from facesynth.population.topology import topology
from facesynth.rendering.colour import from_uint8
from facesynth.scans.scanned_surface import bilinear as look_up
from facesynth.surface.mesh import FloatArray

Frontal = NDArray[np.float64]  # (..., 64, 64, 3) logarithms of linear RGB

ROUNDS = 2  # of painting with what is known, and correcting it
RESOLUTION = 256  # of the textures that are painted for that
DARK = 0.003  # added to linear RGB before the logarithm
LIP_EDGE = 4.5  # mm beyond the lips where skins show an edge, which others have elsewhere
HAIR = 0.5  # logarithm by which a forehead's pixel is darker than the cheeks, if hair hides it
# Beyond the jaw's and brows' landmarks: places in mm from between the eyes, moved with them all.
AROUND = np.array(
    [(-50, 55), (-25, 66), (0, 70), (25, 66), (50, 55), (-72, 20), (72, 20)]
    + [(-80, 80), (80, 80), (-80, -120), (80, -120), (0, -125)]
)


def shape_free(crops: Images, shape: FloatArray | None = None) -> tuple[Frontal, FloatArray]:
    """Logarithms (n, 64, 64, 3) of crops (n, HEIGHT, WIDTH, 3) in one frontal shape.

    shape : (68, 2) landmarks that all are warped to, in pixels of a crop; by default their mean.
    Returns it, too.
    """
    marks = np.array([_landmarks(crop) for crop in crops])
    target = marks.mean(axis=0) if shape is None else shape
    beyond = _in_crop(AROUND)
    nodes = np.concatenate([target, beyond])
    mesh, pixels = Delaunay(nodes), _in_crop(_grid())
    simplex = mesh.find_simplex(pixels)
    affine = mesh.transform[simplex]  # (k, 3, 2)
    first = np.einsum("kij,kj->ki", affine[:, :2], pixels - affine[:, 2])
    weights = np.column_stack([first, 1 - first.sum(axis=1)])
    result = np.empty((len(crops), SIDE, SIDE, 3))
    for image, crop, found in zip(result, crops, marks, strict=True):
        to_crop = np.linalg.lstsq(np.c_[target, np.ones(68)], found, rcond=None)[0]
        source = np.concatenate([found, np.c_[beyond, np.ones(len(beyond))] @ to_crop])
        at = np.einsum("kj,kjc->kc", weights, source[mesh.simplices[simplex]])
        light = uniform_filter(from_uint8(crop), (6, 6, 0))  # a pixel of the frontal image
        image[...] = np.log(look_up(light, at) + DARK).reshape(image.shape)
    return result, target


def relative(images: Frontal) -> Frontal:
    """Against the cheeks' mean, and symmetric; hair over the forehead is left out."""
    x, y = _grid().T.reshape(2, SIDE, SIDE)
    cheek = (np.hypot(np.abs(x) - 33, y + 32) < 11)[None, ..., None]
    level = images.mean(axis=(1, 2), where=cheek, keepdims=True)
    images = images - level
    hair = (images.mean(axis=-1) < -HAIR) & (y > 28)
    hair = maximum_filter(hair, (1, 5, 5))
    skin = np.where(hair[..., None], np.nan, images)
    both = np.stack([skin, skin[:, :, ::-1]])
    with warnings.catch_warnings():  # hair on both sides: still left out
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(both, axis=0))


def groups_of(gender: NDArray[np.str_], european: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The group (n,) of each person: 0 women and 1 men of European ancestry, 2 others."""
    return np.where(european, (gender == "male").astype(np.intp), 2)


def skin_of_head() -> FloatArray:
    """Logarithms (m, 3) of the median of MakeHuman's skins at the head's vertices."""
    top, whole = topology(), head()
    coarse = np.zeros((len(top.mirror), 3))  # u, v and whether they are known
    coarse[: len(top.base), :2] = makehuman.texture_coordinates()[top.base]
    coarse[: len(top.base), 2] = 1
    fine = top.subdivision @ coarse
    known = np.flatnonzero(fine[:, 2] > 0.999)
    skins = []
    for path in real_data.fetch("skins/"):
        with Image.open(path) as image:
            skin = from_uint8(np.asarray(image.convert("RGB")))
        values = bilinear(fine[known, :2], len(skin)) @ skin.reshape(-1, 3)
        skins.append(np.log(values + DARK))
    x, y, _ = (whole.vertices - between_eyes(whole))[known].T
    cheek = np.hypot(np.abs(x) - 33, y + 32) < 11
    median = np.median([skin - skin[cheek].mean(axis=0) for skin in skins], axis=0)
    nearest = cKDTree(whole.vertices[known]).query(whole.vertices)[1]
    full = median[nearest]
    full = 0.5 * (full + full[whole.mirror])
    # lips have pigments of their own, and what is painted between them: of the skins their gradient
    lips, mouth = (whole.regions[name][:, None] for name in ("lips", "mouth"))
    around = np.maximum(lips, mouth)[:, 0]
    edge = cKDTree(whole.vertices[around > 0.5]).query(whole.vertices)[0] < LIP_EDGE
    bare = np.flatnonzero((around < 0.01) & ~edge)
    away, nearest = cKDTree(whole.vertices[bare]).query(whole.vertices, 6)
    over = full[bare[nearest]].mean(axis=1)
    own = np.average(full, axis=0, weights=(lips * (1 - mouth))[:, 0])
    # not their edges and corners, which others have elsewhere
    within = np.clip((away[:, :1] - LIP_EDGE - 2) / 2, 0, 1)
    full = np.where(
        edge[:, None] | (lips + mouth > 0.01), over + within * (full - own - over), full
    )
    return np.asarray(full * (1 - mouth))


def painted(people: list[real_data.Portrait], seed: int = 0) -> Images:
    """Crops (n, HEIGHT, WIDTH, 3) of the people's counterparts, in the photographs' light."""
    drawn = sample(max(300, 5 * len(people)), seed, whole=True, progress=False)
    chosen = counterparts(people, drawn.labels)
    uv = UniversalMapping(head(), RESOLUTION).uv

    def picture(i: int) -> Images:
        texture, relief = paint(seed, i, RESOLUTION, whole=True)
        return rendered(drawn.geometry[i], uv, texture, relief, supersampling=1)

    return np.stack(joblib.Parallel(-1)(joblib.delayed(picture)(int(i)) for i in chosen))


def make() -> dict[str, NDArray[np.float16]]:
    """The tables, of which the file holds the last ones while this goes on."""
    people = real_data.london()
    european = np.array([person.ethnicity == "white" for person in people])
    group = groups_of(np.array([person.gender for person in people]), european)
    kept = {
        "groups": np.zeros((3, SIDE, SIDE, 3)),
        "components": np.zeros((2, COMPLEXIONS, SIDE, SIDE, 3)),
        "skin": skin_of_head(),
    }
    _write(kept)
    ours, shape = shape_free(painted(people))
    photographs = relative(shape_free(np.stack([photographed(p) for p in people]), shape)[0])
    for k in range(ROUNDS):
        ours = relative(ours if k == 0 else shape_free(painted(people), shape)[0])
        for g in range(3):
            lacking = _median(photographs[group == g]) - _median(ours[group == g])
            kept["groups"][g] += _on_skin(lacking)
        if k == 0:
            within = (
                photographs - np.array([_median(photographs[group == g]) for g in range(3)])[group]
            )
            men = np.array([person.gender == "male" for person in people])
            kept["components"] = np.stack([_components(within[men == m]) for m in (False, True)])
        _write(kept)
    return {name: of.astype(np.float16) for name, of in kept.items()}


def _components(within: Frontal) -> Frontal:
    """Principal components (c, 64, 64, 3) of what n people differ in, times their deviations."""
    flat = np.stack([_on_skin(image) for image in within]).reshape(len(within), -1)
    _, deviations, vectors = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    # those that are kept carry the variance of all
    whole = np.sqrt((deviations**2).sum() / (deviations[:COMPLEXIONS] ** 2).sum() / (len(flat) - 2))
    scaled = whole * deviations[:COMPLEXIONS, None] * vectors[:COMPLEXIONS]
    return scaled.reshape(-1, *within.shape[1:])


def _median(images: Frontal) -> Frontal:
    """Median (64, 64, 3) of those of n images that show skin, NaN where fewer than half do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(images, axis=0)
    return np.where(np.isfinite(images).mean(axis=0) > 0.5, median, np.nan)


def _on_skin(image: Frontal) -> Frontal:
    """An image (64, 64, 3) of bare skin: brows, eyes, lips and all beyond the face filled over."""
    known = _bare() & np.isfinite(image).all(axis=-1)
    filled = fill(np.where(known[..., None], image, 0).astype(np.float32), known)
    return np.asarray(gaussian_filter(filled, (1.5, 1.5, 0), mode="nearest"), np.float64)


@functools.cache
def _bare() -> NDArray[np.bool_]:
    """Where (64, 64) skin is seen, and seen well."""
    x, y = _grid().T.reshape(2, SIDE, SIDE)
    whole = head()
    places = whole.vertices - between_eyes(whole)
    front = np.flatnonzero(places[:, 2] > -45)
    nearest = front[cKDTree(places[front, :2]).query(_grid())[1]].reshape(SIDE, SIDE)
    eye = np.maximum(*(whole.regions[f"{side}_eye"] for side in ("left", "right")))
    brow = places[whole.landmarks[:10], :2]
    apart = cKDTree(brow).query(_grid())[0].reshape(SIDE, SIDE)
    lips = maximum_filter(whole.regions["lips"][nearest] > 0.2, 5)  # and their edges
    face = np.hypot(x / 60, (y + 22) / np.where(y > -22, 80, 86)) < 0.97
    return np.asarray((eye[nearest] < 0.05) & (apart > 5) & ~lips & face)


def _grid() -> FloatArray:
    """Middles (64², 2) of the frontal images' pixels, mm from between the eyes."""
    part = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(LEFT + part * (RIGHT - LEFT), TOP - part * (TOP - BOTTOM))
    return np.column_stack([x.ravel(), y.ravel()])


@functools.cache
def _crop_from_mm() -> FloatArray:
    """The affine map (3, 2) from places on the mean head's front, mm, to pixels of its crop."""
    whole = head()
    front = whole.vertices[:, 2] > -20
    places = (whole.vertices - between_eyes(whole))[front, :2]
    pixels = place_in_crop(whole.vertices)[front]
    return np.asarray(np.linalg.lstsq(np.c_[places, np.ones(len(places))], pixels, rcond=None)[0])


def _in_crop(places: FloatArray) -> FloatArray:
    return np.c_[places, np.ones(len(places))] @ _crop_from_mm()


def _landmarks(crop: Images) -> FloatArray:
    """Dlib's 68 landmarks (68, 2) of a crop: column and row."""
    half, middle = 0.95 * BETWEEN_EYES, EYES_ROW + 0.5 * BETWEEN_EYES
    corners = WIDTH / 2 - half, middle - half, WIDTH / 2 + half, min(middle + half, HEIGHT)
    found = _predictor()(crop, dlib.rectangle(*map(int, corners)))
    return np.array([[p.x, p.y] for p in found.parts()], dtype=float)


@functools.cache
def _predictor() -> Any:
    return dlib.shape_predictor(pretrained.weights("shape_predictor_68_face_landmarks.dat"))


def _write(kept: dict[str, FloatArray]) -> None:
    half = {name: of.astype(np.float16) for name, of in kept.items()}
    with resources.as_file(resources.files("facesynth.population") / FILE) as path:
        write_whole(Path(path), lambda file: np.savez_compressed(file, **half))  # type: ignore[arg-type]
    table.cache_clear()
    get_reusable_executor().shutdown()  # workers, too, keep what they have read


if __name__ == "__main__":
    make()
