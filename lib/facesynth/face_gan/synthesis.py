"""New faces: texture and geometry that belong together, from a released generator of both.

faces = facesynth.synthesize(8, seed=0)
faces[0].export("face.glb")
smiling = facesynth.synthesize(8, seed=0, expression="smile")
"""

import csv
import functools
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from facesynth import expressions, gan
from facesynth.dataset.training_set import EXPRESSIONS
from facesynth.evaluation import identity
from facesynth.evaluation.annotation import GROUPS, Label, annotator
from facesynth.face_gan.models import shrunk
from facesynth.face_gan.released_models import ReleasedModel, released
from facesynth.files.atomic import write_bytes, write_text
from facesynth.rendering import Camera, render
from facesynth.surface.mesh import vertex_normals
from facesynth.template import standard

HALVINGS = 2  # textures come in the generator's size, half and a quarter of it
BATCH = 8  # faces made at a time: more are not faster on a processor, and take memory
ROUGHNESS = 0.6  # of glTF's material: skin is neither a mirror nor chalk
MM = 1e-3  # metres, glTF's unit
VIEW = Camera(yaw=-20)


class SynthesisError(ValueError):
    """Faces that cannot be made."""


class CountError(SynthesisError):
    """A number of faces that is none."""


class UnknownSizeError(SynthesisError):
    """A size that textures do not come in."""


class UnknownExpressionError(SynthesisError):
    """An expression that faces do not make."""


class UnknownFormatError(SynthesisError):
    """A kind of file that faces are not written to."""


@dataclass(frozen=True)
class Face:
    """A face in the template's topology.

    vertices  (m, 3) mm, y up, z towards the viewer
    texture   (R, R, 3) sRGB, over the universal mapping's uv
    uv        (m, 2) in [0, 1]; the texture's row 0 is at v = 1
    """

    vertices: NDArray[np.float32]
    texture: NDArray[np.uint8]
    uv: NDArray[np.float64]

    @property
    def faces(self) -> NDArray[np.int64]:
        """(f, 3) triangles, counter-clockwise from outside: the same for all faces."""
        return standard().faces

    @functools.cached_property
    def labels(self) -> dict[str, Label]:
        """Gender, ancestry and age group of the nearest cluster of scans, and how sure that is.

        {"gender": ("female", 0.98), "ancestry": ..., "age": ...}, found when it is asked for, which
        takes a quarter of a second. See `annotation` for what the labels mean, and chapter 09 for
        how often they are right.
        """
        found = identity.embed([identity.chip(self.vertices, self.texture, self.uv)])
        return annotator().predict(found)[0]

    def picture(self, size: int = 512) -> NDArray[np.uint8]:
        """Render the face from the front, slightly turned: (size, size, 4) sRGB with alpha."""
        return render(self.vertices, self.faces, self.uv, self.texture, camera=VIEW, size=size)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the face, as the file's suffix says.

        .glb  with its texture inside, in metres, as glTF has it: for Blender, browsers, phones
        .obj  in mm, with its material (.mtl) and texture (-texture.png) beside it
        .png  a picture of it

        Raises `UnknownFormatError`, and `WriteError` where the file cannot be written: then
        nothing half-written is left.
        """
        file = Path(path)
        writers: dict[str, Callable[[Path], None]] = {
            ".glb": self._write_glb,
            ".obj": self._write_obj,
            ".png": self._write_picture,
        }
        if file.suffix.lower() not in writers:
            raise UnknownFormatError(
                f"{file}: faces are written as {', '.join(writers)}, not as {file.suffix!r}"
            )
        writers[file.suffix.lower()](file)

    def _mesh(self, scale: float, name: str) -> trimesh.Trimesh:
        material = trimesh.visual.material.PBRMaterial(
            name=name,
            baseColorTexture=Image.fromarray(self.texture),
            metallicFactor=0.0,
            roughnessFactor=ROUGHNESS,
        )
        looks = trimesh.visual.TextureVisuals(uv=self.uv, material=material)
        return trimesh.Trimesh(
            scale * self.vertices,
            self.faces,
            vertex_normals=vertex_normals(self.vertices, self.faces),
            visual=looks,
            process=False,
        )

    def _write_glb(self, file: Path) -> None:
        content = self._mesh(MM, file.stem).export(file_type="glb", include_normals=True)
        write_bytes(file, content)

    def _write_obj(self, file: Path) -> None:
        mesh = self._mesh(1.0, file.stem)
        mesh.visual.material = mesh.visual.material.to_simple()
        mesh.visual.material.name = f"{file.stem}-texture"  # and of its .png
        text, beside = trimesh.exchange.obj.export_obj(
            mesh, include_texture=True, return_texture=True, mtl_name=f"{file.stem}.mtl"
        )
        for name, content in beside.items():
            write_bytes(file.with_name(name), content)
        write_text(file, text)  # last: where it is there, all that it refers to is there

    def _write_picture(self, file: Path) -> None:
        content = io.BytesIO()
        Image.fromarray(self.picture()).save(content, "PNG")
        write_bytes(file, content.getvalue())


def synthesize(
    n: int,
    seed: int = 0,
    *,
    expression: str | None = None,
    resolution: int | None = None,
    truncation: float = 1.0,
    progress: bool = False,
) -> list[Face]:
    """Make n new faces with a released generator of textures and geometries together.

    seed        the same seed makes the same faces on one machine
    expression  one of `training_set.EXPRESSIONS`, "smile" say: a generator of faces at rest makes
                them, and what the expression adds to scanned faces in the mean is added to theirs
                (Section 9). The same seed makes the same people in each. By default, another
                generator makes faces with whatever expression comes
    resolution  pixels along the side of the textures: as many as the generator makes, by default,
                or half, or a quarter of them
    truncation  in (0, 1]: how far from the average face they may be; less is safer and more alike
    progress    whether to show a bar

    Raises `CountError`, `UnknownExpressionError`, `UnknownSizeError`, and `WeightsError` where the
    generator is missing or altered; `SynthesisError` for a truncation that is none.
    """
    if n < 1:
        raise CountError(f"{n} faces cannot be made: ask for 1 or more")
    if not 0 < truncation <= 1:
        raise SynthesisError(f"truncation must be in (0, 1], not {truncation}")
    if expression is not None and expression not in EXPRESSIONS:
        raise UnknownExpressionError(
            f"unknown expression {expression!r}; there are {', '.join(EXPRESSIONS)}"
        )
    model = released("faces" if expression is None else "neutral")
    added = 0 if expression is None else expressions.released()[expression]
    sizes = [model.config.resolution >> k for k in range(HALVINGS + 1)]
    resolution = sizes[0] if resolution is None else resolution
    if resolution not in sizes:
        raise UnknownSizeError(
            f"textures of {resolution} x {resolution} pixels are not made; "
            f"there are {', '.join(map(str, sizes))}"
        )
    latents = gan.latents(model.generator, n, seed)
    bar = tqdm(total=n, unit=" faces", desc="synthesizing", disable=not progress)
    made: list[Face] = []
    with bar:
        for some in latents.split(BATCH):
            images = gan.generate(model.generator, some, truncation)
            made += _faces(model, images, added, resolution)
            bar.update(len(some))
    return made


def write(
    folder: Path,
    n: int,
    seed: int = 0,
    *,
    expression: str | None = None,
    resolution: int | None = None,
    truncation: float = 1.0,
) -> list[str]:
    """Make faces as `synthesize` does, and write each as GLB, OBJ and picture; return their names.

    `labels-{seed}.csv` lists their labels, with confidences, in the order of the faces; where an
    expression is asked for, all names hold it. What is written is whole, and an error leaves what
    was written before it. Raises what `synthesize` does, before anything is written, and
    `WriteError`.
    """
    made = synthesize(
        n,
        seed,
        expression=expression,
        resolution=resolution,
        truncation=truncation,
        progress=True,
    )
    kind = f"{seed}" if expression is None else f"{seed}-{expression}"
    names = [f"face-{kind}-{k:04d}" for k in range(n)]
    for name, face in zip(tqdm(names, unit=" faces", desc="writing"), made, strict=True):
        face.export(folder / f"{name}.glb")
        face.export(folder / f"{name}.obj")
        face.export(folder / f"{name}.png")
    write_text(folder / f"labels-{kind}.csv", _table(names, made))
    return names


def _table(names: list[str], made: list[Face]) -> str:
    """The labels of faces as comma-separated values."""
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(["face", *(column for g in GROUPS for column in (g, f"{g} confidence"))])
    for name, face in zip(names, made, strict=True):
        told = [face.labels[group] for group in GROUPS]
        table.writerow([name, *(v for t in told for v in (t.name, f"{t.confidence:.3f}"))])
    return content.getvalue()


def _faces(
    model: ReleasedModel,
    images: NDArray[np.float32],
    added: NDArray[np.float32] | int,
    resolution: int,
) -> list[Face]:
    assert model.geometries is not None
    uv = model.geometries.mapping.uv
    textures = shrunk(model.textures(images), resolution)
    return [
        Face(v + added, texture, uv)
        for v, texture in zip(model.geometry(images), textures, strict=True)
    ]
