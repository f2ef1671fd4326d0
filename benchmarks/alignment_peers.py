"""Others' non-rigid alignment beside ours, on the same scans: for `alignment.py` and chapter 03.

Each method deforms the template onto a scan from the same start, the template moved by the detected
landmarks. The peers are optional packages: `available` leaves out what is not installed.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping

import numpy as np
import trimesh
from scipy.sparse import csr_array

from facesynth import population
from facesynth.alignment import deformation
from facesynth.alignment import registration as alignment
from facesynth.scans import landmarks
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import FloatArray, IntArray, vertex_normals
from facesynth.template import standard
from facesynth.virtual_scanner import scan

# Takes a scan, its landmarks (43, 3) and the start (m, 3), both in mm; returns vertices (m, 3).
Method = Callable[[ScannedSurface, FloatArray, FloatArray], FloatArray]


def available() -> dict[str, Method]:
    """The methods by name: ours, ours without a notion of faces, and the peers installed."""
    methods: dict[str, Method] = dict(OURS)
    if importlib.util.find_spec("meshmonk"):
        methods["meshmonk pyramid_register"] = _meshmonk
    if importlib.util.find_spec("rtree"):
        methods["trimesh nricp_amberg"] = _amberg
    return methods


def compare(count: int, seed: int, methods: Mapping[str, Method]) -> dict[str, FloatArray]:
    """Seconds and the four errors of `alignment.errors` in mm: name -> (count, 5).

    The scans are of `count` subjects of a seed, each with one of the expressions.
    """
    people = population.sample(count, seed, expressions=True, progress=False)
    assert people.expressions is not None
    deformation.of_faces(), deformation.smooth(standard())  # made once, not for each scan
    start, marked = standard().vertices, standard().at_detected
    rows: dict[str, list[list[float]]] = {name: [] for name in methods}
    for i, expressions in enumerate(people.expressions):
        face = expressions[i % len(expressions)]
        texture, relief = population.paint(seed, i, 256, face)
        virtual = scan(face, texture, relief=relief, seed=[seed, i])
        surface = ScannedSurface(virtual)
        marks = landmarks.detect(surface)
        moved = deformation.similarity(marked @ start, marks).apply(start)
        surface.nearest(moved)  # its search tree, which all methods need, is built
        for name, method in methods.items():
            began = time.perf_counter()
            result = method(surface, marks, moved)
            took = time.perf_counter() - began
            rows[name].append([took, *alignment.errors(result, virtual.truth.vertices, surface)])
    return {name: np.array(values) for name, values in rows.items()}


def table(count: int, seed: int, *, slow: bool) -> str:
    """What `compare` finds, as Markdown; the method that takes half a minute only if `slow`."""
    methods = {name: m for name, m in available().items() if slow or "amberg" not in name}
    compared = compare(count, seed, methods)
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


def _ours(surface: ScannedSurface, marks: FloatArray, start: FloatArray) -> FloatArray:
    return alignment.nonrigid(surface, marks, marked=standard().at_detected)


def _smoothness_alone(surface: ScannedSurface, marks: FloatArray, start: FloatArray) -> FloatArray:
    marked, prior = standard().at_detected, deformation.smooth(standard())
    return alignment.nonrigid(surface, marks, marked=marked, prior=prior)


def _meshmonk(surface: ScannedSurface, marks: FloatArray, start: FloatArray) -> FloatArray:
    import meshmonk

    def features(vertices: FloatArray, faces: IntArray) -> np.ndarray:
        return np.hstack([vertices, vertex_normals(vertices, faces)]).astype(np.float32)

    faces = standard().faces
    flags = np.ones(len(surface.vertices), np.float32)
    flags[surface.faces[surface.border]] = 0  # its way to say that nothing belongs to the border
    result = meshmonk.pyramid_register(
        floating_features=features(start, faces),
        target_features=features(surface.vertices, surface.faces),
        floating_faces=faces.astype(np.int32),
        target_faces=surface.faces.astype(np.int32),
        floating_flags=np.ones(len(start), np.float32),
        target_flags=flags,
    )
    return np.asarray(result.aligned_features[:, :3], dtype=np.float64)


def _amberg(surface: ScannedSurface, marks: FloatArray, start: FloatArray) -> FloatArray:
    faces = standard().faces
    known = np.isfinite(marks).all(axis=1)
    triangle, weights = _barycentric(standard().at_detected[known], faces)
    result = trimesh.registration.nricp_amberg(
        trimesh.Trimesh(start, faces, process=False),
        trimesh.Trimesh(surface.vertices, surface.faces, process=False),
        source_landmarks=(triangle, weights),
        target_positions=marks[known],
    )
    return np.asarray(result)


def _barycentric(operator: csr_array, faces: IntArray) -> tuple[IntArray, FloatArray]:
    """The triangle (k,) and its corners' weights (k, 3) of each row of an operator (k, m)."""
    at_corners = operator.toarray()[:, faces]  # (k, f, 3)
    triangle = at_corners.sum(axis=2).argmax(axis=1)
    return triangle, at_corners[np.arange(len(triangle)), triangle]


OURS = {"facesynth": _ours, "facesynth, smoothness alone": _smoothness_alone}
