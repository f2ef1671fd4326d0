"""How much an alignment changes with what a scan's file leaves open: format, pose, size, texture.

One scan of the open population, and James' of people's where FACESYNTH_DATA names its folder, are
written in each format, turned, scaled and stripped, and aligned again. Printed is how far vertices
are from those of the scan as it came, on the template, in mm: the median and the 95th percentile.
"""

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from facesynth import population
from facesynth.dataset.aligned_scan import align, mapping
from facesynth.people import real_data
from facesynth.scans import Scan
from facesynth.virtual_scanner import scan

RESOLUTION = 256
TURNS = 5


def written(one: Scan, folder: Path) -> Iterator[tuple[str, Scan]]:
    """The scan from files of each format."""
    one.save(folder / "a.obj")
    yield "OBJ", Scan.load(folder / "a.obj")
    parts = []
    for k, image in enumerate(one.photographs):  # other formats have one image for each mesh
        mine = one.photograph == k
        corners = one.vertices[one.faces[mine]].reshape(-1, 3)
        visual = trimesh.visual.TextureVisuals(
            one.uv[mine].reshape(-1, 2),
            material=trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image)),
        )
        faces = np.arange(len(corners)).reshape(-1, 3)
        parts.append(trimesh.Trimesh(corners / 1000, faces, visual=visual, process=False))
    scene = trimesh.Scene(parts)
    scene.export(folder / "a.glb")
    yield "GLB, in m", Scan.load(folder / "a.glb")
    for name, content in scene.export(file_type="gltf").items():
        (folder / name).write_bytes(content)
    yield "glTF with its files", Scan.load(folder / "model.gltf")
    mesh = trimesh.Trimesh(one.vertices, one.faces, process=False)
    mesh.export(folder / "a.ply")
    yield "PLY, shape alone", Scan.load(folder / "a.ply")
    mesh.export(folder / "a.stl")
    yield "STL, shape alone", Scan.load(folder / "a.stl")


def changed(one: Scan) -> Iterator[tuple[str, Scan]]:
    """The scan with other numbers."""
    for k in range(TURNS):
        turn = Rotation.random(random_state=k).as_matrix()
        yield f"turned at random, {k + 1}", dataclasses.replace(one, vertices=one.vertices @ turn.T)
    metres = one.vertices / 1000
    yield "in an unknown unit, m", dataclasses.replace(one, vertices=metres, sized=False)
    inside_out = dataclasses.replace(one, faces=one.faces[:, ::-1], uv=one.uv[:, ::-1])
    yield "triangles inside out", inside_out


def main() -> None:
    """Print the tables."""
    people = population.sample(1, 5, resolution=512, whole=True, n_jobs=1, progress=False)
    assert people.textures is not None
    scans: dict[str, Scan] = {
        "a virtual scan": scan(people.geometry[0], people.textures[0], seed=1)
    }
    if os.environ.get("FACESYNTH_DATA"):
        scans["James"] = dataclasses.replace(Scan.load(real_data.james()), landmarks=None)
    to = mapping(RESOLUTION)
    for name, one in scans.items():
        print(f"{name}: {len(one.faces)} triangles")
        truth = align(one, to)["geometry"]
        with tempfile.TemporaryDirectory() as folder:
            variants = [*written(one, Path(folder)), *changed(one)]
        for what, other in variants:
            start = time.perf_counter()
            try:
                off = np.linalg.norm(align(other, to)["geometry"] - truth, axis=1)
            except ValueError as error:
                print(f"  {what:24s} {type(error).__name__}: {str(error)[:90]}")
                continue
            took = time.perf_counter() - start
            print(
                f"  {what:24s} {np.median(off):5.2f} {np.percentile(off, 95):5.2f} mm, {took:.1f} s"
            )


if __name__ == "__main__":
    main()
