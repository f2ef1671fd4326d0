"""Faces with detail finer than their vertices, as other programs read them."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from disks import symmetric_disk
from PIL import Image

from facesynth.command import main
from facesynth.dataset.dataset import Dataset
from facesynth.face_gan.detail import subdivided
from facesynth.face_gan.face import Face, FaceError, scanned
from facesynth.mapping import UniversalMapping
from facesynth.mapping.image_mapping import ImageMapping, bilinear, rasterize
from facesynth.rendering.light import unit
from facesynth.surface.mesh import MeshArrayError, vertex_normals
from facesynth.template import standard

R = 128


def waves(size):
    """Detail (R, R) mm: long waves along u, shorter ones along v."""
    at = (np.arange(size) + 0.5) / size
    return 1.5 * np.sin(14 * at)[None] + 1.0 * np.cos(25 * at)[:, None]


@pytest.fixture(scope="module")
def face():
    """The template's face, with waves in its skin."""
    texture = np.full((R, R, 3), 150, np.uint8)
    uv = UniversalMapping(standard(), R).uv
    return Face(standard().vertices.astype(np.float32), texture, uv, displacement=waves(R))


def dome(rings):
    """A dome that is smooth in any view: what its triangles' corners cut off is known."""
    disk = symmetric_disk(rings, 4 * rings)
    x, y = disk.vertices[:, :2].T
    uv = (
        disk.vertices[:, :2] * [1, 1 / 1.2] / 100 + 1
    ) / 2  # rotations of the square: not mirrored
    return np.column_stack([x, y, -(x**2 + y**2) / 200]), disk.faces, uv


def content(path):
    """A GLB's description, and what a number of its accessors or images holds."""
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    tree = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]

    def view(number):
        at = tree["bufferViews"][number]
        start = at.get("byteOffset", 0)
        return binary[start : start + at["byteLength"]]

    def array(number, columns):
        accessor = tree["accessors"][number]
        assert accessor["componentType"] == 5126
        assert accessor["type"] == f"VEC{columns}"
        start = accessor.get("byteOffset", 0)
        values = np.frombuffer(view(accessor["bufferView"])[start:], "<f4")
        return values[: accessor["count"] * columns].reshape(-1, columns)

    return tree, view, array


def test_a_glb_s_normal_map_is_the_displaced_surface_s(tmp_path):
    """Read as the glTF 2.0 specification says (3.9.3 and 3.7.2.1), with nothing of ours."""
    vertices, faces, uv = dome(40)
    template = SimpleNamespace(faces=faces)  # what `Face` reads of one
    texture = np.zeros((R, R, 3), np.uint8)
    Face(vertices, texture, uv, template, displacement=waves(R)).export(tmp_path / "face.glb")

    tree, view, array = content(tmp_path / "face.glb")
    (primitive,) = tree["meshes"][0]["primitives"]
    names = primitive["attributes"]
    normal, tangent = array(names["NORMAL"], 3), array(names["TANGENT"], 4)
    at = array(names["TEXCOORD_0"], 2)  # from the upper left corner
    assert set(tangent[:, 3]) == {1.0}
    np.testing.assert_allclose(np.linalg.norm(tangent[:, :3], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((tangent[:, :3] * normal).sum(axis=1), 0, atol=1e-5)
    material = tree["materials"][0]["normalTexture"]
    source = tree["images"][tree["textures"][material["index"]]["source"]]
    image = np.asarray(Image.open(io.BytesIO(view(source["bufferView"]))).convert("RGB"))
    assert image.shape == (R, R, 3)
    told = image / 127.5 - 1

    here = np.random.default_rng(0).choice(len(at), 400)
    here = here[np.abs(at[here] - 0.5).max(axis=1) < 0.3]
    column, row = (at[here] * R - 0.5).T
    low = np.floor([row, column]).astype(int)
    y, x = (np.stack([row, column]) - low)[..., None]
    seen = (told[low[0], low[1]] * (1 - x) + told[low[0], low[1] + 1] * x) * (1 - y) + (
        told[low[0] + 1, low[1]] * (1 - x) + told[low[0] + 1, low[1] + 1] * x
    ) * y
    n, t = normal[here], tangent[here, :3]
    shaded = unit(seen[:, :1] * t + seen[:, 1:2] * np.cross(n, t) + seen[:, 2:] * n)

    def surface(u, v):
        """The dome, displaced, at places of the image."""
        x, y = (2 * u - 1) * 100, (2 * v - 1) * 120
        point = np.stack([x, y, -(x**2 + y**2) / 200], axis=-1)
        out = unit(np.stack([x / 100, y / 100, np.ones_like(x)], axis=-1))
        h = 1.5 * np.sin(14 * u) + 1.0 * np.cos(25 * (1 - v))
        return point + h[..., None] * out

    u, v, step = at[here, 0], 1 - at[here, 1], 1e-4
    true = unit(
        np.cross(
            surface(u + step, v) - surface(u - step, v), surface(u, v + step) - surface(u, v - step)
        )
    )
    off = np.degrees(np.arccos(np.clip((shaded * true).sum(axis=1), -1, 1)))
    bent = np.degrees(np.arccos(np.clip((n * true).sum(axis=1), -1, 1)))
    assert np.median(bent) > 3
    assert np.median(off) < 0.3  # degrees
    assert np.percentile(off, 95) < 0.6


def test_without_detail_the_normals_are_not_bent(face, tmp_path):
    smooth = Face(face.vertices, face.texture, face.uv, displacement=np.zeros((R, R)))
    smooth.export(tmp_path / "smooth.glb")
    tree, view, _ = content(tmp_path / "smooth.glb")
    number = tree["textures"][tree["materials"][0]["normalTexture"]["index"]]["source"]
    image = Image.open(io.BytesIO(view(tree["images"][number]["bufferView"])))
    assert set(image.convert("RGB").getdata()) == {(128, 128, 255)}
    Face(face.vertices, face.texture, face.uv).export(tmp_path / "plain.glb")
    tree, _, _ = content(tmp_path / "plain.glb")
    assert "normalTexture" not in tree["materials"][0]
    assert "TANGENT" not in tree["meshes"][0]["primitives"][0]["attributes"]


def test_a_subdivided_mesh_lies_on_the_displaced_surface(face, tmp_path):
    face.export(tmp_path / "face.glb", displaced=1)
    (mesh,) = trimesh.load_scene(tmp_path / "face.glb").geometry.values()
    assert len(mesh.faces) == 4 * len(face.faces)
    assert mesh.visual.material.normalTexture is None
    # each vertex from its place in the image alone
    mapping = ImageMapping(face.uv, face.faces, *rasterize(face.uv, face.faces, R))
    points, _ = mapping.surface(face.vertices, face.displacement)
    here = bilinear(mesh.visual.uv, R) @ points.reshape(-1, 3)
    apart = np.linalg.norm(1000 * mesh.vertices - here, axis=1)
    assert np.median(apart) < 0.1  # mm, of 1.5 to a pixel
    still = bilinear(mesh.visual.uv, R) @ mapping.surface(face.vertices)[0].reshape(-1, 3)
    assert np.median(np.linalg.norm(1000 * mesh.vertices - still, axis=1)) > 0.8


def test_subdivision_halves_edges_and_moves_along_the_normals():
    vertices, faces, uv = dome(6)
    still, fine, at = subdivided(vertices, faces, uv, np.zeros((R, R)), 2)
    moved, _, _ = subdivided(vertices, faces, uv, np.full((R, R), 0.5), 2)
    assert len(fine) == 16 * len(faces)
    np.testing.assert_array_equal(still[: len(vertices)], vertices)
    np.testing.assert_allclose(np.linalg.norm(moved - still, axis=1), 0.5)
    np.testing.assert_allclose(
        moved[: len(vertices)] - vertices, 0.5 * vertex_normals(vertices, faces), atol=1e-9
    )
    np.testing.assert_allclose(still[:, :2], (2 * at - 1) * [100, 120], atol=1e-9)
    unmoved, same, _ = subdivided(vertices, faces, uv, np.zeros((R, R)), 0)
    np.testing.assert_array_equal(unmoved, vertices)
    np.testing.assert_array_equal(same, faces)


def test_a_picture_shows_the_detail(face):
    smooth = Face(face.vertices, face.texture, face.uv).picture(128).astype(int)
    assert np.abs(face.picture(128)[..., :3] - smooth[..., :3]).mean() > 1


@pytest.mark.parametrize(
    ("displacement", "message"),
    [
        (np.zeros((R // 2, R // 2)), rf"expected {R} x {R} pixels, as the texture has"),
        (np.zeros(R), rf"expected {R} x {R} pixels"),
        (np.full((R, R), np.nan), "NaN or infinite"),
        (np.full((R, R), np.inf), "NaN or infinite"),
    ],
)
def test_a_displacement_that_cannot_be_is_refused(face, displacement, message):
    with pytest.raises(MeshArrayError, match=message):
        Face(face.vertices, face.texture, face.uv, displacement=displacement)


def test_what_cannot_be_displaced_is_told(face, tmp_path):
    with pytest.raises(FaceError, match="has no displacement"):
        Face(face.vertices, face.texture, face.uv).export(tmp_path / "face.glb", displaced=1)
    for rounds in (-1, 5):
        with pytest.raises(FaceError, match=f"must be 0 to 4, not {rounds}"):
            face.export(tmp_path / "face.glb", displaced=rounds)
    assert not list(tmp_path.iterdir())


def test_scans_of_a_data_set_are_faces(face):
    valid = np.ones((2, R, R), bool)
    valid[1, 40:60, 40:60] = False
    detail = np.where(valid, 0.25, 0)
    geometry, textures = np.stack([face.vertices] * 2), np.stack([face.texture] * 2)
    faces = scanned(Dataset.of(geometry, textures, valid, displacement=detail))
    np.testing.assert_allclose(faces[1].displacement, 0.25, atol=1e-6)  # the hole is filled
    np.testing.assert_array_equal(faces[1].vertices, face.vertices)
    np.testing.assert_array_equal(faces[0].uv, face.uv)
    assert scanned(Dataset.of(geometry, textures))[0].displacement is None


def test_the_command_names_scans_that_are_not_there(tmp_path, capsys):
    (tmp_path / "bad.obj").write_text("")
    out = tmp_path / "data"
    assert main(["dataset", str(tmp_path), "--out", str(out), "--jobs", "1"]) == 1
    assert main(["export", str(out), "ada", "--out", str(tmp_path / "faces")]) == 1
    assert "has no scans ['ada']" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()
