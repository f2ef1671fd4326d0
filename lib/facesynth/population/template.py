"""Making the mean head, its regions, landmarks and named curves, and cutting the template from it.

The standard template ends where scans end, from the hairline to just under the chin and from ear to
ear: where the virtual scanner sees a head in 95 of 100 scans, but under the chin, where that would
take the chin away.
"""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from facesynth.population import makehuman
from facesynth.population.anatomy import between_eyes, unroll
from facesynth.population.shape import shape_model
from facesynth.population.targets import mean_weights
from facesynth.population.topology import topology
from facesynth.surface import mesh
from facesynth.surface.cut import cut
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template import Template

# Where the landmarks of the right half (x < 0) lie on the template, x and y in mm; the surface
# gives z. iBUG's numbers (from 0): those of a pair are mirrored, the rest lie on the midline.
BROW = [(-51, 36), (-44, 42), (-35, 44.5), (-25, 43), (-14.5, 39)]  # 17-21, mirrored 26-22
NOSE_BRIDGE = [25.0, 15.0, 5.0]  # 27-29, y on the midline; 30 is the tip
NOSE_BASE = [(-12.5, -17), (-6.5, -19.5)]  # 31-32, mirrored 35-34
SUBNASALE = -21.5  # 33, y on the midline
NOSE_TARGETS = ("nose/nose-volume-incr", "nose/nose-scale-depth-incr", "nose/nose-flaring-incr")

# The cut, in the head's unrolled plane: distance in mm from a point on the nose, by the angle in
# degrees from straight down over the sides to straight up.
CUT_CENTRE = (0.0, -25.0)
CUT = {-90: 83, -70: 92, -50: 115, -30: 127, 0: 126, 15: 127, 30: 121, 50: 97, 70: 83, 90: 79}


def make() -> Template:
    """The mean head, as a template; `shipped` writes it to a file."""
    top, model = topology(), shape_model()
    vertices = model.surface(model.neutral(mean_weights()))[0]
    flip = np.array([-1.0, 1.0, 1.0])
    vertices = 0.5 * (vertices + vertices[top.fine_mirror] * flip)  # rounding errors go
    vertices[:, 1:] -= vertices[:, 1:].mean(0)
    boundary = mesh.check_disk(vertices, top.faces)
    # a coarse vertex keeps its number in the subdivided mesh
    curves = {"upper_lip": model.mouth.upper[0], "lower_lip": model.mouth.lower[0]}
    for side, eye in model.eyes.items():
        curves[f"{side}_upper_lid"] = eye.upper[0]
        curves[f"{side}_lower_lid"] = eye.lower[0]
    regions = _regions(vertices)
    return Template(
        vertices=vertices,
        faces=top.faces,
        mirror=top.fine_mirror,
        boundary=_from_chin(boundary, vertices),
        regions=regions,
        landmarks=_landmarks(vertices, regions["lips"], curves, top.fine_mirror),
        curves=curves,
    )


def cut_face(head: Template) -> tuple[Template, IntArray, FloatArray]:
    """The standard template, and which of the head's vertices (k, 2) its own are means of.

    Returns their weights (k, 2), too. The template comes without what the detector finds.
    """
    side, up = (unroll(head.vertices - between_eyes(head)) - CUT_CENTRE).T
    angle, reach = np.array(list(CUT.items()), dtype=float).T
    # flat at both ends: the curve is smooth where its two halves meet
    curve = CubicSpline(np.radians(angle), reach, bc_type="clamped")
    inside = curve(np.arctan2(up, np.abs(side))) - np.hypot(side, up)
    assert head.mirror is not None
    corners, weights, faces = cut(head.vertices, head.faces, inside, head.mirror)

    def at_face(values: FloatArray) -> FloatArray:
        return np.einsum("kj,kj...->k...", weights, values[corners])

    vertices = at_face(head.vertices)
    away, mirror = cKDTree(vertices).query(vertices * [-1, 1, 1])
    assert away.max() < 1e-9
    number = np.full(len(head.vertices), -1)
    own = np.flatnonzero(weights[:, 0] == 1)
    number[corners[own, 0]] = own
    face = Template(
        vertices=0.5 * (vertices + vertices[mirror] * [-1, 1, 1]),
        faces=faces,
        mirror=mirror,
        boundary=_from_chin(mesh.check_disk(vertices, faces), vertices),
        regions={name: at_face(of) for name, of in head.regions.items()},
        landmarks=number[head.landmarks],
        curves={name: number[of] for name, of in head.curves.items()},
    )
    return face, corners, weights


def _from_chin(boundary: IntArray, vertices: FloatArray) -> IntArray:
    """The boundary loop, beginning at its lowest vertex on the midline."""
    chin = min(boundary[np.abs(vertices[boundary, 0]) < 1e-9], key=lambda v: vertices[v, 1])
    return np.roll(boundary, -int(np.flatnonzero(boundary == chin)[0]))


def _regions(vertices: FloatArray) -> dict[str, FloatArray]:
    """Memberships, from the coarse mesh by the same subdivision as positions."""
    top, model = topology(), shape_model()
    n, b = len(top.mirror), len(top.base)

    def patch(members: IntArray) -> FloatArray:
        return np.clip(top.subdivision @ np.isin(np.arange(n), members).astype(float), 0, 1)

    lips = np.zeros(n)
    uv = makehuman.texture_coordinates()[top.base]
    lips[:b] = makehuman.mask_at("mpfb2/textures/mpfb_lips.jpg", uv)[:, 0]
    lips[np.r_[top.upper_lip, top.lower_lip]] = 1.0
    lips = 0.5 * (lips + lips[top.mirror])
    nose = np.zeros(n)
    for name in NOSE_TARGETS:  # what they move is the nose
        moved = np.linalg.norm(model.targets[model.row(name)].reshape(-1, 3)[:b], axis=1)
        nose[:b] = np.maximum(nose[:b], np.clip(2.5 * moved / moved.max(), 0, 1))
    eyes = np.zeros(len(vertices))
    for lid in top.lids.values():
        distance = cKDTree(vertices[lid]).query(vertices)[0]
        eyes = np.maximum(eyes, np.clip(1.5 - distance / 8.0, 0, 1))  # fades from 4 to 12 mm
    left, right = patch(top.eye_rings["left"]), patch(top.eye_rings["right"])
    return {
        "left_eye": left,
        "right_eye": right,
        "mouth": patch(top.mouth_rows),
        "lips": np.clip(top.subdivision @ lips, 0, 1),
        "nose": np.clip(top.subdivision @ (0.5 * (nose + nose[top.mirror])), 0, 1),
        "eyes": np.maximum(eyes, np.maximum(left, right)),
    }


def _landmarks(
    vertices: FloatArray, lips: FloatArray, curves: dict[str, IntArray], mirror: IntArray
) -> IntArray:
    """The 43 landmarks, in the order of dlib's 68; the right half first, as there."""

    def nearest(x: float, y: float) -> int:
        distance = np.hypot(vertices[:, 0] - x, vertices[:, 1] - y)
        distance[vertices[:, 2] < 0] = np.inf  # not on the far side of the rim
        return int(distance.argmin())

    def midline(y: float) -> int:
        on_it = np.flatnonzero((np.abs(vertices[:, 0]) < 1e-9) & (vertices[:, 2] > 0))
        return int(on_it[np.abs(vertices[on_it, 1] - y).argmin()])

    def mirrored(right: list[int]) -> list[int]:
        return [int(v) for v in mirror[right[::-1]]]

    def along(curve: IntArray, parts: list[float]) -> list[int]:
        x = vertices[curve, 0]
        wanted = x[0] + np.array(parts) * (x[-1] - x[0])
        return [int(curve[np.abs(x - w).argmin()]) for w in wanted]

    def lip_border(x: float, side: int) -> int:  # side +1 above, -1 below the mouth
        near = inside_lips[np.abs(vertices[inside_lips, 0] - x) < 1.5]
        y = side * vertices[near, 1]
        band = near[y > y.max() - 0.8]
        return int(band[np.abs(vertices[band, 0] - x).argmin()])

    brow = [nearest(*p) for p in BROW]
    bridge = [midline(y) for y in NOSE_BRIDGE] + [int(vertices[:, 2].argmax())]
    base = [nearest(*p) for p in NOSE_BASE]
    upper, lower = curves["right_upper_lid"], curves["right_lower_lid"]
    # 36 outer corner, 37 and 38 upper lid, 39 inner corner, 40 and 41 lower lid
    eye = along(upper, [1, 2 / 3, 1 / 3, 0]) + along(lower, [1 / 3, 2 / 3])
    left_eye = [int(mirror[eye[k]]) for k in (3, 2, 1, 0, 5, 4)]
    # 48 corner, 49-50 upper border, 51 midline; 54 corner; 55-56 left, 57 midline, 58-59 right
    corner = int(curves["upper_lip"][0])
    width = -vertices[corner, 0]
    inside_lips = np.flatnonzero(lips > 0.5)
    top = [lip_border(-f * width, +1) for f in (0.62, 0.25)]
    bottom = [lip_border(-f * width, -1) for f in (0.25, 0.62)]
    mouth = [corner, *top, lip_border(0.0, +1), *mirrored([corner, *top])]
    mouth += [*mirrored(bottom), lip_border(0.0, -1), *bottom]
    found = brow + mirrored(brow) + bridge + base + [midline(SUBNASALE)] + mirrored(base)
    return np.array(found + eye + left_eye + mouth)
