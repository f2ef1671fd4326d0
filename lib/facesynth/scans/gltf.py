"""Reading glTF 2.0, as .glb or as .gltf with its files, limited to what scans need.

trimesh reads the geometry, and Draco's compression of it. What it leaves out is done here: which
set of texture coordinates an image has, how it is moved and scaled (KHR_texture_transform),
coordinates in whole numbers, and each image is decoded once, however many parts share it.
"""

import base64
import binascii
import io
import json
import struct
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from facesynth.rendering.colour import to_uint8
from facesynth.scans import images, meshes
from facesynth.scans.parts import Parts, Photograph, ScanFileError, ScanTextureError
from facesynth.scans.wavefront import find
from facesynth.surface.mesh import FloatArray

_GLB, _JSON, _BINARY = b"glTF", 0x4E4F534A, 0x004E4942
_UNDERSTOOD = (
    *("KHR_texture_transform", "KHR_draco_mesh_compression", "EXT_texture_webp"),
    *("KHR_mesh_quantization", "KHR_texture_basisu", "KHR_lights_punctual"),
)
_UV, _COLOUR = "_UV", "_COLOUR"  # attributes that trimesh hands on as they are
_LOOKS = "KHR_materials_"  # extensions that may be ignored begin so
_LARGEST = {5120: 127.0, 5121: 255.0, 5122: 32767.0, 5123: 65535.0}  # of normalised numbers


@dataclass(frozen=True)
class _Part:
    """What trimesh does not tell of a primitive."""

    image: int | None  # in the file's list
    largest: float  # what a texture coordinate of 1 is written as
    move: NDArray[np.float64]  # (2, 3), an affine map of texture coordinates


def read_gltf(path: Path, texture: bool) -> Parts:
    """A scan's parts of a .glb or .gltf file, or those of its geometry alone.

    Raises `ScanError` and OSError.
    """
    try:
        header, binary = _content(path)
        _check(header, path)
        parts = _prepare(header, path)
    except (OSError, ScanFileError, ScanTextureError):
        raise
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise ScanFileError(f"{path} cannot be read: {error!r}") from error
    options = {"file_type": "glb", "merge_primitives": False}
    found = meshes.load(io.BytesIO(_rewritten(header, binary)), path, **options)
    if not any(np.ptp(mesh.vertices, axis=0).any() for mesh in found):
        raise ScanFileError(
            f"all vertices of {path} are at one place; where it is compressed, it is damaged"
        )
    told = [parts[mesh.visual.material.name] for mesh in found]
    used = sorted({part.image for part in told if part.image is not None and texture})
    number = {image: k for k, image in enumerate(used)}
    uv, photograph = [], []
    for mesh, part in zip(found, told, strict=True):
        wedges, known = _wedges(mesh, part)
        uv.append(wedges)
        k = -1 if part.image is None or not known else number.get(part.image, -1)
        photograph.append(np.full(len(mesh.faces), k))
    return meshes.joined(found) | {
        "uv": np.concatenate(uv),
        "photograph": np.concatenate(photograph),
        "photographs": tuple(_image(header, binary, k, path) for k in used),
        "colours": _colours(found, path),
    }


def uris(path: Path) -> list[str]:
    """The names of files that a file refers to; none for a damaged one."""
    try:
        header, _ = _chunks(path)
        named = [*header.get("buffers", []), *header.get("images", [])]
        found = [urllib.parse.unquote(one["uri"]) for one in named if "uri" in one]
    except Exception:  # reading it will say what is wrong
        return []
    return [name for name in found if not name.startswith("data:")]


def _chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header, and the buffer in the file itself, if any."""
    content = path.read_bytes()
    header, first = content, b""
    if content[:4] == _GLB:
        header, first = b"", b""
        start = 12
        while start + 8 <= len(content):
            length, kind = struct.unpack_from("<II", content, start)
            chunk = content[start + 8 : start + 8 + length]
            if len(chunk) < length:
                raise ScanFileError(f"{path} is truncated: it ends within a part of its content")
            if kind == _JSON:
                header = chunk
            elif kind == _BINARY:
                first = chunk
            start += 8 + length
    found = json.loads(header.decode("utf-8-sig"))
    if not isinstance(found, dict):
        raise ScanFileError(f"{path} has no header of a glTF file")
    return found, first


def _content(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header, and all buffers as one, at which its views then point."""
    found, first = _chunks(path)
    joined, starts = bytearray(), []
    for k, buffer in enumerate(found.get("buffers", [])):
        starts.append(len(joined))
        uri = buffer.get("uri")
        joined += _fetched(uri, path) if uri is not None else first if k == 0 else b""
        joined += b"\0" * (-len(joined) % 4)
    for view in found.get("bufferViews", []):
        view["byteOffset"] = view.get("byteOffset", 0) + starts[view.get("buffer", 0)]
        view["buffer"] = 0
    found["buffers"] = [{"byteLength": len(joined)}]
    return found, bytes(joined)


def _fetched(uri: str, path: Path) -> bytes:
    """What a URI in the file names: data in it, or a file beside it."""
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise ScanFileError(f"{path} holds damaged data: {error}") from error
    name = urllib.parse.unquote(uri)
    file = find(name, path.parent)
    if file is None:
        raise ScanFileError(f"{path} needs {name!r}, which is not in {path.parent}")
    return file.read_bytes()


def _check(header: Mapping[str, Any], path: Path) -> None:
    """Raise `ScanFileError` for what this reader would get wrong."""
    required = [e for e in header.get("extensionsRequired", []) if not e.startswith(_LOOKS)]
    if unknown := sorted({*required} - {*_UNDERSTOOD}):
        raise ScanFileError(
            f"{path} requires the glTF extensions {', '.join(unknown)}, which are not understood "
            "here; export the scan without"
        )
    for mesh in header.get("meshes", []):
        for primitive in mesh["primitives"]:
            accessor = header["accessors"][primitive["attributes"]["POSITION"]]
            if accessor.get("normalized"):
                raise ScanFileError(
                    f"{path} has positions in fractions of whole numbers (KHR_mesh_quantization), "
                    "which are not understood here; export the scan without"
                )


def _prepare(header: dict[str, Any], path: Path) -> dict[str, _Part]:
    """Change the header to what trimesh reads right; return what it does not tell, by material.

    Each primitive gets a material of its own, without an image, and attributes of our own with
    its colours and the texture coordinates that belong to its image.
    """
    materials = header.get("materials", [])
    parts: dict[str, _Part] = {}
    for mesh in header.get("meshes", []):
        for primitive in mesh["primitives"]:
            old = materials[primitive["material"]] if "material" in primitive else {}
            name = str(len(parts))
            which, move, image = _texture(old, header, path)
            attributes = primitive["attributes"]
            coordinates = attributes.get(f"TEXCOORD_{which}")
            largest = 1.0
            if coordinates is not None:
                accessor = header["accessors"][coordinates]
                if accessor.get("normalized"):
                    largest = _LARGEST[accessor["componentType"]]
            draco = primitive.get("extensions", {}).get("KHR_draco_mesh_compression")
            for ours, theirs in ((_UV, f"TEXCOORD_{which}"), (_COLOUR, "COLOR_0")):
                for named in (attributes, draco["attributes"] if draco else {}):
                    if theirs in named:
                        named[ours] = named.pop(theirs)
            primitive["material"] = len(parts)
            parts[name] = _Part(image, largest, move)
    header["materials"] = [{"name": name} for name in parts]
    return parts


def _texture(
    material: Mapping[str, Any], header: Mapping[str, Any], path: Path
) -> tuple[int, NDArray[np.float64], int | None]:
    """A material's set of texture coordinates, how they are moved, and the image's number."""
    gloss = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
    metal = material.get("pbrMetallicRoughness", {})
    texture = metal.get("baseColorTexture") or gloss.get("diffuseTexture")
    if texture is None:  # a light of its own: how scans are often exported
        texture = material.get("emissiveTexture")
    move = np.eye(2, 3)
    if texture is None:
        return 0, move, None
    which = texture.get("texCoord", 0)
    if moved := texture.get("extensions", {}).get("KHR_texture_transform"):
        which = moved.get("texCoord", which)
        angle = moved.get("rotation", 0.0)
        cos, sin = np.cos(angle), np.sin(angle)
        scale = np.diag(moved.get("scale", (1.0, 1.0)))
        move = np.column_stack([[[cos, sin], [-sin, cos]] @ scale, moved.get("offset", (0, 0))])
    found = header["textures"][texture["index"]]
    image = found.get("source")
    if image is None:
        image = found.get("extensions", {}).get("EXT_texture_webp", {}).get("source")
    if image is None:
        raise ScanTextureError(
            f"{path} has a texture in a form that is not read here, "
            f"{', '.join(found.get('extensions', {})) or 'without an image'}; export the scan with "
            "PNG or JPEG textures"
        )
    return which, move, int(image)


def _rewritten(header: Mapping[str, Any], binary: bytes) -> bytes:
    """A .glb file of a header and its buffer, without images."""
    text = json.dumps({**header, "images": [], "textures": []}).encode()
    text += b" " * (-len(text) % 4)
    content = struct.pack("<II", len(text), _JSON) + text
    content += struct.pack("<II", len(binary), _BINARY) + binary
    return _GLB + struct.pack("<II", 2, 12 + len(content)) + content


def _wedges(mesh: trimesh.Trimesh, part: _Part) -> tuple[FloatArray, bool]:
    """Texture coordinates (f, 3, 2), v up, and whether there are any."""
    uv = mesh.vertex_attributes.get(_UV)
    if uv is None or np.shape(uv) != (len(mesh.vertices), 2):
        return np.zeros((len(mesh.faces), 3, 2)), False
    with np.errstate(invalid="ignore", over="ignore"):  # such numbers are refused by name later
        moved = np.asarray(uv, np.float64) / part.largest @ part.move[:, :2].T + part.move[:, 2]
        return (moved * [1, -1] + [0, 1])[mesh.faces], True


def _colours(found: list[trimesh.Trimesh], path: Path) -> NDArray[np.uint8] | None:
    """Colours (n, 3) of the vertices, if all meshes have them. Raises `ScanTextureError`."""
    linear = []
    for mesh in found:
        values = mesh.vertex_attributes.get(_COLOUR)
        if values is None:
            return None
        whole = np.issubdtype(values.dtype, np.integer)
        linear.append(values[:, :3] / (np.iinfo(values.dtype).max if whole else 1.0))
    colours = np.concatenate(linear)
    if not np.isfinite(colours).all():
        raise ScanTextureError(f"{path} has colours of vertices that are no finite numbers")
    return to_uint8(colours)


def _image(header: Mapping[str, Any], binary: bytes, k: int, path: Path) -> Photograph:
    """Image k of the file, decoded."""
    try:
        told = header["images"][k]
        name = f"{told.get('name') or told.get('uri', '')[:40] or k} of {path}"
        if "uri" in told:
            return images.read(_fetched(told["uri"], path), name)
        view = header["bufferViews"][told["bufferView"]]
        start = view["byteOffset"]
        return images.read(binary[start : start + view["byteLength"]], name)
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, ScanFileError | ScanTextureError):
            raise
        raise ScanTextureError(f"{path} has no image number {k}: {error!r}") from error
