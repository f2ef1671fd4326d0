"""Where on the face each pixel lies: static maps of the canonical image, made once for a template.

Everything that paints a face asks these maps for places in millimetres on the template, never for
places in the image, so that the same recipe serves any mapping and any resolution.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from facesynth.mapping.image_mapping import ImageMapping, pixel_centres
from facesynth.population.head import head, on_face
from facesynth.population.noise import Floats, smoothstep
from facesynth.surface.mesh import triangle_areas, vertex_areas
from facesynth.template import Template

FAR = 1e3  # mm: the distance of everything that is not near
_UNROLL_CENTRE = (0.0, -25.0, -85.0)  # mm from between the eyes: about the middle of the head
_UNROLL_RADIUS = 100.0  # mm


class Anatomy:
    """Maps (R²,) float32 of the canonical image, row by row.

    x, y, z           place on the template in mm; the origin lies between the eyes, x grows to the
                      subject's left, y upwards
    s, t              the face unrolled onto a plane about the nose, mm: hair is drawn in this plane
    texel             size of a pixel on the template in mm
    lips, eye, mouth  membership in [0, 1] of the lips, the eyeballs and the patch between the lips
    upper_lid, lower_lid  distance in mm to the lids' margins; `FAR` beyond 25 mm
    upper_lid_at      where along the upper one: 0 at the inner corner, 1 at the outer
    contact           distance in mm to where the lips touch
    between_lips      0 on the upper lip's contact line, 1 on the lower lip's, linear in the image,
                      where also a closed mouth has an area; negative above, more than 1 below.
                      `FAR` beyond the corners
    lips_apart        pixels of the image between the two contact lines, at the same u

    nose_base, lip_top, lip_bottom are heights (y) of the columella, the upper lip's upper and the
    lower lip's lower edge.
    """

    def __init__(self, template: Template, mapping: ImageMapping, resolution: int) -> None:
        self.resolution = resolution
        self.template = template
        self._to_image = mapping.to_image
        self.origin = between_eyes(template)
        self.vertices = np.asarray(template.vertices, dtype=float) - self.origin
        self.unrolled = unroll(self.vertices)
        height = self.vertices[template.landmarks, 1]  # dlib's 17 to 59
        self.nose_base = float(height[33 - 17])
        self.lip_top, self.lip_bottom = float(height[51 - 17]), float(height[57 - 17])

        area = vertex_areas(template.vertices, template.faces)
        image_area = vertex_areas(np.c_[mapping.uv, np.zeros(len(area))], template.faces)
        maps = {
            "x": self.vertices[:, 0],
            "y": self.vertices[:, 1],
            "z": self.vertices[:, 2],
            "s": self.unrolled[:, 0],
            "t": self.unrolled[:, 1],
            "texel": np.sqrt(area / image_area) / resolution,
            "lips": template.regions["lips"],
            "eye": template.regions["left_eye"] + template.regions["right_eye"],
            "mouth": template.regions["mouth"],
        }
        image = mapping.to_image(np.stack(list(maps.values()), axis=1))
        flat = np.asarray(image, dtype=np.float32).reshape(resolution**2, len(maps))
        columns = dict(zip(maps, np.ascontiguousarray(flat.T), strict=True))
        self.x, self.y, self.z = columns["x"], columns["y"], columns["z"]
        self.s, self.t, self.texel = columns["s"], columns["t"], columns["texel"]
        self.mouth = smoothstep(0.3, 0.8, columns["mouth"])
        self.eye = np.clip(columns["eye"], 0, 1)
        self.side_x = np.abs(self.x)
        self.between_lips, self.lips_apart = self._measure_mouth(mapping.uv)
        inner = (self.between_lips > 0) & (self.between_lips < 1)
        self.lips = smoothstep(0.25, 0.75, columns["lips"]) * self._lip_ends()
        self.lips = np.maximum(self.lips, inner)
        self._measure_curves()

    def _measure_mouth(self, uv: NDArray[np.float64]) -> tuple[Floats, Floats]:
        u, v = pixel_centres(self.resolution).T
        upper, lower = (uv[self.template.curves[name]] for name in ("upper_lip", "lower_lip"))
        top, bottom = np.interp(u, *upper.T), np.interp(u, *lower.T)
        within = (u > upper[0, 0]) & (u < upper[-1, 0])
        apart = np.maximum(top - bottom, 1e-4)
        below = np.where(within, (top - v) / apart, FAR)
        return below.astype(np.float32), (apart * self.resolution).astype(np.float32)

    def _lip_ends(self) -> Floats:
        """1 on the lips, 0 (R²,) where their red would end in a corner: both lips end in points."""
        x, y, _ = self.curve("lower_lip").T
        along = np.clip(self.side_x / x.max(), 0, 1)
        height = np.where(self.y > np.interp(self.x, x, y), self.lip_top, self.lip_bottom)
        reach = np.abs(height - y.mean()) * (1 - along**2.6) + 0.4  # mm from where the lips meet
        return smoothstep(1.6, -0.6, np.abs(self.y - np.interp(self.x, x, y)) - reach)

    def _measure_curves(self) -> None:
        # Both sides are measured on the left half, so that the maps are as symmetric as the mesh.
        points = np.stack([self.side_x, self.y, self.z], axis=1)
        self.upper_lid, self.upper_lid_at = _nearest_on(self.curve("left_upper_lid"), points)
        self.lower_lid, _ = _nearest_on(self.curve("left_lower_lid"), points)
        lips = [_nearest_on(self.curve(name), points)[0] for name in ("upper_lip", "lower_lip")]
        self.contact = np.minimum(*lips)

    def of_head(self, values: NDArray[np.floating]) -> Floats:
        """Image (R², c) of values (m, c) at the vertices of the head, whichever template it is."""
        own = values if len(values) == len(self.vertices) else on_face(values)
        image = self._to_image(np.asarray(own, dtype=np.float64))
        return np.asarray(image, dtype=np.float32).reshape(self.resolution**2, -1)

    def curve(self, name: str) -> NDArray[np.float64]:
        """The points (k, 3) of one of the template's curves, in mm from between the eyes."""
        return self.vertices[self.template.curves[name]]


@dataclass(frozen=True)
class Skin:
    """Where hairs and spots grow: on the head, whatever part of it an image shows."""

    places: NDArray[np.float64]  # (m, 3) of its vertices, mm from between the eyes
    plane: NDArray[np.float64]  # (m, 2) unrolled
    faces: NDArray[np.integer]  # (f, 3)
    area: NDArray[np.float64]  # (f,) mm²


@functools.cache
def skin() -> Skin:
    """That of the mean head."""
    whole = head()
    places = np.asarray(whole.vertices - between_eyes(whole))
    area = triangle_areas(whole.vertices, whole.faces)
    return Skin(places, unroll(places), np.asarray(whole.faces), area)


def between_eyes(template: Template) -> NDArray[np.float64]:
    """The point (3,) between a template's eyes, from which places are measured."""
    eyes = template.vertices[template.landmarks[19:31]]  # dlib's 36 to 47
    return np.array([0.0, eyes[:, 1].mean(), eyes[:, 2].mean()])


def unroll(points: ArrayLike) -> NDArray[np.float64]:
    """The plane coordinates (n, 2) of points (n, 3) on the face, both in mm from between the eyes.

    The azimuthal equidistant projection of the directions from the middle of the head: upright and
    nearly true to scale on the face's front, and never folded at the crown or under the chin, as a
    frontal view is.
    """

    def project(where: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = (where - _UNROLL_CENTRE).T
        from_axis = np.hypot(x, y)
        angle = np.arctan2(from_axis, z)
        scale = _UNROLL_RADIUS * angle / np.maximum(from_axis, 1e-6)
        return np.stack([x * scale, y * scale], axis=1)

    return project(np.asarray(points, dtype=float)) - project(np.zeros((1, 3)))


def _nearest_on(
    curve: NDArray[np.float64], points: NDArray[np.floating], reach: float = 25.0
) -> tuple[Floats, Floats]:
    """Distance (n,) from points to a polyline (k, 3), and where along it, 0 to 1."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    at = np.linspace(0, 1, 400)
    dense = np.stack([np.interp(at * length[-1], length, c) for c in curve.T], axis=1)
    distance = np.full(len(points), FAR, dtype=np.float32)
    nearest = np.zeros(len(points), dtype=np.float32)
    close = np.all(
        (points > dense.min(axis=0) - reach) & (points < dense.max(axis=0) + reach), axis=1
    )
    found, index = KDTree(dense).query(points[close])
    distance[close], nearest[close] = found, at[index]
    return distance, nearest
