"""Others' non-rigid alignment beside ours, on the same scans: for `alignment.py` and chapter 03.

Each method deforms the same template onto a scan from the same start, the template moved by the
detected landmarks. The peers are optional packages: `available` leaves out what is not installed.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.sparse import csr_array

from facesynth import population
from facesynth.alignment import deformation
from facesynth.alignment import registration as alignment
from facesynth.scans import landmarks
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray, IntArray, vertex_normals
from facesynth.surface.similarity import similarity
from facesynth.template import Template, standard
from facesynth.virtual_scanner import scan


class Scanned(NamedTuple):
    """A scan, the landmarks (43, 3) detected on it, and the true face (m, 3), in mm.

    The face has the standard template's vertices.
    """

    surface: ScannedSurface
    marks: FloatArray
    truth: FloatArray


class Task(NamedTuple):
    """A template to be deformed onto a scan with landmarks (43, 3), from a start (m, 3), in mm."""

    surface: ScannedSurface
    marks: FloatArray
    template: Template
    start: FloatArray


Method = Callable[[Task], FloatArray]  # returns vertices (m, 3) in mm


def available() -> dict[str, Method]:
    """The methods by name: ours, ours without a notion of faces, and the peers installed."""
    methods: dict[str, Method] = dict(OURS)
    if importlib.util.find_spec("meshmonk"):
        methods["meshmonk pyramid_register"] = _meshmonk
    if importlib.util.find_spec("rtree"):
        methods["trimesh nricp_amberg"] = _amberg
    return methods


def scanned(count: int, seed: int) -> list[Scanned]:
    """Scans of `count` subjects of a seed, each with one of the expressions."""
    people = population.sample(count, seed, expressions=True, whole=True, progress=False)
    assert people.expressions is not None
    result = []
    for i, expressions in enumerate(people.expressions):
        head = expressions[i % len(expressions)]
        texture, relief = population.paint(seed, i, 256, head, whole=True)
        virtual = scan(head, texture, relief=relief, seed=[seed, i])
        surface = ScannedSurface(virtual)
        result.append(Scanned(surface, landmarks.detect(surface), virtual.truth.vertices))
    return result


def compare(
    scans: Sequence[Scanned],
    methods: Mapping[str, Method],
    template: Template | None = None,
    places: csr_array | None = None,
) -> dict[str, FloatArray]:
    """Seconds and the four errors of `alignment.errors` in mm: name -> (scans, 5).

    template  by default the standard one
    places    the operator from the standard template's vertices to those of another one
    """
    face = standard() if template is None else template
    deformation.prior(face), deformation.smooth(face)  # made once, not for each scan
    rows: dict[str, list[list[float]]] = {name: [] for name in methods}
    for surface, marks, true_face in scans:
        truth = true_face if places is None else places @ true_face
        frame = similarity(face.at_detected @ face.vertices, marks)
        task = Task(surface, marks, face, frame.apply(face.vertices))
        surface.nearest(task.start)  # its search tree, which all methods need, is built
        for name, method in methods.items():
            began = time.perf_counter()
            result = method(task)
            took = time.perf_counter() - began
            rows[name].append([took, *alignment.errors(result, truth, surface, face)])
    return {name: np.array(values) for name, values in rows.items()}


def table(count: int, seed: int, *, slow: bool) -> str:
    """What `compare` finds, as Markdown; the method that takes half a minute only if `slow`."""
    methods = {name: m for name, m in available().items() if slow or "amberg" not in name}
    compared = compare(scanned(count, seed), methods)
    middle = {name: np.median(values, axis=0) for name, values in compared.items()}
    plainly = middle["facesynth, smoothness alone"][1]
    ratios = [f"{name} {row[1] / plainly:.2f}" for name, row in middle.items() if name not in OURS]
    fair = f" (median error against it: {', '.join(ratios)})" if ratios else ""
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{v:.2f}" for v in row) + " |" for name, row in middle.items()
    )
    return f"""
| {count} scans | s | median, mm | 95th percentile, mm | at landmarks, mm | to the surface, mm |
|---|---:|---:|---:|---:|---:|
{rows}

`meshmonk` (White et al. 2019) and trimesh's `nricp_amberg` (Amberg et al. 2007) know no faces, so the fair
row to hold them against is the second one{fair}. What is left at their and at our rims is the same sliding.
"""  # noqa: E501


def _ours(task: Task) -> FloatArray:
    marked = task.template.at_detected
    return alignment.nonrigid(task.surface, task.marks, task.template, marked=marked)


def _smoothness_alone(task: Task) -> FloatArray:
    marked, prior = task.template.at_detected, deformation.smooth(task.template)
    return alignment.nonrigid(task.surface, task.marks, task.template, marked=marked, prior=prior)


def _meshmonk(task: Task) -> FloatArray:
    import meshmonk

    def features(vertices: FloatArray, faces: IntArray) -> np.ndarray:
        return np.hstack([vertices, vertex_normals(vertices, faces)]).astype(np.float32)

    surface, faces = task.surface, task.template.faces
    flags = np.ones(len(surface.vertices), np.float32)
    flags[surface.faces[surface.border]] = 0  # its way to say that nothing belongs to the border
    result = meshmonk.pyramid_register(
        floating_features=features(task.start, faces),
        target_features=features(surface.vertices, surface.faces),
        floating_faces=faces.astype(np.int32),
        target_faces=surface.faces.astype(np.int32),
        floating_flags=np.ones(len(task.start), np.float32),
        target_flags=flags,
    )
    return np.asarray(result.aligned_features[:, :3], dtype=np.float64)


def _amberg(task: Task) -> FloatArray:
    surface, faces, marked = task.surface, task.template.faces, task.template.at_detected
    known = np.isfinite(task.marks).all(axis=1)
    triangle, weights = _barycentric(marked[known], faces)
    result = trimesh.registration.nricp_amberg(
        trimesh.Trimesh(task.start, faces, process=False),
        trimesh.Trimesh(surface.vertices, surface.faces, process=False),
        source_landmarks=(triangle, weights),
        target_positions=task.marks[known],
    )
    return np.asarray(result)


def _barycentric(operator: csr_array, faces: IntArray) -> tuple[IntArray, FloatArray]:
    """The triangle (k,) and its corners' weights (k, 3) of each row of an operator (k, m)."""
    at_corners = operator.toarray()[:, faces]  # (k, f, 3)
    triangle = at_corners.sum(axis=2).argmax(axis=1)
    return triangle, at_corners[np.arange(len(triangle)), triangle]


OURS = {"facesynth": _ours, "facesynth, smoothness alone": _smoothness_alone}
