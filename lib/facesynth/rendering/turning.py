"""A face with its whole texture, to be turned by hand in a browser, as one binary glTF 2.0 file.

Plotly colours a mesh at its vertices, which blurs brows and lips; here the texture itself is seen.
Sets of vertices become morph targets, between which a viewer blends as a slider moves.
"""

import base64
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facesynth.rendering.colour import from_uint8, to_uint8
from facesynth.rendering.figure import interactive
from facesynth.rendering.material import MaterialError, check_material, look_up
from facesynth.rendering.raycast import Camera, render
from facesynth.surface.mesh import check_arrays, vertex_normals

MIME = "application/vnd.facesynth.turntable+json"  # what the book's pages know how to show
SIDE = 512  # pixels along the side of textures, at most: nobody sees more of them on a page
QUALITY = 90  # of JPEG
POSTER = 640  # pixels along the side of the still picture
VIEW = Camera(yaw=-15)
MM = 1e-3  # metres, glTF's unit
TOLERANCE = 0.05  # mm, root mean square, that morph targets may miss a set of vertices by
SHORT, BYTE = 2**15 - 1, 2**7 - 1
UNSIGNED = 2**16 - 1


@dataclass(frozen=True)
class Turntable:
    """A face that the book's pages turn, and other notebooks show as a plotly figure.

    glb       the first texture is inside; slider positions 0, 1, ... are seconds of its animation
    textures  JPEG, one for all steps or one for each
    labels    of the slider's steps; no slider without
    slider    stands before the label of the current step
    poster    WebP, a picture of it where nothing turns
    figure    the same with colours at the vertices
    """

    glb: bytes = field(repr=False)
    textures: tuple[bytes, ...] = field(repr=False)
    labels: tuple[str, ...]
    slider: str
    poster: bytes = field(repr=False)
    figure: go.Figure = field(repr=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What Jupyter shows: see `turntable`."""
        shown = {
            "glb": _address(self.glb, "model/gltf-binary"),
            "textures": [_address(t, "image/jpeg") for t in self.textures[1:] and self.textures],
            "labels": list(self.labels),
            "slider": self.slider,
            "poster": _address(self.poster, "image/webp"),
        }
        return {**self.figure._repr_mimebundle_(include, exclude), MIME: shown}


def turntable(
    vertices: ArrayLike,
    faces: ArrayLike,
    uv: ArrayLike,
    textures: ArrayLike,
    *,
    labels: Sequence[str] = (),
    slider: str = "",
) -> Turntable:
    """A textured face to be turned; several sets of vertices become a slider that blends them.

    vertices  (m, 3) or (s, m, 3) in mm; s sets make a slider of s steps, and of all between them
    faces     (f, 3) int, the same for all sets
    uv        (m, 2) in [0, 1]; row 0 of a texture is at v = 1
    textures  (R, R, 3) or (s, R, R, 3), shown with at most 512 x 512 pixels
    labels    (s,) of the slider's steps; the middle one is shown first
    slider    stands before the label of the current step

    The last expression of a cell. The book's pages show the texture itself; Jupyter and Colab show
    a plotly figure, with colours at the vertices. A face of 8,500 vertices takes 0.3 MB, and 0.1 MB
    more for each dimension of the space that its sets span: steps along a line take one.

    Raises `MeshError` for invalid vertices or faces, and `MaterialError` if uv, textures or labels
    do not match the vertices.
    """
    steps, images = np.asarray(vertices, np.float64), np.asarray(textures)
    steps = steps[None] if steps.ndim == 2 else steps
    images = images[None] if images.ndim == 3 else images
    images = images if images.dtype == np.uint8 else to_uint8(images)
    if len(images) not in (1, len(steps)):
        raise MaterialError(f"{len(steps)} sets of vertices need one texture, or as many")
    check_material(steps.shape[1], uv, images[0], None)
    points = np.asarray(uv, np.float32)
    colours = [look_up(from_uint8(image), points) for image in images]
    figure = interactive(
        steps if len(steps) > 1 else steps[0],
        faces,
        colors=np.stack(colours) if len(images) > 1 else colours[0],
        labels=labels,
        slider=slider,
    )
    _, triangles = check_arrays(steps[0], faces)
    shown = len(steps) // 2
    texture = images[shown % len(images)]
    picture = render(steps[shown], triangles, points, texture, camera=VIEW, size=POSTER)
    jpegs = tuple(_encoded(image, "JPEG", QUALITY) for image in images)
    return Turntable(
        to_glb(steps, triangles, points, jpegs[0]),
        jpegs,
        tuple(labels),
        slider,
        _encoded(picture, "WEBP", 80),
        figure,
    )


def to_glb(
    steps: NDArray[np.floating], faces: NDArray[np.integer], uv: NDArray[np.floating], jpeg: bytes
) -> bytes:
    """A textured mesh as binary glTF 2.0, with an animation through sets of vertices (s, m, 3) mm.

    Coordinates are whole numbers in 16 bits and normals in 8 (the extension KHR_mesh_quantization),
    3 micrometres and half a degree of a face. The sets are their mean and the principal components
    of what they differ by: second k of the animation is set k, and between them it is linear.
    """
    base, targets, weights = morphs(steps)
    centre = (base.min(axis=0) + base.max(axis=0)) / 2
    scale = max(np.abs(base - centre).max(), np.abs(targets).max(initial=0)) / SHORT  # mm
    normals = np.stack([vertex_normals(step, faces) for step in steps])
    mean_normals = normals.mean(axis=0)
    bend = np.linalg.pinv(weights) @ (normals - mean_normals).reshape(len(steps), -1)
    uv_down = np.column_stack([uv[:, 0], 1 - uv[:, 1]])  # glTF has v = 0 at row 0
    file = _Glb()
    attributes = {
        "POSITION": file.vectors(_whole((base - centre) / scale, np.int16), bounds=True),
        "NORMAL": file.vectors(_whole(_unit(mean_normals) * BYTE, np.int8), normalized=True),
        "TEXCOORD_0": file.vectors(uv_down.astype(np.float32)),
    }
    narrow = np.uint16 if len(base) <= UNSIGNED else np.uint32
    indices = file.accessor(np.asarray(faces, narrow).ravel(), "SCALAR", target=34963)
    morphed = [
        {
            "POSITION": file.vectors(_whole(target / scale, np.int16), bounds=True),
            "NORMAL": file.vectors(
                _whole(np.clip(lean, -1, 1) * BYTE, np.int8), bounds=True, normalized=True
            ),
        }
        for target, lean in zip(targets, bend.reshape(targets.shape), strict=True)
    ]
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    mesh: dict[str, Any] = {"primitives": [primitive]}
    tree = {
        "asset": {"version": "2.0", "generator": "facesynth"},
        "extensionsUsed": ["KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"mesh": 0, "scale": [scale * MM] * 3, "translation": [float(c * MM) for c in centre]}
        ],
        "meshes": [mesh],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0,
                    "roughnessFactor": 0.7,
                }
            }
        ],
        "textures": [{"source": 0}],
        "images": [{"mimeType": "image/jpeg", "bufferView": file.view(jpeg)}],
    }
    if len(targets):
        primitive["targets"] = morphed
        mesh["weights"] = weights[len(steps) // 2].tolist()
        times = file.accessor(np.arange(len(steps), dtype=np.float32), "SCALAR", bounds=True)
        values = file.accessor(weights.astype(np.float32).ravel(), "SCALAR")
        channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
        tree["animations"] = [
            {"channels": [channel], "samplers": [{"input": times, "output": values}]}
        ]
    return file.written(tree)


def morphs(
    steps: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The mean (m, 3) of sets of vertices (s, m, 3), targets (r, m, 3) and weights (s, r) of each.

    Sets are the mean plus weights times targets, to within `TOLERANCE`, by the fewest targets: the
    principal components of what the sets differ by. The largest weight of each is 1.
    """
    base = steps.mean(axis=0)
    apart = (steps - base).reshape(len(steps), -1)
    values, vectors = np.linalg.eigh(apart @ apart.T)
    left = np.cumsum(np.maximum(values, 0))  # of squares, where this and the smaller are left out
    kept = vectors[:, left > TOLERANCE**2 * steps.shape[1] * len(steps)]
    weights = kept / np.abs(kept).max(axis=0, initial=1e-12)
    targets = np.linalg.pinv(weights) @ apart
    return base, targets.reshape(-1, *base.shape), weights


class _Glb:
    """The binary part of a glTF file, and what describes it."""

    def __init__(self) -> None:
        self._content = b""
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, **more: int) -> int:
        """Add bytes; return the number of their view."""
        self._views.append(
            {"buffer": 0, "byteOffset": len(self._content), "byteLength": len(content), **more}
        )
        self._content += content + bytes(-len(content) % 4)
        return len(self._views) - 1

    def vectors(
        self, values: NDArray[Any], *, bounds: bool = False, normalized: bool = False
    ) -> int:
        """Add an attribute (m, 2) or (m, 3), rows padded to four bytes."""
        width = -(-values[0].nbytes // 4) * 4
        padded = np.zeros((len(values), width // values.itemsize), values.dtype)
        padded[:, : values.shape[1]] = values
        view = self.view(padded.tobytes(), byteStride=width, target=34962)
        more = {"normalized": True} if normalized else {}
        return self._add(values, f"VEC{values.shape[1]}", view, bounds, more)

    def accessor(
        self, values: NDArray[Any], shape: str, *, bounds: bool = False, **more: int
    ) -> int:
        """Add numbers in a row; return the number of their accessor."""
        return self._add(values, shape, self.view(values.tobytes(), **more), bounds, {})

    def _add(
        self, values: NDArray[Any], shape: str, view: int, bounds: bool, more: dict[str, Any]
    ) -> int:
        if bounds:
            low, high = (np.atleast_1d(f(values, axis=0)).tolist() for f in (np.min, np.max))
            more = {**more, "min": low, "max": high}
        code = {"b": 5120, "h": 5122, "H": 5123, "I": 5125, "f": 5126}[values.dtype.char]
        self._accessors.append(
            {
                "bufferView": view,
                "componentType": code,
                "count": len(values),
                "type": shape,
                **more,
            }
        )
        return len(self._accessors) - 1

    def written(self, tree: dict[str, Any]) -> bytes:
        """The file, whose scene is described by `tree`."""
        tree = {
            **tree,
            "bufferViews": self._views,
            "accessors": self._accessors,
            "buffers": [{"byteLength": len(self._content)}],
        }
        text = json.dumps(tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self._content), b"BIN\0") + self._content
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _whole(values: NDArray[np.floating], kind: type[np.integer]) -> NDArray[np.integer]:
    return np.rint(values).astype(kind)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _encoded(image: NDArray[np.uint8], kind: str, quality: int) -> bytes:
    """A picture, or a texture of at most `SIDE` pixels along a side, as a file's bytes."""
    picture, content = Image.fromarray(image), io.BytesIO()
    if kind == "JPEG" and max(picture.size) > SIDE:
        picture = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    picture.save(content, kind, quality=quality)
    return content.getvalue()


def _address(content: bytes, kind: str) -> str:
    """A file as the address of itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
