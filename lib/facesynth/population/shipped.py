"""Makes what `data/template` holds: head and standard template, and how the population deforms it.

    python -m facesynth.population.shipped      (or `make template`)

writes head.npz, which subjects' heads are like; face_of_head.npz, where on it the face is;
standard.npz, that face, with where dlib's detector finds the landmarks; and face_modes.npz, the
principal components of faces and expressions that alignment begins with. A test makes them again.
"""

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facesynth.alignment.deformation import MODES_FILE, Deformations, save
from facesynth.mapping.density import settled
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.head import FACE_FILE, HEAD_FILE, face_operator, head, save_face_operator
from facesynth.population.sampling import sample
from facesynth.population.template import cut_face, make
from facesynth.scans import Scan, landmarks
from facesynth.scans.parts import Photograph
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.surface.similarity import similarity
from facesynth.template import MIRROR, N_LANDMARKS, Template, standard

N_NEUTRAL, N_EXPRESSIVE = 200, 40  # subjects that the face modes are learned from
N_FACE_MODES = 80
SEED = 1000  # of those subjects: others than any that the book scans
GREY = np.full((2, 2, 3), 128, np.uint8)  # a photograph for a face that needs none


@threadpool_limits.wrap(limits=1)  # the last bits of a sum depend on the number of threads
def face_modes() -> Deformations:
    """Deformations of the standard template that lead to faces and their expressions.

    Principal components, as in Section 3, of subjects of the book's population and their mirror
    images, moved on to the template by their landmarks.
    """
    face = standard()
    assert face.mirror is not None
    neutral = sample(N_NEUTRAL, SEED, progress=False).geometry
    expressive = sample(N_EXPRESSIVE, SEED + 1, expressions=True, progress=False).expressions
    assert expressive is not None
    shapes = np.concatenate([neutral, expressive.reshape(-1, *neutral.shape[1:])])
    target = face.vertices[face.landmarks]
    moved = np.stack([similarity(s[face.landmarks], target).apply(s) for s in shapes])
    mirrored = moved[:, face.mirror] * [-1, 1, 1]
    deviations = np.concatenate([moved, mirrored]) - face.vertices  # (n, m, 3)
    mean = deviations.mean(axis=0)
    flat = (deviations - mean).reshape(len(deviations), -1)
    vectors = np.linalg.eigh(flat @ flat.T)[1]  # n faces, far fewer than 3 m coordinates
    vectors = vectors[:, : -N_FACE_MODES - 1 : -1]
    learned = (flat.T @ vectors / np.sqrt(len(flat))).reshape(*face.vertices.shape, -1)
    return Deformations(mean.astype(np.float32), learned.astype(np.float32))


def detected(n: int = 60, seed: int = 0) -> tuple[IntArray, FloatArray]:
    """Where `landmarks.detect` puts the landmarks: triangles (43,) and weights (43, 3).

    What dlib calls a lip's border is not where a modeller would put it, but it is about the same
    place on every face. Detects on n heads of the population, each with one of its expressions,
    takes what is found to the same place on the mean head, and keeps the median of the heads and
    their mirror images.
    """
    whole = head()
    people = sample(n, seed, resolution=256, expressions=True, whole=True, progress=False)
    assert people.expressions is not None
    assert people.textures is not None
    model = ScannedSurface(on_template(whole, whole.vertices))
    found = np.empty((n, N_LANDMARKS, 3))
    for k, texture in enumerate(people.textures):
        expressions = people.expressions[k]
        other = ScannedSurface(on_template(whole, expressions[k % len(expressions)], texture))
        marks = landmarks.detect(other.scan)
        on = model.points(other.nearest(np.nan_to_num(marks)))
        found[k] = np.where(np.isfinite(marks), on, np.nan)
    both = np.concatenate([found, found[:, MIRROR] * [-1, 1, 1]])  # (2 n, 43, 3)
    face = ScannedSurface(on_template(standard(), standard().vertices))
    places = face.nearest(np.nanmedian(both, axis=0))
    return places.triangle, places.weights.round(6)


def on_template(
    template: Template, vertices: NDArray[np.floating], texture: Photograph = GREY
) -> Scan:
    """A face on a template's triangles, with its texture as the one photograph."""
    uv = UniversalMapping(template, 64).uv[template.faces]
    photograph = np.zeros(len(uv), dtype=np.int64)
    return Scan(vertices.astype(np.float64), template.faces, uv, photograph, (texture,))


def main() -> None:
    """Write all files."""
    with resources.as_file(resources.files("facesynth.data") / "template") as folder:
        whole, file = settled(make()), Path(folder) / "standard.npz"
        whole.save(Path(folder) / HEAD_FILE)
        face, corners, weights = cut_face(whole)
        save_face_operator(Path(folder) / FACE_FILE, corners, weights)
        face = settled(face)
        face.save(file)
        for kept in (head, face_operator, standard):
            kept.cache_clear()
        dataclasses.replace(standard(), detected=detected()).save(file)
        standard.cache_clear()
        save(Path(folder) / MODES_FILE, face_modes())


if __name__ == "__main__":
    main()
