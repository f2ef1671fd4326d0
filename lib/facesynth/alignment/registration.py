r"""Non-rigid alignment of the template with a scan: Section 5.2 of the paper.

The template's vertices v are moved to a minimum of

$$E(v) = w_l \sum_k |A_k v - l_k|^2 + w_s \sum_i \rho_i\,a_i\,(n_i \cdot (v_i - c_i))^2 + w_r R(v)$$

The first term holds the landmarks: $A_k v$ is one on the template, $l_k$ on the scan. The second
one holds all template points to the scan's surface: $c_i$ is the point of it nearest to $v_i$,
$n_i$ the normal there, $a_i$ the area in mm² that the vertex stands for, and $\rho_i$ falls with
the distance and is zero where the nearest point is on the edge of a hole or clearly belongs to
another surface. The third one, R, penalises deformations that are not smooth.

Nearest points change as the template moves, so that the minimum is approached in rounds, each of
which is a linear system. The first rounds move the template by smooth modes alone (`deformation`),
whose coefficients' squares are R. Then every vertex moves independently, along the scan's normal:
the landmarks are no longer used, and R is the bending of what is added, with a decreasing weight.
All of it happens in the template's frame and size: the landmarks give the similarity between this
frame and the scan's at first, and all vertices when modes have moved them.

With modes of faces, a surface tells better where an eye is than a detector does, but not from
everywhere: how far cheeks slide depends on where the rounds begin. So they begin twice. Landmarks
as they were found lead the first rounds; the template is then put back, and its landmarks, where
these rounds have brought them, take their place for one round. The others follow the surface alone.

`gradient_descent` minimises such an energy as the paper does, with all three terms at once and the
bending of the whole deformation for R, "by taking the derivative of the loss with respect to the
template vertex coordinates, then deforming the template in the gradient direction". It is the
reference, with landmarks that weigh more and are never down-weighted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array

from facesynth.alignment.deformation import Deformations
from facesynth.alignment.deformation import prior as prior_of
from facesynth.scans import Scan
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    factorize,
    graph_laplacian,
    vertex_areas,
    vertex_normals,
)
from facesynth.surface.similarity import similarity
from facesynth.template import Template, standard

MODE_ROUNDS = 14  # of smooth modes
REFRAMED = (7, 11)  # of these, before which the template is placed anew, by all of its vertices
AGAIN = REFRAMED[0]  # of these, the one with which those of face modes begin again
STIFFNESS = (10.0, 3.0, 1.0, 0.3)  # of the rounds in which every vertex moves independently
LANDMARK_OUTLIER = 12.0  # mm, the scale at which a landmark loses its influence
LEAST_SMOOTHNESS = 1e-3  # keeps the system regular where a scan does not constrain modes
CORRELATED = 15.0  # mm² of the surface with correlated errors, which count as one measurement
EVERY = 3  # only each third vertex looks for its nearest point while modes move the template
FACING = 0.5  # cosine between template and scan normals; below, they are different surfaces
SHOWN = 1.0  # mm, the largest distance between a true point and a scan that shows it
FARTHEST = 3.0  # times the median distance; towards it a nearest point loses its influence
USUAL = 0.5  # mm, the smallest value used as the median distance
ELSEWHERE = 10.0  # mm; with a larger median distance the landmarks are not on this face
LEAST_SHARE = 1e-3  # of a vertex's displacement, below which it is set to zero


class AlignmentError(ValueError):
    """A scan with too little in common with the template to be aligned."""


@dataclass(frozen=True)
class Weights:
    """Factors of the energy's three terms; 1 is the weight given by the constants above."""

    landmarks: float = 1.0
    surface: float = 1.0
    smoothness: float = 1.0


@dataclass(frozen=True)
class Pull:
    """The scan's nearest points to the vertices in one round, in the template's frame.

    points, normals  (m, 3) c and n, mm
    weight           (m,) ρ a, mm²
    """

    points: FloatArray
    normals: FloatArray
    weight: FloatArray


class Problem:
    """A template, a scan and its landmarks, which define the energy.

    scan       of any topology, in mm
    landmarks  (43, 3) mm on the scan; NaN where one is not known
    template   what is deformed, by default the project's own
    marked     (43, m) operator from the template's vertices to its landmarks, by default
               `template.at_landmarks`; `template.at_detected` belongs to landmarks that
               `scans.landmarks.detect` found. Landmarks that the template lacks are not used.

    Raises `TooFewPointsError` with fewer than three known landmarks, `AlignmentError` for landmarks
    of another shape.
    """

    def __init__(
        self,
        scan: Scan | ScannedSurface,
        landmarks: ArrayLike,
        template: Template | None = None,
        marked: csr_array | None = None,
        weights: Weights = Weights(),
    ) -> None:
        self.template = template = standard() if template is None else template
        self.weights = weights
        self.surface = scan if isinstance(scan, ScannedSurface) else ScannedSurface(scan)
        self.marked = template.at_landmarks if marked is None else marked
        given = np.asarray(landmarks, dtype=np.float64)
        if given.shape != (self.marked.shape[0], 3):
            raise AlignmentError(
                f"landmarks of shape {given.shape}, expected {(self.marked.shape[0], 3)}: "
                "keep the rows of those that are not known, as NaN"
            )
        has = abs(self.marked).sum(axis=1) > 0  # (43,): which the template has
        given = np.where(has[:, None], given, np.nan)
        self.frame = similarity(self.marked @ self.template.vertices, given)  # to the scan
        self.reliance = np.where(np.isfinite(given).all(axis=1), 1.0, 0.0)  # (43,)
        self.landmarks = self.frame.inverse().apply(np.where(self.reliance[:, None] > 0, given, 0))
        self.area = vertex_areas(template.vertices, template.faces) * _trusted(template)

    def pull(self, vertices: FloatArray, chosen: slice = slice(None)) -> Pull:
        """The nearest points of the scan to the vertices (m, 3), or to the chosen ones."""
        normals = vertex_normals(vertices, self.template.faces)[chosen]
        places = self.surface.nearest(self.frame.apply(vertices[chosen]))
        back = self.frame.inverse()
        points = back.apply(self.surface.points(places))
        towards = self.surface.normals_at(places) @ self.frame.rotation
        distance = np.linalg.norm(points - vertices[chosen], axis=1)
        good = ~self.surface.on_border(places) & ((normals * towards).sum(axis=1) > FACING)
        if good.sum() < len(good) / 20:
            raise AlignmentError(
                f"only {good.mean():.0%} of the template finds {self.surface.scan.name} beside it; "
                "check that its landmarks are on the face and its triangles face outwards"
            )
        usual = max(float(np.median(distance[good])), USUAL)
        if usual > ELSEWHERE:
            raise AlignmentError(
                f"the template is {usual:.0f} mm from {self.surface.scan.name} where its landmarks "
                "put it; check that they are on the face, in the scan's frame and in order"
            )
        near = np.maximum(1 - (distance / (FARTHEST * usual)) ** 2, 0) ** 2  # Tukey's biweight
        weight = self.area[chosen] * good * near
        lost = weight == 0  # its point may be NaN, next to a triangle of zero area
        points[lost], towards[lost] = vertices[chosen][lost], normals[lost]
        return Pull(points, towards, weight)

    def reframe(self, vertices: FloatArray, start: FloatArray) -> FloatArray:
        """Place the template anew: vertices (m, 3) as they are in the frame that fits them best.

        What landmarks say of the frame is less sure than what the surface has shown since.

        start : (m, 3) mm, the vertices before any deformation
        """
        places, marks = self.frame.apply(vertices), self.frame.apply(self.landmarks)
        self.frame = similarity(start, places)
        self.landmarks = self.frame.inverse().apply(marks)
        return self.frame.inverse().apply(places)

    def relocate(self, vertices: FloatArray) -> None:
        """Landmarks are where vertices (m, 3) have brought the template's, and beyond doubt."""
        self.landmarks = np.asarray(self.marked @ vertices)
        self.reliance = np.where(self.reliance > 0, 1.0, 0.0)

    def doubt(self, vertices: FloatArray) -> None:
        """Down-weight landmarks far from those of vertices (m, 3) (Geman and McClure 1987)."""
        off = np.linalg.norm(self.marked @ vertices - self.landmarks, axis=1)
        known = self.reliance > 0
        self.reliance[known] = np.maximum(1 / (1 + (off[known] / LANDMARK_OUTLIER) ** 2) ** 2, 1e-6)

    def terms(self, vertices: FloatArray) -> dict[str, float]:
        """The energy's three terms, not weighted, at vertices (m, 3) in the template's frame.

        landmarks  mean squared distance, mm²
        surface    mean squared distance along the normal, mm², where the scan is nearby
        bending    mean squared Laplacian of the deformation, mm²
        """
        pull = self.pull(vertices)
        off = ((self.marked @ vertices - self.landmarks) ** 2).sum(axis=1)
        along = ((vertices - pull.points) * pull.normals).sum(axis=1) ** 2
        bent = graph_laplacian(self.template.faces) @ (vertices - self.template.vertices)
        return {
            "landmarks": float(np.average(off, weights=self.reliance)),
            "surface": float(np.average(along, weights=pull.weight)),
            "bending": float((bent**2).sum(axis=1).mean()),
        }


Callback = Callable[[FloatArray], None]  # is given the vertices (m, 3) after every round


def nonrigid(
    scan: Scan | ScannedSurface,
    landmarks: ArrayLike,
    template: Template | None = None,
    *,
    marked: csr_array | None = None,
    prior: Deformations | None = None,
    weights: Weights = Weights(),
    callback: Callback | None = None,
) -> FloatArray:
    """Deform the template onto a scan: vertices (m, 3) in mm, in the scan's frame.

    scan, landmarks, marked  see `Problem`
    template                 by default the project's own, `template.standard()`
    prior                    the deformations of the first rounds; by default
                             `deformation.prior(template)`
    weights                  of the three terms, for experiments; zero removes a term
    callback                 is given the vertices in the scan's frame after every round

    No triangle of the result is flipped with respect to the last smooth deformation. Raises
    `MeshError` for an unusable scan, `TooFewPointsError` and `AlignmentError`.
    """
    problem = Problem(scan, landmarks, template, marked, weights)
    face = problem.template

    def report(vertices: FloatArray) -> None:
        if callback is not None:
            callback(problem.frame.apply(vertices))

    smooth = _move_by_modes(problem, prior_of(face) if prior is None else prior, report)
    fitted = _move_vertices(problem, smooth, report)
    return problem.frame.apply(_unflip(smooth, fitted, problem.template.faces))


def _move_by_modes(problem: Problem, prior: Deformations, report: Callback) -> FloatArray:
    """The template moved by the prior's modes: v = T + μ + Φ a, with |a|² for R."""
    m, _, k = prior.modes.shape
    start = problem.template.vertices + prior.mean
    flat = prior.modes.reshape(3 * m, k)
    marks = np.asarray(
        (problem.marked @ prior.modes.reshape(m, 3 * k)).reshape(-1, 3, k), dtype=np.float64
    )
    unmoved, chosen = problem.marked @ start, slice(None, None, EVERY)
    told = prior.specific and problem.weights.surface > 0  # where features are, by the surface
    beginnings = (0, AGAIN) if told else (0,)  # rounds of landmarks alone
    vertices = start
    for n_round in range(MODE_ROUNDS + 1):
        if n_round in REFRAMED:
            vertices = problem.reframe(vertices, start)
        if n_round in beginnings[1:]:
            problem.relocate(vertices)
        off = problem.landmarks - unmoved  # (43, 3)
        sure = problem.reliance * problem.weights.landmarks / prior.landmark_error**2
        sure *= not told or n_round <= AGAIN
        system = np.eye(k) * max(problem.weights.smoothness, LEAST_SMOOTHNESS)
        system += np.einsum("lik,l,lij->kj", marks, sure, marks, optimize=True)
        right = np.einsum("lik,l,li->k", marks, sure, off)
        if n_round not in beginnings:
            pull = problem.pull(vertices, chosen)
            weight = EVERY * problem.weights.surface * pull.weight
            weight /= CORRELATED * prior.misfit**2
            along = np.einsum("mi,mik->mk", pull.normals.astype(np.float32), prior.modes[chosen])
            ahead = ((pull.points - start[chosen]) * pull.normals).sum(axis=1)
            system += along.T @ (along * weight[:, None].astype(np.float32))
            right += along.T @ (weight * ahead).astype(np.float32)
        coefficients = np.linalg.solve(system, right)
        vertices = start + (flat @ coefficients.astype(np.float32)).reshape(m, 3)
        problem.doubt(vertices)
        report(vertices)
    return np.asarray(vertices)


def _move_vertices(problem: Problem, smooth: FloatArray, report: Callback) -> FloatArray:
    """Vertices moved independently; R is the bending of what is added to `smooth` (m, 3)."""
    vertices = smooth
    bending = _bending(problem.template)
    for stiffness in STIFFNESS:
        stiff = stiffness * problem.weights.smoothness
        pull = problem.pull(vertices)
        # Along the normal alone: the scan does not tell how far to slide across it.
        away = ((pull.points - vertices) * pull.normals).sum(axis=1, keepdims=True)
        target = vertices - smooth + away * pull.normals
        weight = problem.weights.surface * pull.weight
        system = stiff * bending + diags_array(weight + 1e-6)
        right = weight[:, None] * target
        vertices = smooth + factorize(system).solve(right)
        report(vertices)
    return vertices


def gradient_descent(
    scan: Scan | ScannedSurface,
    landmarks: ArrayLike,
    template: Template | None = None,
    *,
    marked: csr_array | None = None,
    rounds: int = 1000,
    stiffness: float = 3.0,
    weights: Weights = Weights(),
    callback: Callback | None = None,
) -> FloatArray:
    """Deform the template onto a scan by plain gradient descent, as in Section 5.2.

    Arguments and result as those of `nonrigid`; `stiffness` weighs the bending. The step is the
    longest stable one, 1 / L with L an upper bound of the energy's curvature.
    """
    problem = Problem(scan, landmarks, template, marked, weights)
    face = problem.template
    start = face.vertices
    bending, marks = stiffness * weights.smoothness * _bending(face), problem.marked
    sure = problem.reliance[:, None] * weights.landmarks * CORRELATED
    # Gershgorin: no eigenvalue exceeds the largest sum of a row's magnitudes.
    steepest = float(abs(bending).sum(axis=1).max() + sure.max())
    steepest += weights.surface * float(problem.area.max())
    vertices = start.copy()
    for _ in range(rounds):
        pull = problem.pull(vertices)
        along = ((vertices - pull.points) * pull.normals).sum(axis=1)
        gradient = marks.T @ (sure * (marks @ vertices - problem.landmarks))
        gradient += weights.surface * (pull.weight * along)[:, None] * pull.normals
        gradient += bending @ (vertices - start)
        vertices = vertices - gradient / steepest
        if callback is not None:
            callback(problem.frame.apply(vertices))
    return problem.frame.apply(vertices)


def errors(
    vertices: FloatArray,
    truth: FloatArray,
    surface: ScannedSurface,
    template: Template | None = None,
) -> tuple[float, float, float, float]:
    """How far an alignment (m, 3) is from the truth (m, 3), all in mm.

    Median and 95th percentile of the distance to the true place of each point, where the scan shows
    the surface (`shown`); median of the same at the landmarks; median distance to the scan.
    """
    off = np.linalg.norm(vertices - truth, axis=1)
    places = surface.nearest(vertices)
    gap = np.linalg.norm(surface.points(places) - vertices, axis=1)[~surface.on_border(places)]
    seen = off[shown(truth, surface)]
    face = standard() if template is None else template
    at_landmarks = float(np.median(off[face.landmarks[face.known]]))
    return (
        float(np.median(seen)),
        float(np.percentile(seen, 95)),
        at_landmarks,
        float(np.median(gap)),
    )


def shown(truth: FloatArray, surface: ScannedSurface) -> NDArray[np.bool_]:
    """Which points (m,) of the true face (m, 3) a scan shows: it has a surface within 1 mm."""
    places = surface.nearest(truth)
    near = np.linalg.norm(surface.points(places) - truth, axis=1) < SHOWN
    return np.asarray(near & ~surface.on_border(places))


def flipped(vertices: FloatArray, reference: FloatArray, faces: IntArray) -> NDArray[np.bool_]:
    """Which triangles (f,) of vertices (m, 3) face away from their image in reference (m, 3)."""

    def across(points: FloatArray) -> FloatArray:
        a, b, c = (points[faces[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    return np.asarray((across(vertices) * across(reference)).sum(axis=1) <= 0)


def _unflip(smooth: FloatArray, fitted: FloatArray, faces: IntArray) -> FloatArray:
    """Reduce the displacement from `smooth` around flipped triangles until none is flipped."""
    share = np.ones(len(smooth))
    while True:
        vertices = smooth + share[:, None] * (fitted - smooth)
        corners = faces[flipped(vertices, smooth, faces)]
        if not share[corners].any():  # none, or only those that have zero area in `smooth`
            return vertices
        share[corners] *= 0.5
        # a triangle without displacement is as in `smooth`: the loop ends
        share[share < LEAST_SHARE] = 0


@lru_cache(maxsize=4)
def _bending(template: Template) -> csr_array:
    laplacian = graph_laplacian(template.faces)
    return (laplacian.T @ laplacian).tocsr()


def _trusted(template: Template) -> FloatArray:
    """Weights (m,) of the scan's surface: zero on eyeballs, whose highlights scanners get wrong.

    The lids hold them in place, so that the texture's valid mask shows where the scan is wrong.
    """
    trusted = np.ones(len(template.vertices))
    for name in {"left_eye", "right_eye"} & set(template.regions):
        trusted = np.minimum(trusted, 1 - template.regions[name])
    return trusted
