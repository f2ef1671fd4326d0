"""A camera, and rendering a face by ray casting."""

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from facesynth.rendering.bump import bend
from facesynth.rendering.colour import to_uint8
from facesynth.rendering.light import STUDIO, Light, ambient_occlusion, shade, soft_shadow, unit
from facesynth.rendering.material import Hits, albedo, check_material
from facesynth.surface.mesh import Floats, check_arrays, vertex_normals


@dataclass(frozen=True)
class Camera:
    """A perspective camera in front of the face, and the pose of the head before it."""

    yaw: float = 0.0  # degrees; positive turns the face towards the picture's right
    pitch: float = 0.0  # degrees; positive lifts the chin
    target: tuple[float, float, float] = (0.0, -6.0, -20.0)  # mm, a face's middle; pose turns it
    height: float = 240.0  # mm that the picture's height shows at the target
    distance: float = 900.0  # mm from the target: a portrait's; nearer swells the nose

    def view(self, vertices: Floats) -> NDArray[np.float32]:
        """Vertices (m, 3) in the camera's frame: target at the origin, camera at +distance on z."""
        pose = Rotation.from_euler("YX", [self.yaw, -self.pitch], degrees=True)
        return pose.apply(vertices - np.asarray(self.target)).astype(np.float32)

    def window(self, view: Floats, size: int) -> tuple[slice, slice]:
        """Rows and columns of a size x size picture that vertices (m, 3) in view can fall on."""
        depth = self.distance - view[:, 2:]
        if depth.min() <= 0:
            raise ValueError(
                f"the mesh reaches behind the camera, {self.distance:g} mm before the target "
                f"{self.target}; move the target into the mesh, or the camera away from it"
            )
        pixel = self._pixels(view, size)
        low = np.clip(np.floor(pixel.min(axis=0)), 0, size).astype(int)
        high = np.clip(np.ceil(pixel.max(axis=0)), 0, size).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def project(self, vertices: Floats, size: int) -> Floats:
        """Column and row (m, 2), in pixels of a size x size picture, of points (m, 3) in mm."""
        return self._pixels(self.view(vertices), size)

    def _pixels(self, view: Floats, size: int) -> Floats:
        scale = self.distance / (self.distance - view[:, 2:]) * size / self.height
        return size / 2 + view[:, :2] * [1, -1] * scale

    def rays(self, rows: slice, columns: slice, size: int) -> tuple[Floats, Floats]:
        """Origins and unit directions, both (k, 3), through the window's k pixels row by row."""
        row, column = np.mgrid[rows, columns]  # (h, w) each
        mm = self.height / size
        x, y = (column + 0.5 - size / 2) * mm, (size / 2 - row - 0.5) * mm
        towards = np.stack([x, y, np.full_like(x, -self.distance)], axis=-1).reshape(-1, 3)
        origins = np.broadcast_to(np.array([0, 0, self.distance], np.float32), towards.shape)
        return origins.copy(), unit(towards).astype(np.float32)


def render(
    vertices: ArrayLike,
    faces: ArrayLike,
    uv: ArrayLike | None = None,
    texture: ArrayLike | None = None,
    *,
    vertex_colors: ArrayLike | None = None,
    relief: ArrayLike | None = None,
    gloss: ArrayLike | None = None,
    camera: Camera = Camera(),
    light: Light | None = STUDIO,
    size: int = 512,
    supersampling: int = 2,
    background: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """A picture of one face.

    vertices       (m, 3) in mm
    faces          (f, 3) int, counter-clockwise seen from outside
    uv, texture    (m, 2) in [0, 1] and (R, R, 3). The texture's row 0 is at v = 1; it is looked up
                   bilinearly, in linear light
    vertex_colors  (m, 3) in place of uv and texture. Without either the face is made of clay
    relief         (R, R) mm, displacement along the normal that is finer than the mesh, over the
                   same uv: it bends the normals that the light falls on. It needs no texture
    gloss          (m,) how oily the skin is, against the light's `oil`: 0 is dry. By default 1
    camera         the view and the head's pose. The lamps stay with the camera
    light          None shows the colours as they are: for maps that are read against a colour bar
    size           pixels along a side
    supersampling  rays per pixel along each side
    background     (3,) linear RGB; None is transparent

    Returns (size, size, 4) uint8: sRGB with straight (not premultiplied) alpha.

    Raises `MeshError` for invalid vertices or faces, and `MaterialError` if uv, texture, vertex
    colours, relief or gloss do not match the mesh or each other.
    """
    points, triangles = check_arrays(vertices, faces)
    check_material(len(points), uv, texture, vertex_colors, relief, gloss)
    view = camera.view(points)
    scene = EmbreeScene()
    TriangleMesh(scene, view, triangles.astype(np.int32))

    fine = size * supersampling
    rows, columns = camera.window(view, fine)
    origins, directions = camera.rays(rows, columns, fine)
    seen, hits = _cast(scene, triangles, origins, directions)
    colours = albedo(hits, uv, texture, vertex_colors)
    if light is not None:
        normals = vertex_normals(view, triangles).astype(np.float32)
        shadow = soft_shadow(scene, view, normals, light)
        # The photometry of a scan already holds its ambient occlusion; other colours do not.
        scanned = texture is not None
        sky = np.ones_like(shadow) if scanned else ambient_occlusion(scene, view, normals)
        oil = np.ones_like(shadow) if gloss is None else np.asarray(gloss)
        at, shadow, sky, oil = (hits.interpolate(v) for v in (normals, shadow, sky, oil))
        smooth = at
        if relief is not None and uv is not None:
            at = bend(unit(at), hits, view, triangles, uv, relief, camera.height / fine)
        colours = shade(colours, at, smooth, directions[seen], shadow, sky, light, oil)

    window = np.zeros((len(directions), 4), np.float32)
    window[seen, :3], window[seen, 3] = np.clip(colours, 0, 1), 1
    canvas = np.zeros((fine, fine, 4), np.float32)
    canvas[rows, columns] = window.reshape(canvas[rows, columns].shape)
    return _develop(canvas, supersampling, background)


def plate(images: ArrayLike, columns: int, gap: int = 12) -> NDArray[np.uint8]:
    """Pictures (n, h, w, 4) of one series side by side, `columns` to a row, as one RGBA picture.

    Rows and columns that are transparent in all pictures are cut away from all alike, so that the
    pictures stay in register, and `gap` transparent pixels separate neighbours.
    """
    stack = np.asarray(images)
    inked = stack[..., 3].max(axis=0) > 0  # (h, w)
    used_rows, used_columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if len(used_rows):
        stack = stack[:, used_rows[0] : used_rows[-1] + 1, used_columns[0] : used_columns[-1] + 1]
    n, h, w, _ = stack.shape
    rows = -(-n // columns)
    cells = np.zeros((rows * columns, h + gap, w + gap, 4), np.uint8)
    cells[:n, :h, :w] = stack
    grid = cells.reshape(rows, columns, h + gap, w + gap, 4).swapaxes(1, 2)
    whole = grid.reshape(rows * (h + gap), columns * (w + gap), 4)
    return whole[: len(whole) - gap, : whole.shape[1] - gap]


def _cast(
    scene: EmbreeScene, faces: NDArray[np.int64], origins: Floats, directions: Floats
) -> tuple[NDArray[np.bool_], Hits]:
    """Which of the rays hit the scene, and where."""
    found = scene.run(origins, directions, output=True)
    seen = found["primID"] >= 0
    u, v = found["u"][seen], found["v"][seen]
    return seen, Hits(faces[found["primID"][seen]], np.stack([1 - u - v, u, v], axis=1))


def _develop(canvas: Floats, supersampling: int, background: ArrayLike | None) -> NDArray[np.uint8]:
    """Average premultiplied linear RGBA (S, S, 4) over each pixel and encode it."""
    size = len(canvas) // supersampling
    pixels = canvas.reshape(size, supersampling, size, supersampling, 4).mean(axis=(1, 3))
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if background is not None:
        colour, alpha = colour + (1 - alpha) * np.asarray(background), np.ones_like(alpha)
    straight = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0)
    return np.concatenate([to_uint8(straight), np.rint(alpha * 255).astype(np.uint8)], axis=-1)
