r"""The universal mapping between faces and images: Section 5.3 of the paper.

All faces share the template's triangles, so one flattening of the template onto the unit square
carries every face's colours, or its coordinates, to an image and back. An inner vertex $u_i$ lies
at the weighted mean of its neighbours [Floater 1997],

$$u_i = \sum_j \lambda_{i,j} u_j \quad (4), \qquad
  \lambda_{i,j} = w_{i,j} / \textstyle\sum_j w_{i,j} \quad (5),$$

while the boundary runs along the square's sides by arc length from the chin (Eq. 6). Where that
would collapse triangles, the sides are bowed outwards a little: see `parameterize`.
"""

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import dijkstra

from facesynth.mapping.image_mapping import (
    ImageMapping,
    bilinear,
    check_resolution,
    cross_2d,
    rasterize,
)
from facesynth.surface.mesh import (
    FloatArray,
    IntArray,
    MeshArrayError,
    MeshError,
    check_arrays,
    check_boundary,
    check_disk,
    contained,
    edges,
    factorize,
    graph_laplacian,
    vertex_areas,
)
from facesynth.template import Template

# How many texels a mm² of each region gets, compared to the rest of the face, and over how many mm
# around it that fades: "we designed the weights such that eyes, nose and mouth would receive a
# larger area in the parametrization plane". The factors of regions that overlap multiply.
REGION_DENSITY: Mapping[str, tuple[float, float]] = {
    "eyes": (4.2, 7.0),  # lids and eyeballs
    "nose": (2.2, 7.0),
    "lips": (2.2, 7.0),
}
# The same of the sides: there is more surface from ear to ear than from hairline to chin, and a
# square would stretch all features upwards. Falls off between these angles from the front.
SIDE_DENSITY, SIDES = 0.4, (35.0, 80.0)  # degrees around the head's axis

# How close the found density comes to the wanted one: rms of the logarithm over the surface.
_CLOSE, _TOO_FAR = 0.02, 0.35
_ROUNDS = 30  # at most; a face takes seven

# Smoothness of the correction in `to_vertices`, in pixels a vertex: it trades the error of a round
# trip (a tenth of this halves it) against the noise of a generated image that reaches the vertices.
_SMOOTHNESS = 0.05

# How far each side of the square is bowed for a mesh with dividing edges, in widths of the square:
# the middle of a side stays on the square, its ends move in by this much. The more, the larger are
# the triangles that dividing edges cut off, and the less of the square is covered.
BOW = 0.02

# How close to a side of the square a vertex counts as on it. One meant for a corner may miss it by
# rounding, and a dividing edge from there would cut off triangles no thicker than that.
_ON_SIDE = 1e-9


class WeightError(ValueError):
    """Vertex weights that are not finite and positive, one for each vertex."""


class DensityError(WeightError):
    """No weights give the wanted density. `weights` (m,) come closest to it."""

    def __init__(self, message: str, weights: FloatArray) -> None:
        super().__init__(message)
        self.weights = weights


class DensityWarning(UserWarning):
    """A template does not get the density that is usual for its regions."""


class StartVertexError(MeshError):
    """The vertex to start the boundary at is not on the boundary."""


class BoundaryWarning(UserWarning):
    """The boundary is bowed, since triangles would collapse on the square's straight sides."""


class CollapsedTriangleError(MeshError):
    """A triangle has no positive area in the plane: it is too small for floating point numbers."""


class AsymmetricTemplateError(MeshError):
    """The template is not its own mirror image."""


def parameterize(
    vertices: ArrayLike,
    faces: ArrayLike,
    vertex_weights: ArrayLike | None = None,
    start: int | None = None,
) -> FloatArray:
    """Map any surface of disk topology one-to-one into the unit square (Section 5.3).

    vertices : (m, 3) in mm; faces : (f, 3), counter-clockwise seen from outside.
    vertex_weights : (m,) positive. How much the surface around a vertex is to be magnified,
        compared to the rest: edges at a weight of 2 are to be twice as long in the plane as edges
        of the same length on the surface at a weight of 1. A larger weight gives a larger area.
        Only ratios matter; constant weights, the default, magnify the whole surface alike.
    start : the boundary vertex put at the bottom's centre (0.5, 0); by default the lowest one.

    Returns uv (m, 2) in [0, 1]. No triangle is flipped, and each has a positive area.

    The boundary runs along the square's sides, and the corners of the square are cut off between
    the two boundary vertices next to them: of b evenly spaced vertices that takes at most 8 / b²
    of the area. Triangles would collapse into a side if a *dividing edge*, an inner edge between
    two boundary vertices, had both its ends on it (see `dividing_edges`), as at the corners of a
    regular grid. For such a mesh the sides are bowed outwards, see `bowed`, and a
    `BoundaryWarning` says so: then Eq. 4 is one-to-one whatever the edges [Floater 2003], and 97 %
    of the square is left to the surface.

    Raises subclasses of `MeshError`, and `WeightError`.
    """
    springs = _Springs.of(vertices, faces, start)
    uv = springs.solve(_check_weights(vertex_weights, len(springs.points)))
    _check_orientation(uv, springs.faces)
    return uv


def density_weights(
    vertices: ArrayLike, faces: ArrayLike, density: ArrayLike, start: int | None = None
) -> FloatArray:
    """Weights (m,) for `parameterize` with which the plane's area per mm² comes out as wanted.

    density : (m,) positive, at the vertices; only ratios matter. Weights alone push areas about
    weakly: a region grows by compressing the rest, which resists. So they are solved for, each
    multiplied by the ratio of wanted to found area until the two agree. What `parameterize` makes
    of them still follows Eq. 4 to 6.

    Raises what `parameterize` does, and `DensityError` where the density cannot be met.
    """
    springs = _Springs.of(vertices, faces, start)
    surface = vertex_areas(springs.points, springs.faces)
    wanted = _check_weights(density, len(surface))
    wanted = wanted / np.average(wanted, weights=surface)
    weights, best, least = np.ones(len(surface)), np.ones(len(surface)), np.inf
    for _ in range(_ROUNDS):
        uv = springs.solve(weights)
        image = vertex_areas(np.column_stack([uv, np.zeros(len(uv))]), springs.faces)
        found = image / surface / image.sum() * surface.sum()
        lacking = np.log(wanted / np.maximum(found, 1e-12))
        error = float(np.sqrt(np.average(lacking**2, weights=surface)))
        if error < least:
            best, least = weights, error
        if error < _CLOSE:
            break
        weights = weights * np.exp(lacking)
        weights /= np.exp(np.log(weights).mean())
    if least > _TOO_FAR:
        worst = int(np.abs(lacking).argmax())
        raise DensityError(
            f"the wanted density cannot be met: areas are off by a factor of {np.exp(least):.2g} "
            f"on average, most at vertex {worst} ({wanted[worst]:.2g} wanted, {found[worst]:.2g} "
            f"found, of the mean). It spans {wanted.min():.2g} to {wanted.max():.2g}; make it "
            "more even or smoother, or the mesh finer there",
            best,
        )
    return best


@dataclass(frozen=True)
class _Springs:
    """The network of a surface: what all choices of weights have in common."""

    points: FloatArray  # (m, 3)
    faces: IntArray  # (f, 3)
    edge: IntArray  # (e, 2)
    lengths: FloatArray  # (e,) mm
    loop: IntArray  # (b,)
    boundary_uv: FloatArray  # (b, 2)
    uniform: FloatArray  # (m, 2), the solution for equal springs

    @classmethod
    def of(cls, vertices: ArrayLike, faces: ArrayLike, start: int | None) -> "_Springs":
        points, triangles = check_arrays(vertices, faces)
        loop = check_disk(points, triangles)
        loop = _start_at(loop, loop[points[loop, 1].argmin()] if start is None else start)
        boundary_uv = boundary_positions(points, loop)
        edge = edges(triangles)
        dividing = dividing_edges(edge, loop, boundary_uv)
        if len(dividing):
            warnings.warn(_bowed_message(dividing), BoundaryWarning, stacklevel=3)
            boundary_uv = bowed(boundary_uv)
        uniform = solve(edge, np.ones(len(edge)), loop, boundary_uv)
        return cls(points, triangles, edge, _lengths(points, edge), loop, boundary_uv, uniform)

    def solve(self, vertex_weights: FloatArray) -> FloatArray:
        """Return uv (m, 2) for weights (m,): u and v are two sides of one factorisation."""
        weights = edge_weights(self.edge, self.lengths, vertex_weights, self.uniform)
        return solve(self.edge, weights, self.loop, self.boundary_uv)


def boundary_positions(vertices: FloatArray, loop: IntArray) -> FloatArray:
    """Eq. 6: the points (b, 2) on the square's sides for a boundary loop (b,), by arc length."""
    lengths = np.linalg.norm(vertices[np.roll(loop, -1)] - vertices[loop], axis=1)  # L_j
    t = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) / lengths.sum()  # Eq. 6
    # C(t): from the bottom's centre to the right and once around. The corner k = 0..3 is reached
    # after 1/8 + k/4 of the way.
    corners = np.array([[0.5, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0.5, 0]])
    at = np.array([0, 0.125, 0.375, 0.625, 0.875, 1])
    return np.column_stack([np.interp(t, at, corners[:, k]) for k in range(2)])


def dividing_edges(edge: IntArray, loop: IntArray, boundary_uv: FloatArray) -> IntArray:
    """The inner edges (k, 2) with both ends on one side of the square.

    edge : (e, 2); boundary_uv : (b, 2), the positions of the boundary loop (b,) on the square.

    The triangles that such an edge cuts off would have no area. If there is no such edge, Eq. 4 is
    one-to-one within the square [Floater 2003].
    """
    sides = np.zeros((int(edge.max()) + 1, 4), dtype=bool)
    sides[loop] = np.column_stack([boundary_uv <= _ON_SIDE, boundary_uv >= 1 - _ON_SIDE])
    following = np.full(len(sides), -1)
    following[loop] = np.roll(loop, -1)
    a, b = edge.T
    inner = (following[a] != b) & (following[b] != a)
    return edge[(sides[a] & sides[b]).any(axis=1) & inner]


def bowed(boundary_uv: FloatArray, bow: float = BOW) -> FloatArray:
    """Points (b, 2) on the square's sides, moved onto four parabolas that bow outwards.

    The middle of each side stays, so the start does; the corners move in, from (0, 0) to
    (bow, bow) and so on. For a bow between 0 and 1/6 the curve is strictly convex: no three of its
    points are in one line, so whatever an edge cuts off has an area. Of the square,
    (1 - 2 bow)(1 + 2 bow / 3) lies within. A parabola, unlike a superellipse, bends all along a
    side: small pieces that an edge cuts off lose no more digits than their size.
    """
    u, v = boundary_uv.T
    return np.column_stack(
        [u - bow * (2 * u - 1) * (2 * v - 1) ** 2, v - bow * (2 * v - 1) * (2 * u - 1) ** 2]
    )


def edge_weights(
    edge: IntArray, lengths: FloatArray, vertex_weights: FloatArray, uniform_uv: FloatArray
) -> FloatArray:
    """The weights w (e,) of Eq. 5 for edges (e, 2), from weights (m,) given to the vertices.

    lengths : (e,) on the surface, in mm; uniform_uv : (m, 2), the parametrisation for w = 1.

    Eq. 5 makes the u_i minimise sum w_ij |u_i - u_j|²: springs of stiffness w_ij. A stiffer spring
    is a *shorter* edge, so the desired length divides: the edge's length on the surface, magnified
    by the mean of its two vertices' weights. Equal springs do not give equal lengths: "the edge
    lengths also depend on the density of vertices in the mesh. To design the edge weights more
    intuitively, we normalize the edge weights by the ones resulting from the uniform barycentric
    parametrization": its lengths multiply. Along a chain of edges, where all springs pull equally
    hard, the lengths become exactly the desired ones, up to a common factor.
    """
    desired = vertex_weights[edge].mean(axis=1) * lengths
    return _lengths(uniform_uv, edge) / desired


def barycentric_coordinates(edge: IntArray, weights: FloatArray, n: int) -> csr_array:
    """Eq. 5: the matrix of lambda_ij (n, n), each row of which sums to one."""
    rows, columns = np.concatenate([edge, edge[:, ::-1]]).T
    w = csr_array((np.concatenate([weights, weights]), (rows, columns)), shape=(n, n))
    return csr_array(w.multiply(1 / w.sum(axis=1)[:, None]))


def solve(
    edge: IntArray, weights: FloatArray, loop: IntArray, boundary_uv: FloatArray
) -> FloatArray:
    """Eq. 4: the positions (m, 2) of all vertices, given those (b, 2) of the boundary loop (b,).

    edge : (e, 2); weights : (e,) positive. Within a convex boundary the solution is one-to-one.
    """
    n = int(edge.max()) + 1
    inner = np.setdiff1d(np.arange(n), loop)
    uv = np.empty((n, 2))
    uv[loop] = boundary_uv
    if len(inner):
        rows = barycentric_coordinates(edge, weights, n)[inner]
        system = eye_array(len(inner)) - rows[:, inner]
        uv[inner] = factorize(system).solve(rows[:, loop] @ boundary_uv)  # Eq. 4
    return uv


class UniversalMapping(ImageMapping):
    """The mapping between faces and square images that all faces share (Section 5.3).

    Built once from a template: its parametrisation `uv` (m, 2) and the sparse operators both ways.
    If the template has a `mirror`, `uv` is exactly mirror symmetric, so that the image of a
    mirrored face is the mirrored image; a template whose `mirror` is None may have any shape.

    vertex_weights : (m,) positive, see `parameterize`; by default the template's own, or those that
    give `region_density(template)`. With a `mirror` they must be symmetric. Raises subclasses of
    `MeshError`, and `WeightError`; warns as `parameterize` does.
    """

    def __init__(
        self, template: Template, resolution: int, vertex_weights: ArrayLike | None = None
    ) -> None:
        self.template = template
        vertices, faces = check_arrays(template.vertices, template.faces)
        boundary = check_boundary(template.boundary, check_disk(vertices, faces))
        if vertex_weights is None:
            _check_symmetry(template, np.ones(len(vertices)))
            vertex_weights = settled(template).weights
        self.vertex_weights = _check_weights(vertex_weights, len(vertices))
        mirror = _check_symmetry(template, self.vertex_weights)
        uv = parameterize(vertices, faces, self.vertex_weights, start=int(boundary[0]))
        if mirror is not None:
            # Symmetric up to the solver's rounding, as mesh, boundary and weights are; now wholly.
            uv = (uv + np.column_stack([1 - uv[mirror, 0], uv[mirror, 1]])) / 2
        super().__init__(uv, faces, *rasterize(uv, faces, check_resolution(resolution)))
        seen = self.barycentric[self.mask.ravel()]  # (p, m)
        self._look_up = bilinear(uv, self.resolution)
        self._gather = csr_array(seen.T)
        self._normal = csr_array(seen.T @ seen)
        self._correct = factorize(self._normal + _SMOOTHNESS * graph_laplacian(faces))

    def to_vertices(self, image: ArrayLike) -> FloatArray:
        """Images (..., R, R, c) to values (..., m, c) at the vertices.

        A bilinear look-up at the vertices blurs, and each vertex sees only four pixels. It is
        corrected by damped least squares, so that `to_image` of the result comes close to the given
        image: values that `to_image` wrote are recovered, and the noise of other images is averaged
        out. Where triangles are smaller than pixels, the correction is smooth.
        """
        array, size = np.asarray(image), self.resolution
        if array.ndim < 3 or array.shape[-3:-1] != (size, size):
            raise MeshArrayError(
                f"image has shape {array.shape}; expected (..., {size}, {size}, c)"
            )
        shape = array.shape[:-3] + array.shape[-1:]  # (..., c)
        pixels = np.moveaxis(array, (-3, -2), (0, 1)).reshape(size * size, -1)  # (R², n c)
        values = self._look_up @ pixels  # (m, n c)
        residual = self._gather @ pixels[self.mask.ravel()] - self._normal @ values
        values = values + self._correct.solve(residual)
        return np.moveaxis(values.reshape(-1, *shape), 0, -2)  # (..., m, c)


@functools.lru_cache(maxsize=8)
def settled(template: Template) -> Template:
    """The template with the weights of its mapping: its own, or those solved for now.

    A template that is kept beside images is settled, so that they can be read when the densities
    wanted of others have changed. Raises subclasses of `MeshError`, and `WeightError`.
    """
    if template.weights is not None:
        return template
    start = int(template.boundary[0])
    with warnings.catch_warnings():  # the mapping itself will warn
        warnings.simplefilter("ignore", BoundaryWarning)
        try:
            weights = density_weights(
                template.vertices, template.faces, region_density(template), start
            )
        except DensityError as error:  # an odd mesh is mapped as well as it can be
            warnings.warn(f"of this template {error}", DensityWarning, stacklevel=3)
            weights = error.weights
    if template.mirror is not None:
        weights = (weights + weights[template.mirror]) / 2
    return dataclasses.replace(template, weights=weights)


def region_density(
    template: Template,
    density: Mapping[str, tuple[float, float]] | None = None,
    sides: float = SIDE_DENSITY,
) -> FloatArray:
    """Relative density (m,) for `density_weights`, from (density, fade in mm) for each region.

    By default `REGION_DENSITY`, without the regions that the template lacks or has cropped away;
    every region of a table that is given must be there, or a `WeightError` says which is not.

    A region has its density in full where its membership exceeds 1/2. Around it the density falls
    off as a Gaussian of the distance along the edges, so that the triangles there are not stretched
    too much. With a fade of 0 it follows the membership. `sides` is that of the face's sides.
    """
    if density is None:
        density = {
            name: (factor, fade)
            for name, (factor, fade) in REGION_DENSITY.items()
            if name in template.regions
            and (fade == 0 or np.any(np.asarray(template.regions[name]) > 0.5))
        }
    unknown = sorted(set(density) - set(template.regions))
    if unknown:
        raise WeightError(f"no region {unknown} in the template; it has {sorted(template.regions)}")
    vertices, faces = check_arrays(template.vertices, template.faces)
    edge, n = edges(faces), len(vertices)
    graph = csr_array((_lengths(vertices, edge), edge.T), shape=(n, n))
    total = np.log(sides) * _sideways(vertices)
    for name, (factor, fade) in density.items():
        strength = np.asarray(template.regions[name], dtype=np.float64)
        if fade > 0:
            core = np.flatnonzero(strength > 0.5)
            if len(core) == 0:
                raise WeightError(f"region {name!r} is empty: no membership exceeds 1/2")
            distance = dijkstra(graph, directed=False, indices=core, min_only=True)
            strength = np.exp(-((distance / fade) ** 2))
        total += np.log(factor) * strength
    return np.asarray(np.exp(total))


def _sideways(vertices: FloatArray) -> FloatArray:
    """How much (m,) each vertex lies at a side, 0 to 1, by its angle around the head's axis."""
    x, _, z = vertices.T
    x = x - (x.min() + x.max()) / 2
    angle = np.degrees(np.arctan2(np.abs(x), z - z[np.abs(x).argmax()]))
    from_front = np.clip((angle - SIDES[0]) / (SIDES[1] - SIDES[0]), 0, 1)
    return np.asarray(from_front**2 * (3 - 2 * from_front))


def _lengths(points: FloatArray, edge: IntArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points[edge[:, 0]] - points[edge[:, 1]], axis=1))


def _start_at(loop: IntArray, start: int) -> IntArray:
    at = np.flatnonzero(loop == start)
    if len(at) == 0:
        raise StartVertexError(
            f"start vertex {start} is not on the boundary; choose one of its {len(loop)} vertices, "
            f"which are {loop[:5].tolist()}..., such as the lowest one of the chin"
        )
    return np.roll(loop, -at[0])


def _check_weights(vertex_weights: ArrayLike | None, n: int) -> FloatArray:
    if vertex_weights is None:
        return np.ones(n)
    weights = np.asarray(vertex_weights, dtype=np.float64)
    if weights.shape != (n,):
        raise WeightError(
            f"vertex_weights has shape {weights.shape}; expected ({n},), one weight for each vertex"
        )
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        raise WeightError(
            f"{len(bad)} weights are not finite and positive, the first {weights[bad[0]]} at "
            f"vertex {bad[0]}; what is to become small needs a small weight, not 0"
        )
    return weights


def _bowed_message(dividing: IntArray) -> str:
    left = (1 - 2 * BOW) * (1 + 2 * BOW / 3)
    what = f"{len(dividing)} inner edges connect" if len(dividing) > 1 else "1 inner edge connects"
    return (
        f"{what} two boundary vertices on one side of the square, such as "
        f"{dividing[0].tolist()}; the triangles cut off there would have no area, so the sides "
        f"are bowed outwards by {BOW:.0%} of the square's width, within which {left:.0%} of the "
        "square lies"
    )


def _check_orientation(uv: FloatArray, faces: IntArray) -> None:
    a, b, c = (uv[faces[:, k]] for k in range(3))
    bad = np.flatnonzero(~(cross_2d(b - a, c - a) > 0))  # NaN is bad, too
    if len(bad):
        raise CollapsedTriangleError(
            f"{len(bad)} triangles, the first {bad[0]}, have no positive area in the plane: they "
            "are too small for floating point numbers; use more even weights, or simplify the mesh "
            "there"
        )


def _check_symmetry(template: Template, weights: FloatArray) -> IntArray | None:
    """The mirror permutation (m,), if there is one; all else must agree with it."""
    if template.mirror is None:
        return None
    vertices, faces = check_arrays(template.vertices, template.faces)
    mirror = np.asarray(template.mirror)
    every = np.arange(len(vertices))
    if not np.array_equal(np.sort(mirror), every):
        raise AsymmetricTemplateError(
            f"mirror is not a permutation of the vertices: it has shape {mirror.shape}, "
            f"expected ({len(every)},), each vertex once"
        )
    wrong = {
        "the mirror image of the mirror image": mirror[mirror] != every,
        "positions": np.abs(vertices[mirror] * [-1, 1, 1] - vertices).max(axis=1)
        > 1e-6 * np.ptp(vertices),
        "faces": np.isin(every, faces[~contained(faces, mirror[faces[:, ::-1]])]),
        "weights": ~np.isclose(weights[mirror], weights, rtol=1e-9, atol=0),
        "the boundary's start": (every == template.boundary[0]) & (mirror != every),
    }
    found = [f"{what} at vertex {np.flatnonzero(w)[0]}" for what, w in wrong.items() if w.any()]
    if found:
        raise AsymmetricTemplateError(
            f"the template differs from its mirror image: {', '.join(found)}; make template and "
            "weights symmetric, or set mirror to None for a mapping that is not"
        )
    return mirror
