"""What OBJ, PLY and GLB files hold of a scan, and where their images are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from facesynth.scans.parts import Photograph, ScanFileError, ScanTextureError
from facesynth.scans.wavefront import Wavefront, read_mtl, read_obj
from facesynth.surface.mesh import FloatArray, check_arrays

Parts = dict[str, Any]  # the arguments of `Scan`, unchecked and in the file's own unit

_IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
_HEADER = 2**16  # bytes in which a PLY file's header is looked for
_BAD_IMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def _load_obj(path: Path) -> Parts:
    found = read_obj(path)
    libraries = [path.parent / name for name in found.libraries]
    named: dict[str, str] = {}  # the image of each material, from those MTL files that exist
    for library in filter(Path.is_file, libraries):
        named |= read_mtl(library)
    named |= _stand_in([name for name in found.materials if name not in named], path, found)
    images = [_image_beside(named[name], path) for name in found.materials]
    # photographs in the order of the MTL file, whichever the triangles use first
    order = np.argsort([list(named).index(name) for name in found.materials])
    different = list(dict.fromkeys(images[k] for k in order))
    return {
        "vertices": found.vertices,
        "faces": found.faces,
        "uv": found.uv,
        "photograph": np.array([different.index(image) for image in images])[found.material],
        "photographs": tuple(_read_image(image) for image in different),
    }


def _image_beside(name: str, path: Path) -> Path:
    """An image that an MTL file names; also where only its folder has changed."""
    plain = name.replace("\\", "/")
    candidates = [path.parent / plain, path.parent / Path(plain).name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ScanTextureError(f"{path} needs the image {name!r}, which is not at {candidates[0]}")


def _stand_in(materials: list[str], path: Path, found: Wavefront) -> dict[str, str]:
    """The one image of the scan's stem for the one material that no MTL file has."""
    if len(materials) > 1:
        raise ScanTextureError(
            f"{path}: its materials {materials} have no images; the MTL files "
            f"{found.libraries} are missing or lack them"
        )
    return {name: _only_image(path).name for name in materials}


def _only_image(path: Path) -> Path:
    """The one image of the scan's stem: exporters write one, and often a wrong MTL file's name."""
    beside = [
        file
        for file in sorted(path.parent.glob("*"))
        if file.stem == path.stem and file.suffix.lower() in _IMAGES
    ]
    if len(beside) == 1:
        return beside[0]
    raise ScanTextureError(
        f"{path}: no image is named, or the MTL file that names it is missing, and "
        f"{len(beside)} images of the name {path.stem!r} are beside it; provide exactly one"
    )


def _read_image(path: Path) -> Photograph:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except _BAD_IMAGE as error:
        raise ScanTextureError(f"cannot read the image {path}: {error}") from error


def _load_ply(path: Path) -> Parts:
    parts, _ = _load_meshes(path, skip_materials=True)
    with path.open("rb") as file:
        header = file.read(_HEADER).split(b"end_header")[0].decode(errors="replace")
    names = [
        line.strip()[len("comment texturefile") :].strip()
        for line in header.splitlines()
        if line.strip().lower().startswith("comment texturefile")
    ]
    if len(names) > 1:
        raise ScanTextureError(
            f"{path} has {len(names)} textures, for which PLY has no standard; export the scan as "
            "OBJ or GLB"
        )
    image = _image_beside(names[0], path) if names else _only_image(path)
    return parts | {"photographs": (_read_image(image),), "photograph": 0 * parts["photograph"]}


def _load_glb(path: Path) -> Parts:
    parts, meshes = _load_meshes(path)
    return parts | {"photographs": tuple(_embedded_image(mesh, path) for mesh in meshes)}


def _load_meshes(path: Path, **options: bool) -> tuple[Parts, list[trimesh.Trimesh]]:
    """The meshes of a file, and those parts of a scan that they make up together."""
    try:
        scene = trimesh.load_scene(path, process=False, **options)
        meshes = [m for m in scene.dump() if isinstance(m, trimesh.Trimesh) and len(m.faces)]
    except OSError:
        raise
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise ScanFileError(f"{path} cannot be read: {error!r}") from error
    if not meshes:
        raise ScanFileError(f"{path} contains no triangles")
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])[:-1]
    parts = {
        "vertices": np.concatenate([mesh.vertices for mesh in meshes]),
        "faces": np.concatenate([m.faces + k for m, k in zip(meshes, first, strict=True)]),
        "uv": np.concatenate([_wedges(mesh, path) for mesh in meshes]),
        "photograph": np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes]),
    }
    return parts, meshes


def _wedges(mesh: trimesh.Trimesh, path: Path) -> FloatArray:
    """Texture coordinates (f, 3, 2) of a mesh."""
    check_arrays(mesh.vertices, mesh.faces)
    uv = getattr(mesh.visual, "uv", None)
    if uv is None or np.shape(uv) != (len(mesh.vertices), 2):
        raise ScanTextureError(
            f"{path} has no texture coordinates; export the scan with its texture"
        )
    return np.asarray(uv, dtype=np.float64)[mesh.faces]


def _embedded_image(mesh: trimesh.Trimesh, path: Path) -> Photograph:
    material = mesh.visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        raise ScanTextureError(
            f"{path} has no texture image, or a damaged one; export the scan with its texture in it"
        )
    try:
        return np.asarray(image.convert("RGB"))
    except _BAD_IMAGE as error:
        raise ScanTextureError(f"the texture of {path} is damaged: {error}") from error


READERS: dict[str, Callable[[Path], Parts]] = {
    ".obj": _load_obj,
    ".ply": _load_ply,
    ".glb": _load_glb,
}
