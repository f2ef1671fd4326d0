"""Whose face is it: descriptors of a face-recognition network, as Section 10 compares them.

"We therefore choose to render each generated and real face from a frontal perspective and process
the rendered images via a pre-trained facial recognition network." The paper's is OpenFace (Amos,
Ludwiczuk and Satyanarayanan 2016); here it is dlib's, which the package `face-recognition-models`
carries. A face's pose is known, so that nothing has to be detected: the corners of its eyes and the
base of its nose are where the template's are.

    d = embed(chips(geometry, textures, uv))    # (n, 128)
    distances(d)                                # (n, n): dist = |D1 - D2|
"""

import functools
from typing import Any

import dlib
import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from tqdm import tqdm

from facesynth.files import pretrained
from facesynth.rendering import Camera, Light, render
from facesynth.template import Template, standard

SIZE = 150  # pixels along the side of what the network looks at
DESCRIPTOR = 128  # numbers that it answers with
BATCH = 16  # faces handed to a worker at a time
CAMERA = Camera(target=(0.0, -8.0, -20.0), height=240.0)
PICTURE = 240  # pixels along a side, 1 mm each: a little finer than what is cut out of it
LIGHT = Light(key=(0.0, 0.4, 1.0))  # from over the camera: no side of the face is dark
GREY = (0.15, 0.15, 0.15)  # linear, behind the face
# Corners of the left eye, outer and inner, of the right eye, and the base of the nose: the five
# points by which dlib cuts a face out, as numbers of the 43 landmarks.
FIVE = [28, 25, 19, 22, 16]

Floats = NDArray[np.floating[Any]]


class IdentityError(ValueError):
    """Faces or descriptors that cannot be compared."""


def chip(
    vertices: ArrayLike, texture: ArrayLike, uv: ArrayLike, template: Template | None = None
) -> NDArray[np.uint8]:
    """A face from the front, as the network wants to see it: (150, 150, 3) sRGB.

    vertices (m, 3) in mm, texture (R, R, 3) sRGB over uv (m, 2), as `rendering.render` takes them.
    The template is by default the project's own. Raises `MeshError` and `MaterialError`, and
    `MissingLandmarkError` for a template without the corners of its eyes or the base of its nose.
    """
    face_template = standard() if template is None else template
    picture = frontal(vertices, texture, uv, face_template)
    corners = np.asarray(vertices)[face_template.vertices_of(FIVE)]
    places = CAMERA.project(corners, PICTURE)
    five = [dlib.point(*np.rint(place).astype(int).tolist()) for place in places]
    whole = dlib.rectangle(0, 0, PICTURE - 1, PICTURE - 1)
    face = dlib.full_object_detection(whole, five)
    return np.asarray(dlib.get_face_chip(picture, face, size=SIZE, padding=0.25))


def frontal(
    vertices: ArrayLike, texture: ArrayLike, uv: ArrayLike, template: Template | None = None
) -> NDArray[np.uint8]:
    """The picture that `chip` cuts a face out of: (240, 240, 3) sRGB."""
    picture = render(
        vertices,
        (standard() if template is None else template).faces,
        uv,
        texture,
        camera=CAMERA,
        light=LIGHT,
        size=PICTURE,
        supersampling=1,
        background=GREY,
    )
    return np.ascontiguousarray(picture[..., :3])


@functools.cache
def network() -> Any:
    """The face-recognition network of dlib, read once in a process."""
    weights = pretrained.weights("dlib_face_recognition_resnet_model_v1.dat")
    return dlib.face_recognition_model_v1(weights)


def embed(chips: ArrayLike) -> NDArray[np.float32]:
    """Descriptors (n, 128) of chips (n, 150, 150, 3) uint8: near each other for one person's.

    Raises `IdentityError` for pictures of another size or kind.
    """
    images = np.asarray(chips)
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise IdentityError(
            f"the network looks at (n, {SIZE}, {SIZE}, 3) uint8, not {images.shape} "
            f"{images.dtype}: make pictures with `chip`"
        )
    if not len(images):
        return np.zeros((0, DESCRIPTOR), np.float32)
    return np.array(network().compute_face_descriptor(list(images)), np.float32)


def chips(
    geometry: Floats, textures: NDArray[np.uint8], uv: Floats, template: Template | None = None
) -> NDArray[np.uint8]:
    """Chips (n, 150, 150, 3) of faces: geometry (n, m, 3) mm, textures (n, R, R, 3) over uv (m, 2).

    Raises `IdentityError` where there are not as many textures as geometries, and what `chip` does.
    """
    _check(geometry, textures)
    made = [chip(*face, uv, template) for face in zip(geometry, textures, strict=True)]
    return np.array(made, np.uint8).reshape(-1, SIZE, SIZE, 3)


def describe(
    geometry: Floats,
    textures: NDArray[np.uint8],
    uv: Floats,
    template: Template | None = None,
    *,
    n_jobs: int = -1,
    progress: bool = True,
) -> NDArray[np.float32]:
    """Descriptors (n, 128) of faces, as `chips` takes them: `embed(chips(...))` in parallel.

    n_jobs    worker processes, as in joblib (-1: one for each core)
    progress  whether to show a bar

    Raises what `chips` does.
    """
    _check(geometry, textures)
    parts = [slice(i, i + BATCH) for i in range(0, len(geometry), BATCH)]
    made = joblib.Parallel(n_jobs if len(parts) > 1 else 1, return_as="generator")(
        joblib.delayed(_describe)(geometry[part], textures[part], uv, template) for part in parts
    )
    found = [np.zeros((0, DESCRIPTOR), np.float32)]
    with tqdm(total=len(geometry), unit=" faces", desc="identities", disable=not progress) as bar:
        for some in made:
            found.append(some)
            bar.update(len(some))
    return np.concatenate(found)


def _check(geometry: Floats, textures: NDArray[np.uint8]) -> None:
    if len(geometry) != len(textures):
        raise IdentityError(f"{len(geometry)} geometries and {len(textures)} textures are no faces")


def _describe(
    geometry: Floats, textures: NDArray[np.uint8], uv: Floats, template: Template | None
) -> NDArray[np.float32]:
    return embed(chips(geometry, textures, uv, template))


def distances(a: Floats, b: Floats | None = None) -> NDArray[np.float64]:
    """The distances |D1 - D2| (n, k) of descriptors (n, 128) to (k, 128), or to themselves."""
    return np.asarray(cdist(a, a if b is None else b))
