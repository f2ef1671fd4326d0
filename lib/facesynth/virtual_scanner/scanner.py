"""A virtual scanner of two cameras, in place of the paper's 3dMD: Section 5.1.

The paper's scans are private. This scanner scans faces whose ground truth is known and simulates
the difficulties of real scans: a mesh without correspondence, noise, holes in hair and at
grazing angles, photographs that differ in light and colour, and hair over the skin.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from facesynth.mapping.image_mapping import ImageMapping
from facesynth.mapping.parameterization import parameterize
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.head import head
from facesynth.rendering import Camera, colour
from facesynth.scans.parts import ScanError
from facesynth.scans.scan import Scan
from facesynth.surface.mesh import FloatArray, IntArray, MeshArrayError, check_arrays
from facesynth.virtual_scanner.depth import Samples, measure, triangulate
from facesynth.virtual_scanner.faults import Faults, sample_faults
from facesynth.virtual_scanner.photographs import develop, picture
from facesynth.virtual_scanner.settings import DEFAULTS, Scanner
from facesynth.virtual_scanner.strands import coverage, sample_strands
from facesynth.virtual_scanner.surface import Surface
from facesynth.virtual_scanner.truth import KnownHead, Truth, find_truth, truth_on_face

_HAIR = np.array([0.02, 0.014, 0.01])  # linear RGB of hair, where the texture shows none


@dataclass(frozen=True, kw_only=True)
class VirtualScan(Scan):
    """A scan of a head that is known, and its cameras, in the scan's frame."""

    cameras: tuple[Camera, Camera]
    known: KnownHead

    @functools.cached_property
    def truth_of_head(self) -> Truth:
        """The ground truth, in the topology and the canonical image of the head."""
        return find_truth(self, self.known, self.cameras)

    @functools.cached_property
    def truth(self) -> Truth:
        """The ground truth of the face, in those of the standard template."""
        return truth_on_face(self.truth_of_head, self.known.mapping)


def scan(
    vertices: ArrayLike,
    texture: ArrayLike,
    *,
    seed: int | list[int],
    mapping: ImageMapping | None = None,
    relief: NDArray[np.floating] | None = None,
    settings: Scanner = DEFAULTS,
    name: str = "virtual scan",
) -> VirtualScan:
    """Scan a head.

    vertices  (m, 3) mm, in the topology of `population.head`: `population.sample` makes whole ones
    texture   (R, R, 3) sRGB, the head's canonical image
    seed      of everything that differs between scans of one face: pose, noise, holes, light, hair
    mapping   to the canonical image; by default the universal mapping at the texture's resolution
    relief    (R, R) mm along the normals, finer than the vertices, which the cameras see too
    settings  of the scanner
    name      of the scan, for messages

    The scan comes without landmarks; the true ones are `truth.landmarks`. Raises `MeshError` for
    arrays that do not match the head or each other, and `ScanError` if nothing is measured.
    """
    points, image, mapping = _check(vertices, texture, mapping, relief)
    of_pose, of_faults, of_depth, of_hair, *of_photographs = np.random.default_rng(seed).spawn(6)
    pose = _sample_pose(points, settings, of_pose)
    face = Surface(points @ pose[:3, :3].T + pose[:3, 3], head().faces)
    cameras = _cameras(settings)

    faults = sample_faults(points, image, mapping, settings, of_faults)
    samples = measure(face, cameras, mapping, _plane(), faults, relief, settings, of_depth)
    samples, faces = triangulate(samples, settings.longest * settings.spacing)
    if len(faces) == 0:
        raise ScanError(f"{name}: nothing was measured; is the face in mm, and does it face +z?")

    photograph = _better_camera(samples, faces)
    measured = np.asarray(samples.points, dtype=np.float64)
    uv = _project(measured[faces], photograph, cameras)
    covers = _hang_hair(face, pose, cameras, settings, of_hair)
    hair = _hair_colour(image, faults)
    photographs = []
    for camera, cover, rng in zip(cameras, covers, of_photographs, strict=True):
        light = picture(face, mapping.uv, image, camera, settings, rng)
        light += cover[..., None] * (hair - light)
        photographs.append(develop(light, settings, rng))
    raw = Scan(measured, faces, uv, photograph, tuple(photographs), name=name)
    known = KnownHead(face, mapping, image, relief, pose, tuple(covers))
    return VirtualScan(**vars(raw), cameras=cameras, known=known)


def _check(
    vertices: ArrayLike,
    texture: ArrayLike,
    mapping: ImageMapping | None,
    relief: NDArray[np.floating] | None,
) -> tuple[FloatArray, NDArray[np.uint8], ImageMapping]:
    """Check the arguments and convert them to arrays."""
    if np.shape(vertices) != head().vertices.shape:
        raise MeshArrayError(
            f"vertices have shape {np.shape(vertices)}; a head has {head().vertices.shape}: "
            "population.sample makes whole ones with whole=True"
        )
    points, _ = check_arrays(vertices, head().faces)
    image = np.asarray(texture)
    if image.ndim != 3 or image.shape != (len(image), len(image), 3) or image.dtype != np.uint8:
        raise MeshArrayError(
            f"texture has shape {image.shape} and type {image.dtype}; expected (R, R, 3) uint8"
        )
    mapping = mapping or _universal_mapping(len(image))
    if mapping.resolution != len(image):
        raise MeshArrayError(
            f"the texture has {len(image)} pixels per side and the mapping "
            f"{mapping.resolution}; use the same resolution for both"
        )
    if relief is not None and np.shape(relief) != image.shape[:2]:
        raise MeshArrayError(f"relief has shape {np.shape(relief)}; expected {image.shape[:2]}")
    return points, image, mapping


@functools.lru_cache(maxsize=2)
def _universal_mapping(resolution: int) -> UniversalMapping:
    return UniversalMapping(head(), resolution)


@functools.cache
def _plane() -> FloatArray:
    """A plane (m, 2) onto which all faces unfold, with less distortion than the canonical one."""
    return parameterize(head().vertices, head().faces)


def _sample_pose(points: FloatArray, settings: Scanner, rng: np.random.Generator) -> FloatArray:
    """The rigid motion (4, 4) of a person who sits down before the cameras."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(0, settings.turn, 3), degrees=True).as_matrix()
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    pose[:3, 3] = rng.normal(0, settings.shift, 3) - pose[:3, :3] @ middle
    return pose


def _cameras(settings: Scanner) -> tuple[Camera, Camera]:
    """The cameras at the person's right and left, in the order of the photographs."""
    place = settings.pitch, (0.0, 0.0, 0.0), settings.field, settings.distance
    return Camera(settings.yaw, *place), Camera(-settings.yaw, *place)


def _better_camera(samples: Samples, faces: IntArray) -> IntArray:
    """The camera (f,) that sees all of a triangle's corners, and more squarely than the other."""
    cosines = samples.cosines[faces]  # (f, 3, 2)
    return np.argmax(cosines.mean(axis=1) + (cosines > 0).sum(axis=1), axis=1)


def _project(
    corners: FloatArray, photograph: IntArray, cameras: tuple[Camera, Camera]
) -> FloatArray:
    """Where the triangles' corners (f, 3, 3) lie in their photographs: uv (f, 3, 2)."""
    at = np.stack([camera.project(corners.reshape(-1, 3), 1) for camera in cameras])
    at = at.reshape(len(cameras), -1, 3, 2)[photograph, np.arange(len(photograph))]
    return at * [1, -1] + [0, 1]


def _hang_hair(
    face: Surface,
    pose: FloatArray,
    cameras: tuple[Camera, Camera],
    settings: Scanner,
    rng: np.random.Generator,
) -> list[NDArray[np.floating]]:
    """How much of each pixel of the two photographs strands of hair hide; often nothing."""
    size = settings.photograph
    if rng.random() >= settings.strands:
        return [np.zeros((size, size), np.float32) for _ in cameras]
    strands = sample_strands(face, pose, rng)
    return [coverage(strands, face, camera, size) for camera in cameras]


def _hair_colour(texture: NDArray[np.uint8], faults: Faults) -> NDArray[np.floating]:
    """Linear RGB (3,) of the subject's hair: dark, as a few strands before the skin look."""
    hair = faults.hair > 0.6
    if not hair.any():
        return _HAIR.astype(np.float32)
    return np.asarray(np.percentile(colour.from_uint8(texture[hair]), 20, axis=0), np.float32)
