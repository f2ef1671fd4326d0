"""Reading what a template is made of: a mesh, a table of landmarks, and vertex groups."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from facesynth.files import texts
from facesynth.surface.mesh import FloatArray, IntArray
from facesynth.template.parts import (
    FIRST_OF_68,
    LANDMARKS,
    N_LANDMARKS,
    TemplateFileError,
    TemplateLandmarkError,
)

ON_SURFACE = 5.0  # mm from the surface beyond which a landmark belongs to something else


def read_mesh(file: Path) -> tuple[FloatArray, IntArray]:
    """Vertices and triangles in the file's order. Raises `TemplateFileError`."""
    kind = file.suffix.lower()
    if kind not in (".obj", ".ply"):
        raise TemplateFileError(f"{file}: templates are read from .obj, .ply or .npz files")
    try:
        content = file.read_bytes()
        if kind == ".obj":  # of positions alone: texture coordinates would split vertices
            content = _positions(content.decode(errors="replace")).encode()
        mesh = trimesh.load_mesh(io.BytesIO(content), file_type=kind[1:], process=False)
        return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except OSError as error:
        raise TemplateFileError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise TemplateFileError(f"{file} cannot be read as a mesh: {error!r}") from error


def _positions(text: str) -> str:
    lines = []
    for line in text.splitlines():
        key, *rest = line.split() or [""]
        if key == "v":
            lines.append(" ".join([key, *rest[:3]]))
        elif key == "f":
            lines.append(" ".join([key, *(corner.partition("/")[0] for corner in rest)]))
    return "\n".join(lines)


def read_landmarks(table: Path, vertices: FloatArray, mm: float) -> IntArray:
    """Vertices (43,) of the table's landmarks; -1 where it has none. `mm` is the table's unit.

    Raises `TemplateLandmarkError` and `EncodingError`.
    """
    if not table.is_file():
        raise TemplateLandmarkError(
            f"{table} is missing: a template needs a table of landmarks, lines of landmark,vertex "
            f"or landmark,x,y,z with names such as {', '.join(LANDMARKS[::9])}"
        )
    found = np.full(N_LANDMARKS, -1)
    tree = cKDTree(np.nan_to_num(vertices))
    with io.StringIO(texts.read(table), newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            where = f"{table}, line {number}"
            name = (row.get("landmark") or "").strip()
            if name.isdigit() and FIRST_OF_68 <= int(name) < FIRST_OF_68 + N_LANDMARKS:
                name = LANDMARKS[int(name) - FIRST_OF_68]
            if name not in LANDMARKS:
                raise TemplateLandmarkError(
                    f"{where}: unknown landmark {name!r}; there are {', '.join(LANDMARKS)}, or "
                    "dlib's numbers 17 to 59"
                )
            try:
                if row.get("vertex"):
                    distance, vertex = 0.0, int(row["vertex"])
                else:
                    point = mm * np.array([float(row[axis]) for axis in "xyz"])
                    distance, vertex = tree.query(point)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise TemplateLandmarkError(
                    f"{where}: neither a vertex nor x, y and z ({error})"
                ) from error
            if not distance < ON_SURFACE:
                raise TemplateLandmarkError(
                    f"{where}: {name} is {distance:.1f} mm from the nearest vertex; "
                    "is it in the mesh's frame and unit?"
                )
            if not 0 <= vertex < len(vertices):
                raise TemplateLandmarkError(
                    f"{where}: vertex {vertex} is outside 0..{len(vertices) - 1}"
                )
            found[LANDMARKS.index(name)] = vertex
    return found


def read_regions(path: Path, m: int) -> dict[str, FloatArray]:
    """Memberships (m,) of the groups {name: [vertices]} in a JSON file, 0 or 1.

    Raises `TemplateFileError`.
    """
    try:
        content = json.loads(texts.read(path))
        return {str(name): members(np.asarray(of, np.int64), m) for name, of in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise TemplateFileError(
            f"{path} must hold {{name: [vertices]}}, counted from 0 to {m - 1}: {error!r}"
        ) from error


def members(vertices: IntArray, m: int) -> FloatArray:
    """Membership (m,) of vertices (k,): 1 for these, else 0."""
    region = np.zeros(m)
    region[vertices] = 1.0
    return region
