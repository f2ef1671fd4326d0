"""How large each part of the face is in the canonical image: Section 5.3 of the paper.

"We designed the weights such that eyes, nose and mouth would receive a larger area in the
parametrization plane": here the area is given, and the weights are solved for.
"""

import dataclasses
import functools
import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from facesynth.mapping.parameterization import (
    BoundaryWarning,
    Springs,
    WeightError,
    check_weights,
    edge_lengths,
)
from facesynth.surface.mesh import FloatArray, check_arrays, edges, vertex_areas
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


class DensityError(WeightError):
    """No weights give the wanted density. `weights` (m,) come closest to it."""

    def __init__(self, message: str, weights: FloatArray) -> None:
        super().__init__(message)
        self.weights = weights


class DensityWarning(UserWarning):
    """A template does not get the density that is usual for its regions."""


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
    springs = Springs.of(vertices, faces, start)
    surface = vertex_areas(springs.points, springs.faces)
    wanted = check_weights(density, len(surface))
    wanted = wanted / np.average(wanted, weights=surface)
    weights, best, least = np.ones(len(surface)), np.ones(len(surface)), np.inf
    for _ in range(_ROUNDS):
        uv = springs.solve(weights)  # Eq. 4 to 6
        found = image_density(springs.points, springs.faces, uv)
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


def image_areas(uv: FloatArray, faces: ArrayLike) -> FloatArray:
    """The image's area (m,) that each vertex gets, a third of its triangles', from uv (m, 2).

    Its product with a region's membership (m,) is the share of the image that the region takes up.
    """
    return vertex_areas(np.column_stack([uv, np.zeros(len(uv))]), faces)


def image_density(vertices: ArrayLike, faces: ArrayLike, uv: FloatArray) -> FloatArray:
    """Area (m,) of the image for each mm² of the surface around a vertex, over that of the whole.

    1 is a vertex's fair share; the mean over the surface is 1.
    """
    surface, image = vertex_areas(vertices, faces), image_areas(uv, faces)
    return image / surface * (surface.sum() / image.sum())


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
    graph = csr_array((edge_lengths(vertices, edge), edge.T), shape=(n, n))
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
