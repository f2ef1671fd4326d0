"""The heads that the population is made of, and the faces that the standard template covers.

A scanner sees more of a head than the template takes: up to the crown and down to the neck. So
that nobody's scan ends where the template does, subjects are whole heads, in a topology of their
own, and their faces are parts of these.
"""

import functools
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from facesynth.files import arrays
from facesynth.files.atomic import write_whole
from facesynth.surface.mesh import FloatArray, IntArray, interpolation
from facesynth.template import Template

Real = TypeVar("Real", np.float32, np.float64)
HEAD_FILE, FACE_FILE = "head.npz", "face_of_head.npz"  # in `data/template`


@functools.cache
def head() -> Template:
    """The mean head: what the standard template is cut from. Read once in a process."""
    with _file(HEAD_FILE) as path:
        return Template.load(path)


@functools.cache
def face_operator() -> csr_array:
    """From a head's vertices to those of its face on the standard template: (k, m)."""
    with _file(FACE_FILE) as path:
        kept = arrays.read(path)
    return interpolation(kept["corners"], kept["weights"], len(head().vertices))


def on_face(heads: NDArray[Real]) -> NDArray[Real]:
    """What is known at the vertices of heads (..., m, c), at those of their faces (..., k, c)."""
    flat = np.moveaxis(heads, -2, 0).reshape(heads.shape[-2], -1)
    of_face = (face_operator() @ flat).astype(heads.dtype)
    return np.moveaxis(of_face.reshape(len(of_face), *heads.shape[:-2], heads.shape[-1]), 0, -2)


def save_face_operator(path: Path, corners: IntArray, weights: FloatArray) -> None:
    """Write what `face_operator` reads: the head's vertices (k, 2) and their weights (k, 2)."""
    write_whole(path, lambda file: np.savez_compressed(file, corners=corners, weights=weights))


def _file(name: str) -> AbstractContextManager[Path]:
    return resources.as_file(resources.files("facesynth.data") / "template" / name)
