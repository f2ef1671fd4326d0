"""What a scan may leave open: where its face looks, which side is outside, and how large it is.

Files do not say. The landmarks do, given or found: the mean face tells up from down and left from
right, the side from which a face is seen is the outside, and a face is about as large as another.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from facesynth.files.units import MM
from facesynth.scans import landmarks
from facesynth.scans.landmarks import NoFaceError
from facesynth.scans.parts import ScanUnitsError
from facesynth.scans.scan import Scan
from facesynth.scans.scanned_surface import ScannedSurface, welded
from facesynth.surface.mesh import FloatArray, vertex_normals
from facesynth.surface.similarity import similarity
from facesynth.surface.sphere import sphere
from facesynth.template import Template, standard

HUMAN = (0.7, 1.4)  # a face's size over the mean adult's, from a small child's to beyond any
UNITS = MM | {"inch": 25.4}  # of which one is looked for, where a scan's unit is not known
INWARDS = 0.3  # share of what is seen from all around, beyond which inner sides may be outer ones
GRID = 40  # pixels along a view in which they are counted
TWICE = 0.1  # share of triangles that are there from both sides, beyond which a scan is two-sided


@dataclass(frozen=True)
class Recognised:
    """A scan, outwards and in mm, and its face.

    surface    of the scan
    landmarks  (43, 3) mm
    detected   whether they were found here
    size       of the face, over the mean face's
    inside_out  whether the scan's triangles faced inwards, and were turned
    mm         what the scan's numbers were multiplied by
    """

    surface: ScannedSurface
    landmarks: FloatArray
    detected: bool
    size: float
    inside_out: bool = False
    mm: float = 1.0


def recognise(scan: Scan, template: Template | None = None) -> Recognised:
    """Find a scan's face and which way it faces; and its unit, if that is not known.

    Raises `NoFaceError`; `ScanUnitsError` for a face of no human size; `TooFewPointsError`, and
    what `ScannedSurface` raises.
    """
    scan, face = _one_sided(scan), standard() if template is None else template
    surface, inside_out = ScannedSurface(scan), False
    if scan.landmarks is not None:
        found = np.asarray(scan.landmarks, np.float64)
        if _seen_from_within(surface, found, face):
            surface, inside_out = ScannedSurface(_turned_out(scan)), True
    else:
        try:
            found = landmarks.detect(surface)
        except NoFaceError as error:
            if _inwards(surface) < INWARDS:
                raise
            surface, inside_out = ScannedSurface(_turned_out(scan)), True
            try:
                found = landmarks.detect(surface)
            except NoFaceError:
                raise error from None
    detected = scan.landmarks is None
    model = (face.at_detected if detected else face.at_landmarks) @ face.vertices
    known = abs(face.at_landmarks).sum(axis=1) > 0
    size = similarity(np.where(known[:, None], model, np.nan), found).scale
    if scan.sized:
        _check_size(size, scan)
        return Recognised(surface, found, detected, size, inside_out)
    mm = next((of for of in UNITS.values() if HUMAN[0] < size * of < HUMAN[1]), 1 / size)
    grown = replace(surface.scan, vertices=mm * scan.vertices, sized=True)
    surface, found = ScannedSurface(grown), mm * found
    if detected:  # again, in pictures of the same scale as those of a scan in mm
        found = landmarks.detect(surface, near=found)
    return Recognised(surface, found, detected, mm * size, inside_out, mm)


def _check_size(size: float, scan: Scan) -> None:
    """Raise `ScanUnitsError` for a face that is far too large or small."""
    if HUMAN[0] < size < HUMAN[1]:
        return
    fits = [name for name, mm in UNITS.items() if HUMAN[0] < size * mm < HUMAN[1] and mm != 1]
    fits += [
        f"1 / {mm:g} mm" for mm in UNITS.values() if HUMAN[0] < size / mm < HUMAN[1] and mm > 1
    ]
    hint = (
        f"it would fit if what was read as mm were {' or '.join(fits)}" if fits else "no unit fits"
    )
    raise ScanUnitsError(
        f"the face of {scan.name} is {size:.3g} times as large as a mean face, which no human's "
        f"is; {hint}. Say which unit its numbers have (--unit, --scale)"
    )


def _one_sided(scan: Scan) -> Scan:
    """Without triangles that are there once more with their corners the other way round."""
    corners = np.sort(welded(scan.vertices, scan.faces)[1], axis=1)
    first = np.unique(corners, axis=0, return_index=True)[1]
    if len(first) > (1 - TWICE) * len(corners):
        return scan
    kept = np.sort(first)
    return replace(scan, faces=scan.faces[kept], uv=scan.uv[kept], photograph=scan.photograph[kept])


def _inwards(surface: ScannedSurface) -> float:
    """The share of inner sides in what is seen from all around: an open mask shows as many."""
    inner = total = 0
    for direction in sphere(landmarks.DIRECTIONS):
        turn = Rotation.align_vectors([[0, 0, 1]], [direction])[0].as_matrix()
        view = landmarks.whole(surface, turn)
        view = replace(view, size=GRID, pixel=view.pixel * view.size / GRID)
        pixels = np.argwhere(np.ones((GRID, GRID), dtype=bool))[:, ::-1].astype(np.float64)
        origins, towards = view.rays(pixels)
        hit = surface.cast(origins, np.broadcast_to(towards, origins.shape))
        facing = surface.normals[hit.triangle[hit.found]] @ towards
        inner, total = inner + int((facing > 0).sum()), total + int(hit.found.sum())
    return inner / max(total, 1)


def _turned_out(scan: Scan) -> Scan:
    """With all triangles' corners the other way round."""
    return replace(scan, faces=scan.faces[:, ::-1], uv=scan.uv[:, ::-1])


def _seen_from_within(surface: ScannedSurface, found: FloatArray, face: Template) -> bool:
    """Whether the surface at most landmarks (43, 3) faces against the template's there."""
    marked = face.at_landmarks
    known = (abs(marked).sum(axis=1) > 0) & np.isfinite(found).all(axis=1)
    if known.sum() < 3:
        return False
    turn = similarity(marked[known] @ face.vertices, found[known]).rotation
    outwards = (marked[known] @ vertex_normals(face.vertices, face.faces)) @ turn.T
    there = surface.normals_at(surface.nearest(found[known]))
    return bool(np.median((outwards * there).sum(axis=1)) < 0)
