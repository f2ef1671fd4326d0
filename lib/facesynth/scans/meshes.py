"""Meshes as trimesh reads them, made into one."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from facesynth.scans.parts import Parts, ScanFileError
from facesynth.surface.mesh import check_arrays


def load(source: Path | BytesIO, path: Path, **options: Any) -> list[trimesh.Trimesh]:
    """The meshes with triangles of a file's scene, where it puts them.

    source  the file's path, or its content

    Raises `ScanFileError`, which names the path, `MeshError`, and OSError.
    """
    try:
        scene = trimesh.load_scene(source, process=False, **options)
        meshes = [m for m in scene.dump() if isinstance(m, trimesh.Trimesh) and len(m.faces)]
    except OSError:
        raise
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise ScanFileError(f"{path} cannot be read: {error!r}") from error
    if not meshes:
        raise ScanFileError(f"{path} contains no triangles")
    for mesh in meshes:
        check_arrays(mesh.vertices, mesh.faces)
    return meshes


def joined(meshes: list[trimesh.Trimesh]) -> Parts:
    """The `vertices` and `faces` of all meshes as one."""
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])[:-1]
    return {
        "vertices": np.concatenate([mesh.vertices for mesh in meshes]),
        "faces": np.concatenate([m.faces + k for m, k in zip(meshes, first, strict=True)]),
    }
