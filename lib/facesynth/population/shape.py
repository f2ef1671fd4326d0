"""Neutral and expressive face geometry: MakeHuman's targets, with eyes and lips made to fit.

A face is a weighted sum of targets on the coarse vertices. Four things follow, all of them for many
faces at once: the lips of the neutral face are brought together, the lids are kept from crossing
and outside of the eyeball (a target moves them on straight lines, which in a blink cut through it),
the eye and mouth surfaces are filled in, and one Catmull-Clark step refines the result.
"""

import difflib
import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from facesynth.population import makehuman
from facesynth.population.topology import (
    EYE_RINGS,
    MOUTH_ROWS,
    Polygons,
    Topology,
    halves,
    rows_outwards,
    topology,
)
from facesynth.surface.mesh import FloatArray, IntArray

Weights = npt.NDArray[np.float64]  # (n, t) target weights

CLOSED_LIPS = 0.4  # mm between the lips of a neutral face
CORNER = 5.0  # mm beside a corner of the mouth over which closing fades out
LIP_REACH = 13.0  # mm along the skin over which closing the mouth fades out
PULLS = 4  # neighbours pull at each other, so once is not enough
LIP_ROWS = 3  # rows of vertices from the edge over the ridge of a lip
LID_ROWS = 2  # the same for a lid
CLOSED_LIDS = 0.6  # mm between the lids of a closed eye
LID_REACH = 4.0  # mm over which holding a lid back fades out
HOLLOW = 0.35  # depth of an open mouth over its height
POCKET = 0.5  # mm by which the surface between closed lips lies behind them
EYEBALL_MARGIN = 1.02  # eye surface over the radius of MakeHuman's eyeball
CORNEA = 0.08  # height of the cornea's bulge over the eyeball's radius
LID_CLEARANCE = (0.2, 0.5)  # mm that a lid's first rows keep from the eyeball
SKIN_CLEARANCE = 0.7  # mm that all other skin keeps from it


class UnknownTargetError(ValueError):
    """No target of the model has this name."""


@dataclass(frozen=True)
class Opening:
    """Two curves on the skin that meet at their ends: lips, or the lids of an eye.

    Lips and lids are thick: their edges roll inwards, and what touches are the ridges in front of
    the edges. So a gap is measured between the lowest of a few rows of skin above and the highest
    of those below.
    """

    upper: IntArray  # (r, u) rows of vertices, from the edge outwards
    lower: IntArray  # (r, w)
    under: FloatArray  # (u, w) interpolates the lower curve below the upper one's vertices
    over: FloatArray  # (w, u) and the other way round
    follow_upper: FloatArray  # (b, u) how much the skin's vertices follow each of the upper curve's
    follow_lower: FloatArray  # (b, w)

    def gaps(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Heights (..., u) and (..., w) in mm between the ridges, at each curve's vertices."""
        upper, lower = points[..., self.upper, 1].min(-2), points[..., self.lower, 1].max(-2)
        return upper - lower @ self.under.T, upper @ self.over.T - lower


@dataclass(frozen=True)
class ShapeModel:
    """Targets restricted to the face's coarse vertices (b) and the eyeballs (144)."""

    topology: Topology
    names: tuple[str, ...]  # (t,) targets
    base: FloatArray  # (b + 144, 3) mm
    targets: FloatArray  # (t, (b + 144) * 3) mm
    mouth: Opening
    eyes: dict[str, Opening]  # "left", "right"
    clearance: FloatArray  # (b,) mm that the skin keeps from the eyeballs
    eye_rings: dict[str, FloatArray]  # (5, k, k) from the lid loop's vertices to rings within it

    def row(self, name: str) -> int:
        """Row of a target by name; UnknownTargetError if there is none."""
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, n=3)
            raise UnknownTargetError(f"no target {name!r}; near it are {', '.join(near) or 'none'}")
        return self.names.index(name)

    def _moved(self, points: FloatArray, weights: Weights) -> FloatArray:
        return points + (weights @ self.targets).reshape(-1, len(self.base), 3)

    def neutral(self, weights: Weights) -> FloatArray:
        """Control points (n, b + 144, 3) in mm of neutral faces: as targets say, lips together."""
        points = self._moved(self.base, weights)
        b = len(self.topology.base)
        wanted = [np.minimum(gap, CLOSED_LIPS) for gap in self.mouth.gaps(self.base)]
        # the corners hold: the skin behind them is too tightly folded to be pulled
        sides = [np.abs(self.base[curve[0], 0]) for curve in (self.mouth.upper, self.mouth.lower)]
        held = [np.clip((x.max() - x) / CORNER, 0, 1) for x in sides]
        for _ in range(PULLS):
            above, below = self.mouth.gaps(points)
            points[:, :b, 1] -= 0.5 * (above - wanted[0]) * held[0] @ self.mouth.follow_upper.T
            points[:, :b, 1] += 0.5 * (below - wanted[1]) * held[1] @ self.mouth.follow_lower.T
        return points

    def expressive(self, neutral: FloatArray, weights: Weights) -> FloatArray:
        """Control points of the same faces with actions, given as target weights (n, t), added."""
        points = self._moved(neutral, weights)
        b = len(self.topology.base)
        # closed lips and lids meet; targets drive them past each other
        openings = [(self.mouth, CLOSED_LIPS), *((eye, CLOSED_LIDS) for eye in self.eyes.values())]
        for opening, closed in openings:
            meeting = [np.minimum(gap, closed) for gap in opening.gaps(neutral)]
            for _ in range(PULLS):
                above, below = (
                    np.maximum(least - gap, 0.0)
                    for gap, least in zip(opening.gaps(points), meeting, strict=True)
                )
                points[:, :b, 1] += 0.5 * above @ opening.follow_upper.T
                points[:, :b, 1] -= 0.5 * below @ opening.follow_lower.T
        return points

    def surface(self, points: FloatArray) -> FloatArray:
        """Vertices (n, m, 3) in mm of the faces with control points (n, b + 144, 3)."""
        top = self.topology
        b = len(top.base)
        coarse = np.zeros((len(points), len(top.mirror), 3))
        coarse[:, :b] = points[:, :b]
        for side, ball in (("left", points[:, b : b + 72]), ("right", points[:, b + 72 :])):
            self._fit_eye(coarse, ball, side)
        upper, lower = coarse[:, top.mouth_columns], coarse[:, top.lower_lip[1:-1]]
        depth = np.maximum(HOLLOW * (upper - lower)[..., 1], POCKET)
        for k, row in enumerate(top.mouth_rows):
            t = (k + 1) / (MOUTH_ROWS + 1)
            coarse[:, row] = (1 - t) * upper + t * lower
            coarse[:, row, 2] -= depth * 4 * t * (1 - t)
        n, c, _ = coarse.shape
        flat = coarse.transpose(1, 0, 2).reshape(c, n * 3)
        return (top.subdivision @ flat).reshape(len(top.fine_mirror), n, 3).transpose(1, 0, 2)

    def _fit_eye(self, coarse: FloatArray, ball: FloatArray, side: str) -> None:
        """Keep the skin around an eye outside of its ball, and span the eye's surface; in place."""
        b = len(self.topology.base)
        low, high = ball.min(1), ball.max(1)  # (n, 3)
        width = high[:, 0] - low[:, 0]
        centre = np.c_[(low + high)[:, :2] / 2, low[:, 2] + width / 2][:, None]  # (n, 1, 3)
        radius = (width / 2 * EYEBALL_MARGIN)[:, None, None]
        out = coarse[:, :b] - centre
        distance = np.linalg.norm(out, axis=2, keepdims=True)
        least = radius + self.clearance[:, None]
        inside = (out[..., 2:] > 0) & (distance < least)
        pushed = centre + out * (least / distance)
        coarse[:, :b] = np.where(inside, pushed, coarse[:, :b])

        loop = coarse[:, self.topology.lids[side]]
        for k, ring in enumerate(self.topology.eye_rings[side]):
            flat = self.eye_rings[side][k] @ loop
            out = flat - centre
            on_ball = centre + radius * out / np.linalg.norm(out, axis=2, keepdims=True)
            off_axis = ((on_ball - centre)[..., :2] ** 2).sum(2) / (0.45 * radius[..., 0]) ** 2
            on_ball[..., 2] += CORNEA * radius[..., 0] * np.exp(-off_axis)
            blend = 0.6 if k == 0 else 1.0  # the first ring leads from the lid's edge to the ball
            coarse[:, ring] = blend * on_ball + (1 - blend) * flat


@functools.cache
def shape_model() -> ShapeModel:
    """The model, read from the data once in a process (about two seconds)."""
    top = topology()
    kept = np.concatenate([top.base, makehuman.EYEBALLS["left"], makehuman.EYEBALLS["right"]])
    base = makehuman.base_mesh()[0][kept]
    targets = {name: makehuman.load_target(name)[kept] for name in makehuman.target_names()}
    targets = {name: t for name, t in targets.items() if np.abs(t).max() > 1e-3}
    stack = np.stack(list(targets.values()))
    skin = [p for p in top.polygons if max(p) < len(top.base)]
    clearance = np.full(len(top.base), SKIN_CLEARANCE)
    for lid in top.lids.values():
        clearance[rows_outwards(skin, lid, len(LID_CLEARANCE))] = np.array(LID_CLEARANCE)[:, None]
    return ShapeModel(
        topology=top,
        names=tuple(targets),
        base=base,
        targets=stack.reshape(len(stack), -1),
        mouth=_opening(skin, top.upper_lip, top.lower_lip, base, LIP_ROWS, LIP_REACH),
        eyes={
            side: _opening(skin, *_lids(base, lid), base, LID_ROWS, LID_REACH)
            for side, lid in top.lids.items()
        },
        clearance=clearance,
        eye_rings={side: _rings(base, lid) for side, lid in top.lids.items()},
    )


def _rings(base: FloatArray, lid: IntArray) -> FloatArray:
    """(5, k, k) matrices that shrink a lid loop about the line midway between the lids.

    About a point, the loop of a nearly closed eye, which is a curved slit, would cross itself.
    """
    x = np.abs(base[lid, 0])
    index = {int(v): i for i, v in enumerate(lid)}
    curves = [[index[int(v)] for v in curve] for curve in _lids(base, lid)]

    def midway(at: FloatArray) -> FloatArray:
        matrix = np.zeros((len(at), len(lid)))
        for curve in curves:
            matrix[:, curve] += 0.5 * _interpolation(x[curve], at)
        return matrix

    own = np.eye(len(lid))
    centre = x.mean()
    return np.stack([midway(centre + s * (x - centre)) + s * (own - midway(x)) for s in EYE_RINGS])


def _lids(base: FloatArray, lid: IntArray) -> tuple[IntArray, IntArray]:
    """Upper and lower lid, each from the inner to the outer corner, which they share."""
    return halves(lid, np.abs(base[lid, 0]), base[lid, 1])


def _opening(
    skin: Polygons, upper: IntArray, lower: IntArray, base: FloatArray, rows: int, reach: float
) -> Opening:
    """The opening between two curves along which |x| or x increases."""
    near_upper, near_lower = (_skin_distance(skin, base, curve) for curve in (upper, lower))
    x = base[:, 0] * np.sign(base[upper[-1], 0] - base[upper[0], 0])
    return Opening(
        upper=rows_outwards(skin, upper, rows),
        lower=rows_outwards(skin, lower, rows),
        under=_interpolation(x[lower], x[upper]),
        over=_interpolation(x[upper], x[lower]),
        follow_upper=_following(near_upper, near_lower, reach),
        follow_lower=_following(near_lower, near_upper, reach),
    )


def _interpolation(knots: FloatArray, at: FloatArray) -> FloatArray:
    """(a, k) matrix of linear interpolation between increasing knots."""
    knots = np.maximum.accumulate(knots)  # a lip's edge may curl back by a fraction of a mm
    return np.stack([np.interp(at, knots, hat) for hat in np.eye(len(knots))], axis=1)


def _skin_distance(skin: Polygons, base: FloatArray, curve: IntArray) -> FloatArray:
    """Distances (k, b) in mm along the skin's edges from each vertex of a curve; inf beyond 40."""
    edges = np.concatenate([np.c_[p, np.roll(p, -1)] for p in skin])
    edges = np.unique(np.sort(edges, 1), axis=0)  # once each, or a matrix would add lengths up
    length = np.linalg.norm(base[edges[:, 0]] - base[edges[:, 1]], axis=1)
    b = int(edges.max()) + 1
    graph = sp.csr_matrix((length, edges.T), shape=(b, b))
    return dijkstra(graph, directed=False, indices=curve, limit=40.0)


def _following(own: FloatArray, other: FloatArray, reach: float) -> FloatArray:
    """Weights (b, k) by which the skin follows its own curve, not the other, by distance (k, b)."""
    nearest, rival = np.minimum(own.min(0), 900.0), np.minimum(other.min(0), 900.0)
    share = np.exp(-(np.minimum(own, 900.0) - nearest) / 2.0)
    share /= share.sum(0)
    fade = np.exp(-((nearest / reach) ** 2))
    side = np.clip((rival - nearest) / 2.0 + 0.5, 0, 1)
    return (share * fade * side).T
