"""A scan's texture on the template, and its detail: Sections 5.2, 5.3 and 6 of the paper.

Once the template has been deformed onto a scan, each pixel of the canonical image is a point of
the deformed template; its colour is that of the scan's photograph there. How far off the scan lies
along the template's normal is detail that is finer than the template's vertices. Where the scan has
a hole, or shows something else than the face, the pixel is invalid: "data corruptions may affect
the training data samples that are given to the network", and Section 6 learns from valid ones only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from facesynth.dataset.seams import level_seams
from facesynth.dataset.stray_hair import stray_hair
from facesynth.mapping import UniversalMapping
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import Colours, Places, ScannedSurface
from facesynth.surface.mesh import FloatArray, MeshArrayError, check_arrays

Mask = NDArray[np.bool_]

NEAR = 1.5  # mm from the template beyond which a scan's surface is another surface
FOLD = 0.8  # mm from the scan within which a fold of the template is shown by it, if they do not
AGAINST = -0.6  # face opposite ways: their normals' cosine
FACING = 0.45  # cosine between the template's normal and the scan's
SQUARE = 0.22  # shortest over longest extent of a mm² in the photograph: the view's cosine
STEP = 0.05  # mm off the template at which rays start, so as to meet a surface that lies on it
COVERED = 0.1  # share of a pixel that stray hair may cover
APART = 6.0  # mm from brows, eyes, nostrils and lips, which are dark and narrow themselves
MARGIN = 1.0  # mm beside a hole, where colours run out and the alignment is not sure of its edge
SPECK = 0.0005  # of the image's area: smaller patches are dropped, and smaller gaps closed


@dataclass(frozen=True)
class Canonical:
    """The texture of a scan.

    image  (R, R, 3) linear RGB in [0, 1]. Invalid pixels are filled from their surroundings, to
           be looked at and not to be learned from
    raw    (R, R, 3) the same as it was taken, with whatever the scan has at invalid pixels, and
           black where it has nothing
    valid  (R, R), True where the scan shows the face: in colour, and in shape within `NEAR` of the
           deformed template, facing the same way
    displacement  (R, R) mm from the deformed template to the scan, along the normals of
           `ImageMapping.surface`, outwards; 0 where it is not valid
    """

    image: Colours
    raw: Colours
    valid: Mask
    displacement: FloatArray


def canonical_texture(
    scan: Scan | ScannedSurface, vertices: ArrayLike, mapping: UniversalMapping
) -> Canonical:
    """Take a scan's colours to the canonical image.

    scan      the raw scan
    vertices  (m, 3) mm, the template deformed onto the scan, in the scan's frame
    mapping   of the template, at the image's resolution

    Raises `MeshArrayError` when the vertices do not fit the mapping.
    """
    deformed, _ = check_arrays(vertices, mapping.faces)
    if len(deformed) != len(mapping.uv):
        raise MeshArrayError(
            f"vertices have shape {deformed.shape}; the mapping's template has {len(mapping.uv)}"
        )
    surface = scan if isinstance(scan, ScannedSurface) else ScannedSurface(scan)
    size = mapping.resolution
    points, normals = mapping.surface(deformed)  # (R, R, 3) each
    places, offset = _see(surface, points.reshape(-1, 3), normals.reshape(-1, 3))
    folded = _in_folds(surface, points.reshape(-1, 3), normals.reshape(-1, 3), places, offset)
    busy = _busy(mapping)
    facing = np.einsum("kc,kc->k", surface.normals_at(places), normals.reshape(-1, 3))
    facing[folded] = 1
    square = (surface.squareness[places.triangle] > SQUARE) & surface.coloured[places.triangle]
    there = (places.found & (np.abs(offset) < NEAR)).reshape(size, size)
    seen = there & ((facing > FACING) & square).reshape(size, size)
    seen |= there & ~_large(~seen)  # a few noisy triangles are no hole

    pixel = _pixel_size(points)  # mm
    image = surface.colours(places, pixel.ravel()).reshape(size, size, 3)
    chart = np.where(places.found, surface.charts[places.triangle], -1).reshape(size, size)
    image = level_seams(image, np.where(seen, chart, -1))
    hair = _hairs(surface, places, pixel.ravel()).reshape(size, size)
    valid = _tidy(seen & mapping.mask, pixel) & ~(hair & ~busy)
    displacement = np.where(valid, offset.reshape(size, size), 0)
    return Canonical(fill(image, valid), image, valid, displacement)


def fill(image: NDArray[np.floating], valid: Mask) -> Colours:
    """Fill invalid pixels (R, R, c) smoothly from the valid ones (R, R) around them.

    Pull and push: valid pixels are averaged into ever coarser images until no gap is left, and
    the gaps of each are filled from the next.
    """
    weight = valid.astype(np.float32)[..., None]
    return _push_pull(np.asarray(image, np.float32) * weight, weight).astype(np.float32)


def _see(
    surface: ScannedSurface, points: FloatArray, normals: FloatArray
) -> tuple[Places, FloatArray]:
    """Where unit normals (k, 3) through points (k, 3) meet the scan, and how far out (k,) in mm.

    Of the two sides the nearer one that faces the same way counts; infinite where there is none.
    """
    best = Places(np.full(len(points), -1), np.zeros((len(points), 3)))
    least = np.full(len(points), np.inf)
    for side in (1.0, -1.0):
        hit = surface.cast(points - side * STEP * normals, side * normals)
        away = np.einsum("kc,kc->k", surface.points(hit) - points, normals)
        facing = np.einsum("kc,kc->k", surface.normals[hit.triangle], normals)
        better = hit.found & (facing > 0) & (np.abs(away) < np.abs(least))
        least = np.where(better, away, least)
        best = Places(
            np.where(better, hit.triangle, best.triangle),
            np.where(better[:, None], hit.weights, best.weights),
        )
    return best, least


def _in_folds(
    surface: ScannedSurface,
    points: FloatArray,
    normals: FloatArray,
    places: Places,
    offset: FloatArray,
) -> Mask:
    """Which points (k, 3) lie in a fold that the scan shows from outside: between closed lips.

    Their normals (k, 3) meet nothing near; the nearest places on the scan take the places' stead,
    and their offsets are 0.
    """
    folded = np.flatnonzero(~places.found | (np.abs(offset) > NEAR))
    nearest = surface.nearest(points[folded])
    close = np.linalg.norm(surface.points(nearest) - points[folded], axis=1) < FOLD
    outwards = surface.normals[nearest.triangle]
    close &= np.einsum("kc,kc->k", outwards, normals[folded]) > AGAINST
    folded = folded[close]
    places.triangle[folded] = nearest.triangle[close]
    places.weights[folded] = nearest.weights[close]
    offset[folded] = 0
    return np.isin(np.arange(len(points)), folded)


def _pixel_size(points: FloatArray) -> FloatArray:
    """Side (R, R) in mm of the square of surface that each pixel shows, points (R, R, 3)."""
    down, right = np.gradient(points, axis=(0, 1))
    return np.sqrt(np.linalg.norm(np.cross(down, right), axis=-1))


def _busy(mapping: UniversalMapping) -> Mask:
    """What is dark (R, R) without being hair over the skin."""
    model = mapping.template
    none = np.zeros(len(model.vertices))
    eye = np.maximum(*(model.regions.get(name, none) for name in ("left_eye", "right_eye")))
    dark = np.intersect1d(model.known, np.r_[0:10, 14:43])  # no landmarks along the nose's bridge
    points = model.vertices[model.landmarks[dark]]
    apart = np.linalg.norm(model.vertices[:, None] - points, axis=2)  # (m, k)
    busy = (apart.min(axis=1, initial=np.inf) < APART) | (eye > 0)
    return np.asarray(mapping.to_image(busy[:, None].astype(np.float64))[..., 0] > 0.5)


def _hairs(surface: ScannedSurface, places: Places, pixel: FloatArray) -> Mask:
    """Whether hair that fell over the skin covers a part of each pixel (k,), `pixel` mm wide."""
    if not surface.scan.photographs:
        return np.zeros(len(places.triangle), bool)
    texels = float(np.median(surface.texels[surface.texels > 0]))
    masks = [stray_hair(image, texels) for image in surface.scan.photographs]
    share = surface.average([m[..., None].astype(np.float32) for m in masks], places, pixel)
    return np.asarray(share[:, 0] > COVERED)


def _tidy(valid: Mask, pixel: FloatArray) -> Mask:
    """Without a margin along holes, and without specks; `pixel` (R, R) is a pixel's side in mm."""
    padded = np.pad(valid, 1, constant_values=True)  # the image's own border is not a hole
    within = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]  # pixels to the nearest hole
    inner = within > np.maximum(MARGIN / np.maximum(pixel, 1e-9), 1)
    return _large(inner)


def _large(mask: Mask) -> Mask:
    """A mask (R, R) without its specks."""
    label, _ = ndimage.label(mask)
    large = np.bincount(label.ravel()) >= SPECK * mask.size
    large[0] = False
    return np.asarray(large[label])


def _push_pull(colour: Colours, weight: Colours) -> Colours:
    """Colours (h, w, 3), multiplied by weights (h, w, 1) in [0, 1], to full weight everywhere."""
    h, w = weight.shape[:2]
    if min(h, w) <= 1 or (weight >= 1).all():
        return np.asarray(colour / np.maximum(weight, 1e-6), np.float32)
    halved, total = _halved(colour), _halved(weight)
    most = np.asarray(np.minimum(total, 1), np.float32)
    share = np.asarray(most / np.maximum(total, 1e-6), np.float32)
    coarse = _push_pull(halved * share, most)
    wide = _doubled(coarse, h).swapaxes(0, 1)
    return colour + (1 - weight) * _doubled(wide, w).swapaxes(0, 1)


def _halved(image: Colours) -> Colours:
    """Sums over 2 x 2 pixels of an image (h, w, c), zero beyond its border."""
    h, w = image.shape[:2]
    padded = np.pad(image, ((0, h % 2), (0, w % 2), (0, 0))) if h % 2 or w % 2 else image
    rows = padded[0::2] + padded[1::2]
    return np.asarray(rows[:, 0::2] + rows[:, 1::2])


def _doubled(image: Colours, height: int) -> Colours:
    """An image (h, w, c) with 2 h rows or one less, linear between the centres of its own."""
    near = np.float32(0.75) * image
    far = np.float32(0.25) * np.concatenate([image[:1], image, image[-1:]])
    rows = np.stack([near + far[:-2], near + far[2:]], axis=1)  # (h, 2, w, c)
    return np.asarray(rows.reshape(-1, *image.shape[1:])[:height])
