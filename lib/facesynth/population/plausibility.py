"""Which faces are accepted: those with people's proportions, whose skin does not cross itself."""

import functools

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from facesynth.population.head import head
from facesynth.population.tables import table
from facesynth.surface.mesh import FloatArray, IntArray, adjacent, edges
from facesynth.surface.self_intersection import pierced

Bools = npt.NDArray[np.bool_]

PROPORTIONS = table("proportions.toml")  # between landmarks, and their ranges
# Cosine between the normals of adjacent triangles: skin that crosses itself is folded more sharply.
SHARPEST_FOLD = -0.8
# mm around lips, nostrils and upper lids where a neutral face could cross itself
LIP_SURROUNDINGS, NOSTRIL_SURROUNDINGS, LID_SURROUNDINGS = 4.0, 10.0, 9.0


def acceptable(faces: FloatArray) -> Bools:
    """Whether each of the neutral faces (n, m, 3) can be a subject: (n,)."""
    accepted = plausible(faces)
    # the costly checks last, each for the faces that are left; and only near mouth,
    # nostrils and lids: where skin does not fold, nothing else can meet
    accepted[accepted] = ~folded(faces[accepted])
    vertices, triangles = _narrow_places()
    accepted[accepted] = ~crosses(faces[accepted][:, vertices], triangles)
    return accepted


def proportions(faces: FloatArray) -> dict[str, FloatArray]:
    """The proportions of `PROPORTIONS` of faces (n, m, 3): name -> (n,)."""
    points = faces[:, head().landmarks]

    def length(pair: tuple[int, int]) -> FloatArray:
        a, b = (points[:, k - 17] for k in pair)  # dlib's numbers less the jaw's 17
        return np.linalg.norm(a - b, axis=1)

    return {name: length(a) / length(b) for name, (a, b, _, _) in PROPORTIONS.items()}


def plausible(faces: FloatArray) -> Bools:
    """Whether each of the faces (n, m, 3) has all its proportions within their ranges: (n,)."""
    measured = proportions(faces)
    within = [
        (measured[name] >= low) & (measured[name] <= high)
        for name, (_, _, low, high) in PROPORTIONS.items()
    ]
    return np.all(within, axis=0)


def folded(faces: FloatArray) -> Bools:
    """Whether the skin of each of the faces (n, m, 3) is folded back on itself somewhere: (n,)."""
    corners, pairs = head().faces.T.copy(), _skin_pairs()
    sharpest = []
    for coordinates in faces.astype(np.float32).transpose(0, 2, 1).copy():  # (3, m) each
        a, b, c = (coordinates[:, corner] for corner in corners)  # (3, f) each
        (ux, uy, uz), (vx, vy, vz) = b - a, c - a
        normals = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
        normals /= np.sqrt(np.einsum("if,if->f", normals, normals))
        one, other = normals[:, pairs[0]], normals[:, pairs[1]]
        sharpest.append(np.einsum("ip,ip->p", one, other).min())
    return np.array(sharpest) < SHARPEST_FOLD


def crosses(faces: FloatArray, triangles: IntArray | None = None) -> Bools:
    """Whether each of the faces (n, m, 3) passes through itself: (n,). The template's triangles."""
    triangles = head().faces if triangles is None else triangles
    edge = edges(triangles)
    return np.array([len(pierced(face, triangles, edge)) > 0 for face in faces], dtype=bool)


@functools.cache
def _skin_pairs() -> IntArray:
    """(2, p) adjacent triangles of the template, but for the surface between the lips."""
    face = head()
    pairs = adjacent(face.faces)
    outside = face.regions["mouth"][face.faces].max(1) == 0
    return pairs[outside[pairs].all(1)].T.copy()


@functools.cache
def _narrow_places() -> tuple[IntArray, IntArray]:
    """Vertices (k,) near lips, nostrils, lids, and triangles between them as indices into these."""
    face = head()
    lips = np.r_[face.curves["upper_lip"], face.curves["lower_lip"]]
    nostrils = face.landmarks[[31 - 17, 32 - 17, 34 - 17, 35 - 17]]  # dlib's numbers less the jaw's
    lids = np.r_[face.curves["left_upper_lid"], face.curves["right_upper_lid"]]
    places = (lips, LIP_SURROUNDINGS), (nostrils, NOSTRIL_SURROUNDINGS), (lids, LID_SURROUNDINGS)
    near = np.any([cKDTree(face.vertices[p]).query(face.vertices)[0] < mm for p, mm in places], 0)
    vertices, triangles = np.unique(face.faces[near[face.faces].all(1)], return_inverse=True)
    return vertices, triangles.reshape(-1, 3)
