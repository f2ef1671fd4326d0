"""What OBJ, PLY, STL, GLB and glTF files hold of a scan, and where their images are."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from facesynth.files.units import Unit
from facesynth.scans import images, meshes
from facesynth.scans.gltf import read_gltf, uris
from facesynth.scans.parts import Parts, ScanError, ScanTextureError
from facesynth.scans.wavefront import find, image_of, libraries, read_mtl, read_obj

_HEADER = 2**16  # bytes in which a PLY file's header is looked for
_PLY_IMAGE = "comment texturefile"
_LIBRARY = re.compile(rb"^\s*mtllib\s+(.+?)\s*$", re.I | re.M)


def _load_obj(path: Path, texture: bool) -> Parts:
    found = read_obj(path)
    parts = {
        "vertices": found.vertices,
        "faces": found.faces,
        "uv": found.uv,
        "photograph": np.full(len(found.faces), -1),
        "photographs": (),
        "colours": found.colours,
    }
    textured = np.asarray(~np.isnan(found.uv).any(axis=(1, 2)))
    if not texture or not textured.any():
        return parts
    named: dict[str, str] = {}  # the image of each material, from those MTL files that exist
    for library in libraries(found.libraries, path.parent):
        named |= read_mtl(library)
    files: list[Path | None] = []  # of each material
    lacking: list[str] = []
    for k, material in enumerate(found.materials):
        image = image_of(material, named)
        if image is None and textured[found.material == k].any():
            lacking.append(material)
        files.append(_named(image, path) if image else None)
    if lacking:
        files[found.materials.index(lacking[0])] = _stand_in(lacking, path, found.libraries)
    # photographs in the order of the MTL file, whichever the triangles use first
    order = {name: k for k, name in enumerate(named.values())}
    names = [image_of(material, named) or "" for material in found.materials]
    ranked = sorted(range(len(files)), key=lambda k: order.get(names[k], len(order)))
    different = list(dict.fromkeys(file for k in ranked if (file := files[k]) is not None))
    number = np.array([-1 if file is None else different.index(file) for file in files])
    return parts | {
        "photograph": np.where(textured, number[found.material], -1),
        "photographs": tuple(images.read(image) for image in different),
    }


def read_with(path: Path) -> list[Path]:
    """The files that a scan's file names and that are there, and the images of its stem."""
    kind, found = path.suffix.lower(), []
    try:
        if kind == ".obj":
            names = [
                name.decode("utf-8", "replace") for name in _LIBRARY.findall(path.read_bytes())
            ]
            found = libraries(names, path.parent)
            images_of = [name for library in found for name in read_mtl(library).values()]
        elif kind == ".ply":
            images_of = _ply_images(path)
        else:
            images_of = uris(path) if kind in (".glb", ".gltf") else []
        found = found + [file for name in images_of if name and (file := find(name, path.parent))]
    except ScanError:
        pass  # reading it will say what is wrong
    return list(dict.fromkeys([*found, *images.beside(path)]))


def _named(name: str, path: Path) -> Path:
    """An image that an MTL or PLY file names; also where only its folder has changed."""
    if file := find(name, path.parent):
        return file
    raise ScanTextureError(f"{path} needs the image {name!r}, which is not in {path.parent}")


def _stand_in(materials: list[str], path: Path, libraries: list[str]) -> Path:
    """The one image of the scan's stem for the one material that no MTL file has."""
    if len(materials) > 1:
        raise ScanTextureError(
            f"{path}: its materials {materials} have no images; the MTL files "
            f"{libraries} are missing or lack them"
        )
    return _only_image(path)


def _only_image(path: Path) -> Path:
    """The one image of the scan's stem: exporters write one, and often a wrong MTL file's name."""
    found = images.beside(path)
    if len(found) == 1:
        return found[0]
    raise ScanTextureError(
        f"{path}: its triangles have texture coordinates, but no image is named, or the MTL file "
        f"that names it is missing, and {len(found)} images of the name {path.stem!r} are beside "
        "it; provide exactly one, or ask for the geometry alone"
    )


def _load_ply(path: Path, texture: bool) -> Parts:
    parts = _load_meshes(path, texture, skip_materials=True)
    if (parts["photograph"] < 0).all():
        return parts
    names = _ply_images(path)
    if len(names) > 1:
        raise ScanTextureError(
            f"{path} has {len(names)} textures, for which PLY has no standard; export the scan as "
            "OBJ or GLB"
        )
    image = _named(names[0], path) if names else _only_image(path)
    return parts | {"photographs": (images.read(image),)}


def _ply_images(path: Path) -> list[str]:
    """The images that comments in a PLY file's header name."""
    with path.open("rb") as file:
        header = file.read(_HEADER).split(b"end_header")[0].decode("utf-8", errors="replace")
    words = [line.strip().split(None, 2) for line in header.splitlines()]
    return [w[2] for w in words if len(w) == 3 and " ".join(w[:2]).lower() == _PLY_IMAGE]


def _load_meshes(path: Path, texture: bool, **options: bool) -> Parts:
    """The meshes of a file that trimesh reads, and those parts of a scan that they make up.

    texture : whether their texture coordinates are wanted
    """
    found = meshes.load(path, path, **options)
    uv = [_wedges(mesh) for mesh in found]
    return meshes.joined(found) | {
        "uv": np.concatenate(uv),
        "photograph": np.concatenate(
            [np.where(np.isnan(u).any(axis=(1, 2)) | (not texture), -1, 0) for u in uv]
        ),
        "photographs": (),
        "colours": _colours(found),
    }


def _wedges(mesh: trimesh.Trimesh) -> NDArray[np.float64]:
    """Texture coordinates (f, 3, 2) of a mesh, NaN without."""
    uv: Any = getattr(mesh.visual, "uv", None)
    if uv is None or np.shape(uv) != (len(mesh.vertices), 2):
        return np.full((len(mesh.faces), 3, 2), np.nan)
    return np.asarray(uv, dtype=np.float64)[mesh.faces]


def _colours(found: list[trimesh.Trimesh]) -> NDArray[np.uint8] | None:
    """Colours (n, 3) of the vertices, if all meshes have them."""
    if any(getattr(mesh.visual, "kind", None) != "vertex" for mesh in found):
        return None
    return np.concatenate([mesh.visual.vertex_colors[:, :3] for mesh in found])


# each takes a file, and whether its texture is wanted
READERS: dict[str, Callable[[Path, bool], Parts]] = {
    ".obj": _load_obj,
    ".ply": _load_ply,
    ".stl": _load_meshes,
    ".glb": read_gltf,
    ".gltf": read_gltf,
}
# The unit that a format's standard prescribes; the others have none, and scanners write mm.
UNITS: dict[str, Unit] = {".glb": "m", ".gltf": "m"}
