"""A face: its texture, its geometry, the detail that is finer, and the files it is written to."""

import functools
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from facesynth.dataset import aligned_scan
from facesynth.dataset.canonical import fill
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation import identity
from facesynth.evaluation.annotation import Label, annotator
from facesynth.face_gan.detail import normal_map, subdivided
from facesynth.files.atomic import write_bytes, write_text
from facesynth.mapping.image_mapping import check_displacement
from facesynth.rendering import Camera, render
from facesynth.rendering.gloss import gloss
from facesynth.scans.wavefront import plain_name
from facesynth.surface.mesh import vertex_normals
from facesynth.template import Template, standard

ROUGHNESS = 0.6  # of glTF's material: skin is neither a mirror nor chalk
MM = 1e-3  # metres, glTF's unit
VIEW = Camera(yaw=-20)
MOST_ROUNDS = 4  # of subdivision: each quadruples the triangles, and textures hold no more detail


class FaceError(ValueError):
    """A face that cannot be written in this way."""


class UnknownFormatError(FaceError):
    """Unsupported file format."""


@dataclass(frozen=True)
class Face:
    """A face in a template's topology.

    vertices  (m, 3) mm, y up, z towards the viewer
    texture   (R, R, 3) sRGB, over the universal mapping's uv
    uv        (m, 2) in [0, 1]; the texture's row 0 is at v = 1
    template  by default the project's own
    displacement  (R, R) mm from the triangles outwards to the skin, where it is known: a scan's,
              as `Dataset.displacement` has it; elsewhere 0. Raises `MeshArrayError` for another
              resolution than the texture's, and numbers that are not finite
    """

    vertices: NDArray[np.float32]
    texture: NDArray[np.uint8]
    uv: NDArray[np.float64]
    template: Template = field(default_factory=standard, repr=False)
    displacement: NDArray[np.floating] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.displacement is not None:
            check_displacement(self.displacement, len(self.texture))

    @property
    def faces(self) -> NDArray[np.int64]:
        """(f, 3) triangles, counter-clockwise from outside: the same for all faces."""
        return self.template.faces

    @functools.cached_property
    def labels(self) -> dict[str, Label]:
        """Gender, ancestry and age group of the nearest cluster of scans, and how sure that is.

        {"gender": ("female", 0.98), "ancestry": ..., "age": ...}, found when it is asked for, which
        takes a quarter of a second. The scans are the book's open population. See `annotation` for
        what the labels mean, and chapter 09 for how often they are right.
        """
        chip = identity.chip(self.vertices, self.texture, self.uv, self.template)
        found = identity.embed([chip])
        return annotator().predict(found)[0]

    def picture(self, size: int = 512) -> NDArray[np.uint8]:
        """Render the face from the front, slightly turned: (size, size, 4) sRGB with alpha."""
        return render(
            self.vertices,
            self.faces,
            self.uv,
            self.texture,
            relief=self.displacement,
            gloss=gloss(self.template),
            camera=VIEW,
            size=size,
        )

    def export(self, path: str | os.PathLike[str], displaced: int | None = None) -> None:
        """Write the face, as the file's suffix says.

        .glb  with its texture inside, in metres, as glTF has it: for Blender, browsers, phones.
              A displacement is written as a normal map
        .obj  in mm, with its material (.mtl) and texture (-texture.png) beside it
        .png  a picture of it

        displaced  0 to 4, the displacement moves the mesh's vertices (.glb, .obj) after so many
                   rounds of subdivision, each of which quadruples the triangles

        Raises `UnknownFormatError`; `FaceError` for a face without displacement that is to be
        displaced, or too many rounds; and `WriteError` where the file cannot be written: then
        nothing half-written is left.
        """
        file = Path(path)
        writers: dict[str, Callable[[Path, int | None], None]] = {
            ".glb": self._write_glb,
            ".obj": self._write_obj,
            ".png": self._write_picture,
        }
        if file.suffix.lower() not in writers:
            raise UnknownFormatError(
                f"{file}: faces are written as {', '.join(writers)}, not as {file.suffix!r}"
            )
        if displaced is not None and self.displacement is None:
            raise FaceError(f"{file}: this face has no displacement: no scan was measured for it")
        if displaced is not None and not 0 <= displaced <= MOST_ROUNDS:
            raise FaceError(f"rounds of subdivision must be 0 to {MOST_ROUNDS}, not {displaced}")
        writers[file.suffix.lower()](file, displaced)

    def _mesh(self, scale: float, name: str, displaced: int | None) -> trimesh.Trimesh:
        vertices, faces, uv = np.asarray(self.vertices, np.float64), self.faces, self.uv
        if self.displacement is not None and displaced is not None:
            vertices, faces, uv = subdivided(vertices, faces, uv, self.displacement, displaced)
        material = trimesh.visual.material.PBRMaterial(
            name=name,
            baseColorTexture=Image.fromarray(self.texture),
            metallicFactor=0.0,
            roughnessFactor=ROUGHNESS,
        )
        return trimesh.Trimesh(
            scale * vertices,
            faces,
            vertex_normals=vertex_normals(vertices, faces),
            visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
            process=False,
        )

    def _write_glb(self, file: Path, displaced: int | None) -> None:
        mesh = self._mesh(MM, file.stem, displaced)
        if self.displacement is not None and displaced is None:
            bent, tangents = normal_map(self.vertices, self.faces, self.uv, self.displacement)
            mesh.visual.material.normalTexture = Image.fromarray(bent)
            mesh.vertex_attributes["_TANGENT"] = tangents
        content = mesh.export(
            file_type="glb", include_normals=True, tree_postprocessor=_name_tangents
        )
        write_bytes(file, content)

    def _write_obj(self, file: Path, displaced: int | None) -> None:
        mesh = self._mesh(1.0, file.stem, displaced)
        mesh.visual.material = mesh.visual.material.to_simple()
        name = plain_name(file.stem)
        mesh.visual.material.name = f"{name}-texture"  # and of its .png
        text, beside = trimesh.exchange.obj.export_obj(
            mesh, include_texture=True, return_texture=True, mtl_name=f"{name}.mtl"
        )
        for image, content in beside.items():
            write_bytes(file.with_name(image), content)
        write_text(file, text)  # last: where it is there, all that it refers to is there

    def _write_picture(self, file: Path, _: int | None) -> None:
        content = io.BytesIO()
        Image.fromarray(self.picture()).save(content, "PNG")
        write_bytes(file, content.getvalue())


def scanned(scans: Dataset) -> list[Face]:
    """The faces of a data set's scans, with their displacement where it was kept.

    Where a scan shows nothing, texture and displacement are filled from around.
    """
    mapping = aligned_scan.mapping(scans.resolution, scans.template)
    detail: list[NDArray[np.floating] | None] = [None] * len(scans)
    if scans.has_displacement:
        measured = zip(scans.displacement, scans.valid, strict=True)
        detail = [fill(image[..., None], valid)[..., 0] for image, valid in measured]
    return [
        Face(vertices, texture, mapping.uv, scans.template, displacement)
        for vertices, texture, displacement in zip(
            scans.geometry, scans.textures, detail, strict=True
        )
    ]


def _name_tangents(tree: dict[str, Any]) -> None:
    """Give tangents glTF's own name: trimesh writes attributes of ours with an underscore only."""
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            if "_TANGENT" in primitive["attributes"]:
                primitive["attributes"]["TANGENT"] = primitive["attributes"].pop("_TANGENT")
