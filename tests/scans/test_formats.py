"""Scans as other programs write them: each kind that people report, with its right value."""

import base64
import io
import json
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from facesynth.scans import Scan, ScanError, ScanFileError, ScanTextureError
from facesynth.scans.images import ENOUGH
from facesynth.scans.images import read as read_image

SQUARE = "v 0 0 0\nv 100 0 0\nv 100 100 0\nv 0 100 9\n"
PLACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
RED, BLUE = (200, 10, 20), (10, 20, 200)


def write(folder, obj, mtl=None, **images):
    """An OBJ file, its MTL file, and images of one colour."""
    for name, colour in ({"a.png": RED} | dict(images.items())).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), colour).save(folder / name)
    if mtl is not None:
        (folder / "a.mtl").write_bytes(mtl if isinstance(mtl, bytes) else mtl.encode())
    (folder / "a.obj").write_bytes(obj if isinstance(obj, bytes) else obj.encode())
    return folder / "a.obj"


def colours_of(scan):
    """The colour of each triangle; None without a photograph."""
    return [
        None if k < 0 else tuple(int(c) for c in scan.photographs[k][0, 0]) for k in scan.photograph
    ]


# OBJ


def test_negative_indices_count_back_from_where_they_stand(tmp_path):
    two = SQUARE + PLACES + "f -4/-4 -3/-3 -2/-2\n" + SQUARE.replace("v ", "v 1") + PLACES
    scan = Scan.load(write(tmp_path, two + "f -4/-4 -3/-3 -2/-2\nf 1/1 2/2 3/3\n"))
    assert scan.faces.tolist() == [[0, 1, 2], [4, 5, 6], [0, 1, 2]]
    with pytest.raises(ScanFileError, match=r"line 9: vertex .*-5.* of 4"):
        Scan.load(write(tmp_path, SQUARE + PLACES + "f -5/-4 -3/-3 -2/-2\n" + SQUARE))


@pytest.mark.parametrize("comment", ["# C:\\scans\\", "#\\", "# two \\ # \\"])
def test_a_comment_does_not_go_on_in_the_next_line(tmp_path, comment):
    scan = Scan.load(write(tmp_path, f"{comment}\n{SQUARE}{PLACES}f 1/1 2/2 3/3 {comment}\n"))
    assert scan.vertices.shape == (4, 3)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_marks_of_byte_order(tmp_path, mark):
    obj = mark + ("mtllib a.mtl\n" + SQUARE + PLACES + "usemtl m\nf 1/1 2/2 3/3\n").encode()
    path = write(tmp_path, obj, mark + b"newmtl m\nmap_Kd b.png\n", **{"b.png": BLUE})
    assert colours_of(Scan.load(path)) == [BLUE]
    text = obj.decode("utf-8-sig")
    path.write_text(text, encoding="utf-16")
    assert colours_of(Scan.load(path)) == [BLUE]


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd tex\\b.png",
        "map_Kd C:\\Users\\ada\\scans\\b.png",
        'map_Kd "b.png"',
        "map_Kd 'tex/b.png'",
        "map_kd B.PNG",
        "MAP_KD b.png",
        "map_Kd -clamp on -s 1 1 1 -o 0 0 0 b.png",
        "map_Kd -blendu on -mm 0 1 b.png",
        "map_Kd /home/ada/scans/b.png",
        "map_Kd b.png # of Ada",
        "\tmap_Kd\tb.png",
    ],
)
def test_names_of_images(tmp_path, line):
    path = write(tmp_path, "mtllib a.mtl\n" + SQUARE + PLACES + "usemtl m\nf 1/1 2/2 3/3\n",
                 f"newmtl m\nKd 1 1 1\n{line}\n", **{"b.png": BLUE, "tex/b.png": BLUE})  # fmt: skip
    assert colours_of(Scan.load(path)) == [BLUE]


@pytest.mark.parametrize("name", ["b #1.png", "b#.png", "b c.png", "Zoë.png", "-b.png"])
def test_unusual_names_of_images(tmp_path, name):
    obj = "mtllib a.mtl\n" + SQUARE + PLACES + "usemtl m\nf 1/1 2/2 3/3\n"
    path = write(tmp_path, obj, f"newmtl m\nmap_Kd {name}\n", **{name: BLUE})
    assert colours_of(Scan.load(path)) == [BLUE]
    path = write(tmp_path, obj, f"newmtl m\nmap_Kd {name}\n".encode("latin-1"), **{name: BLUE})
    assert colours_of(Scan.load(path)) == [BLUE]


def test_a_moved_image_is_refused(tmp_path):
    path = write(tmp_path, "mtllib a.mtl\n" + SQUARE + PLACES + "usemtl m\nf 1/1 2/2 3/3\n",
                 "newmtl m\nmap_Kd -s 2 2 1 a.png\n")  # fmt: skip
    with pytest.raises(ScanTextureError, match=r"a\.mtl, line 2: .*scaled by -s 2 2 1"):
        Scan.load(path)


@pytest.mark.parametrize(
    "library", ["a.mtl b.mtl", "b.mtl a.mtl", '"a.mtl" "b.mtl"', "A.MTL b.mtl"]
)
def test_several_libraries_on_a_line(tmp_path, library):
    (tmp_path / "b.mtl").write_text("newmtl n\nmap_Kd b.png\n")
    obj = f"mtllib {library}\n{SQUARE}{PLACES}usemtl m\nf 1/1 2/2 3/3\nusemtl n\nf 1/1 3/3 4/4\n"
    path = write(tmp_path, obj, "newmtl m\nmap_Kd a.png\n", **{"b.png": BLUE})
    assert colours_of(Scan.load(path)) == [RED, BLUE]


@pytest.mark.parametrize("use", ["", "usemtl\n", "usemtl M\n", "usemtl m # skin\n", 'usemtl "m"\n'])
def test_the_only_material_however_it_is_named(tmp_path, use):
    obj = f"mtllib a.mtl\n{SQUARE}{PLACES}{use}f 1/1 2/2 3/3\n"
    path = write(tmp_path, obj, "newmtl m\nmap_Kd b.png\n", **{"b.png": BLUE})
    assert colours_of(Scan.load(path)) == [BLUE]


def test_parts_without_a_texture(tmp_path):
    """A material of one colour, a triangle without coordinates, one across the image's border."""
    obj = (
        f"mtllib a.mtl\n{SQUARE}{PLACES}vt 1.01 0.5\nvt 1.5 0.5\nvt 1.25 0.75\nvt 1.9 0.1\n"
        "usemtl m\nf 1/1 2/2 3/3\nf 1 2 3\nf 1/1 2/2 3/5\nf 1/1 2/2 3/6\nf 1/6 2/7 3/8\n"
        "usemtl grey\nf 1/1 3/3 4/4\n"
    )
    path = write(tmp_path, obj, "newmtl m\nmap_Kd a.png\nnewmtl grey\nKd .5 .5 .5\n")
    scan = Scan.load(path)
    assert colours_of(scan) == [RED, None, RED, None, RED, None]
    np.testing.assert_allclose(scan.uv[2, 2], [1, 0.5])
    np.testing.assert_allclose(scan.uv[4], [[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]])
    assert (scan.uv[[1, 3, 5]] == 0).all()


def test_coordinates_in_pixels_are_refused(tmp_path):
    obj = SQUARE + PLACES.replace("1", "512") + "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    with pytest.raises(ScanTextureError, match=r"2 of 2 triangles .* in pixels"):
        Scan.load(write(tmp_path, obj))


def test_geometry_alone(tmp_path):
    path = write(tmp_path, SQUARE + "f 1 2 3 4\n")
    scan = Scan.load(path)
    assert not scan.has_texture
    assert scan.photographs == ()
    assert len(scan.faces) == 2
    path = write(tmp_path, "mtllib gone.mtl\n" + SQUARE + PLACES + "usemtl m\nf 1/1 2/2 3/3\n")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ScanTextureError, match="the geometry alone"):
        Scan.load(path)
    assert not Scan.load(path, texture=False).has_texture


@pytest.mark.parametrize("largest", [1, 255])
def test_colours_of_vertices(tmp_path, largest):
    rows = [f"v {x} {y} 0 {largest * k / 5} 0 {largest}\n"
            for k, (x, y) in enumerate([(0, 0), (99, 0), (0, 99)])]  # fmt: skip
    scan = Scan.load(write(tmp_path, "".join(rows) + "f 1 2 3\n"))
    assert scan.has_texture
    assert scan.colours.tolist() == [[0, 0, 255], [51, 0, 255], [102, 0, 255]]
    scan.save(tmp_path / "again.obj")
    np.testing.assert_array_equal(Scan.load(tmp_path / "again.obj").colours, scan.colours)
    one = "".join(r.replace(rows[0].split()[4], "0") for r in rows[:1]) + SQUARE
    assert Scan.load(write(tmp_path, one + "f 1 2 3\n")).colours is None  # of some vertices


@given(
    stem=st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]),
        min_size=1,
        max_size=60,
    ),
    textured=st.integers(0, 2),
    coloured=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_and_array_comes_back(tmp_path, stem, textured, coloured, seed):
    rng = np.random.default_rng(seed)
    n, f = int(rng.integers(3, 9)), int(rng.integers(1, 12))
    vertices = rng.uniform(-80, 80, (n, 3))
    vertices[:2, 0] = -60, 60
    faces = rng.integers(0, n, (f, 3))
    faces[0] = 0, 1, 2
    photograph = rng.integers(-1, textured, f)
    photograph[:textured] = np.arange(textured)[:f]
    photographs = tuple(
        rng.integers(0, 256, (*rng.integers(1, 5, 2), 3), dtype=np.uint8)
        for _ in range(photograph.max() + 1)
    )
    uv = np.where(photograph[:, None, None] < 0, 0, rng.uniform(size=(f, 3, 2)))
    colours = rng.integers(0, 256, (n, 3), dtype=np.uint8) if coloured else None
    if colours is not None:
        colours[0], colours[1] = 0, 255
    scan = Scan(vertices, faces, uv, photograph, photographs, colours=colours)
    path = tmp_path / f"{stem}.obj"
    scan.save(path)
    back = Scan.load(path)
    for name in ("vertices", "faces", "uv", "photograph", "colours"):
        np.testing.assert_array_equal(getattr(back, name), getattr(scan, name), err_msg=name)
    for a, b in zip(scan.photographs, back.photographs, strict=True):
        np.testing.assert_array_equal(a, b)


# Images


def test_sixteen_bits_of_grey(tmp_path):
    values = np.linspace(0, 65535, 16).reshape(4, 4).astype(np.uint16)
    for kind in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{kind}")
        grey = read_image(tmp_path / f"a.{kind}")
        np.testing.assert_array_equal(grey[..., 0], np.rint(values / 257))
        assert grey.shape == (4, 4, 3)


@pytest.mark.parametrize(("dtype", "word"), [(np.float32, "floating"), (np.int32, "32-bit")])
def test_pixels_without_a_white_are_refused(tmp_path, dtype, word):
    Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ScanTextureError, match=f"{word}.*8 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_other_modes(tmp_path, mode):
    image = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    image.save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif") == 255).all()


def test_very_large_images_are_read_smaller(tmp_path):
    Image.new("L", (2 * ENOUGH, 4), 77).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (2, ENOUGH, 3)
    assert (read_image(tmp_path / "a.png") == 77).all()


# PLY and STL


def test_stl(tmp_path):
    mesh = trimesh.creation.icosphere(2, 90)
    mesh.export(tmp_path / "a.stl")
    scan = Scan.load(tmp_path / "a.stl")
    assert not scan.has_texture
    np.testing.assert_allclose(scan.vertices[scan.faces], mesh.triangles, atol=1e-4)


def test_ply_with_colours_of_vertices(tmp_path):
    mesh = trimesh.creation.icosphere(1, 90)
    colours = np.random.default_rng(0).integers(0, 256, (len(mesh.vertices), 4), dtype=np.uint8)
    trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colours).export(tmp_path / "a.ply")
    scan = Scan.load(tmp_path / "a.ply")
    assert scan.has_texture
    assert scan.photographs == ()
    np.testing.assert_array_equal(scan.colours[scan.faces], colours[mesh.faces][..., :3])
    colours[:] = 255
    trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colours).export(tmp_path / "b.ply")
    assert not Scan.load(tmp_path / "b.ply").has_texture  # one colour is none


# glTF

CORNERS = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], "<f4")
UV = np.array([[0.25, 0.5], [0.75, 0.5], [0.25, 1.0]])  # v down, as glTF has it


def png(colour):
    content = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(content, "PNG")
    return content.getvalue()


def gltf(
    uv=UV,
    dtype="<f4",
    largest=1,
    second=None,
    texture=None,
    materials=None,
    images=(RED, BLUE),
    colours=None,
    **more,
):
    """The header and the buffer of a file with one triangle."""
    views, accessors, buffer = [], [], b""

    def add(content, **accessor):
        nonlocal buffer
        buffer += b"\0" * (-len(buffer) % 4)
        views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": len(content)})
        buffer += content
        if accessor:
            accessors.append({"bufferView": len(views) - 1, **accessor})
        return len(views) - 1

    kinds = {"<f4": 5126, "u1": 5121, "<u2": 5123}
    add(CORNERS.tobytes(), componentType=5126, count=3, type="VEC3",
        min=CORNERS.min(0).tolist(), max=CORNERS.max(0).tolist())  # fmt: skip
    attributes = {"POSITION": 0}
    for k, values in enumerate((uv, second)):
        if values is not None:
            scaled = np.rint(values * largest) if largest > 1 else values
            scaled = scaled.astype(dtype)
            if dtype == "u1":  # rows of four bytes
                scaled = np.pad(scaled, ((0, 0), (0, 2)))
            add(scaled.tobytes(), componentType=kinds[dtype], count=3, type="VEC2",
                **({"normalized": True} if largest > 1 else {}))  # fmt: skip
            if dtype == "u1":
                views[-1]["byteStride"] = 4
            attributes[f"TEXCOORD_{k}"] = len(accessors) - 1
    if colours is not None:
        whole = colours.dtype == np.uint8
        add(colours.tobytes(), componentType=5121 if whole else 5126, count=3,
            type=f"VEC{colours.shape[1]}", normalized=bool(whole))  # fmt: skip
        attributes["COLOR_0"] = len(accessors) - 1
    pictures = [{"bufferView": add(png(c)), "mimeType": "image/png"} for c in images]
    header = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "material": 0}]}],
        "materials": materials
        or [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0} | (texture or {})}}],
        "textures": [{"source": k} for k in range(len(images))],
        "images": pictures,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(buffer)}],
    }
    return header | more, buffer


def glb(path, header, buffer):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    buffer += b"\0" * (-len(buffer) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(buffer), 0x004E4942) + buffer
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
    return path


def up(uv):
    return np.column_stack([uv[:, 0], 1 - uv[:, 1]])


@pytest.mark.parametrize(("dtype", "largest"), [("<f4", 1), ("u1", 255), ("<u2", 65535)])
def test_coordinates_in_whole_numbers(tmp_path, dtype, largest):
    scan = Scan.load(glb(tmp_path / "a.glb", *gltf(dtype=dtype, largest=largest)))
    np.testing.assert_allclose(scan.uv[0], up(UV), atol=0.6 / 255)
    np.testing.assert_allclose(scan.vertices[scan.faces][0], 1000 * CORNERS, atol=1e-3)
    assert colours_of(scan) == [RED]


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_coordinates_that_are_no_numbers(tmp_path, value):
    header, buffer = gltf(uv=np.where(np.eye(3, 2) > 0, value, UV))
    with pytest.raises(ScanTextureError, match=r"finite numbers|in pixels"):
        Scan.load(glb(tmp_path / "a.glb", header, buffer))


@pytest.mark.parametrize("largest", [1, 255])
def test_colours_of_vertices_in_gltf(tmp_path, largest):
    """They are linear: half of the light is sRGB 188."""
    colours = np.array([[1, 0, 0, 1], [0, 0.5, 0, 1], [0, 0, 1, 1]]) * largest
    colours = colours.astype(np.float32 if largest == 1 else np.uint8)
    scan = Scan.load(glb(tmp_path / "a.glb", *gltf(uv=None, colours=colours)))
    np.testing.assert_allclose(scan.colours[scan.faces][0], np.diag([255, 188, 255]), atol=1)
    assert scan.has_texture


def test_colours_that_are_no_numbers(tmp_path):
    colours = np.eye(3, dtype=np.float32)
    colours[1, 0] = np.nan
    with pytest.raises(ScanTextureError, match="colours of vertices that are no finite"):
        Scan.load(glb(tmp_path / "a.glb", *gltf(uv=None, colours=colours)))


def test_the_second_set_of_coordinates(tmp_path):
    other = UV[:, ::-1] * 0.5
    for texture in (
        {"texCoord": 1},
        {"extensions": {"KHR_texture_transform": {"texCoord": 1}}},
        {"texCoord": 0, "extensions": {"KHR_texture_transform": {"texCoord": 1}}},
    ):
        header, buffer = gltf(second=other, texture=texture)
        scan = Scan.load(glb(tmp_path / "a.glb", header, buffer))
        np.testing.assert_allclose(scan.uv[0], up(other), atol=1e-6)


def test_moved_textures(tmp_path):
    """As in the standard's text: scale, then turn counter-clockwise, then offset."""
    moved = {"scale": [0.5, 0.25], "rotation": np.pi / 2, "offset": [0.1, 0.9]}
    header, buffer = gltf(texture={"extensions": {"KHR_texture_transform": moved}})
    scan = Scan.load(glb(tmp_path / "a.glb", header, buffer))
    u, v = (UV * [0.5, 0.25]).T
    np.testing.assert_allclose(scan.uv[0], up(np.column_stack([v + 0.1, -u + 0.9])), atol=1e-6)


def test_parts_share_an_image_and_others_have_none(tmp_path, monkeypatch):
    header, buffer = gltf(materials=[
        {"pbrMetallicRoughness": {"baseColorTexture": {"index": 1}}},
        {"emissiveTexture": {"index": 1}},
        {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}},
    ])  # fmt: skip
    (only,) = header["meshes"][0]["primitives"]
    header["meshes"][0]["primitives"] = [
        only | {"material": 0}, only | {"material": 1}, only | {"material": 2},
        {"attributes": {"POSITION": 0}},
    ]  # fmt: skip
    read, count = Image.open, []
    monkeypatch.setattr(Image, "open", lambda *a, **k: count.append(1) or read(*a, **k))
    scan = Scan.load(glb(tmp_path / "a.glb", header, buffer))
    assert colours_of(scan) == [BLUE, BLUE, None, None]
    assert len(count) == len(scan.photographs) == 1


def test_gltf_with_its_files(tmp_path):
    header, buffer = gltf()
    header["buffers"][0]["uri"] = "my%20buffer.bin"
    (tmp_path / "my buffer.bin").write_bytes(buffer)
    header["images"] = [{"uri": "face.png"}, {"uri": "nowhere.png"}]
    Image.new("RGB", (4, 4), BLUE).save(tmp_path / "face.png")
    (tmp_path / "a.gltf").write_text(json.dumps(header))
    scan = Scan.load(tmp_path / "a.gltf")
    assert colours_of(scan) == [BLUE]
    inside = "data:application/octet-stream;base64," + base64.b64encode(buffer).decode()
    header["buffers"][0]["uri"] = inside
    header["images"][0]["uri"] = "data:image/png;base64," + base64.b64encode(png(RED)).decode()
    (tmp_path / "b.gltf").write_text(json.dumps(header), encoding="utf-8-sig")
    assert colours_of(Scan.load(tmp_path / "b.gltf")) == [RED]
    (tmp_path / "my buffer.bin").unlink()
    with pytest.raises(ScanFileError, match=r"a\.gltf needs 'my buffer\.bin'"):
        Scan.load(tmp_path / "a.gltf")


def test_what_cannot_be_decoded_is_named(tmp_path):
    header, buffer = gltf()
    header["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    with pytest.raises(ScanTextureError, match="KHR_texture_basisu"):
        Scan.load(glb(tmp_path / "a.glb", header, buffer))
    header, buffer = gltf(extensionsRequired=["EXT_meshopt_compression", "KHR_materials_unlit"])
    with pytest.raises(ScanFileError, match="extensions EXT_meshopt_compression, which"):
        Scan.load(glb(tmp_path / "a.glb", header, buffer))
    header, buffer = gltf()
    start = header["bufferViews"][header["images"][0]["bufferView"]]["byteOffset"]
    ktx = buffer[:start] + b"\xabKTX 20\xbb" + buffer[start + 8 :]
    with pytest.raises(ScanTextureError, match="KTX2"):
        Scan.load(glb(tmp_path / "a.glb", header, ktx))
    path = glb(tmp_path / "a.glb", header, buffer)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ScanFileError, match="truncated"):
        Scan.load(path)


def test_draco(tmp_path):
    pytest.importorskip("DracoPy")
    sphere = trimesh.creation.uv_sphere(0.1)
    uv = np.clip(sphere.vertices[:, :2] / 0.2 + 0.5, 0, 1)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (4, 4), RED))
    sphere.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    sphere.export(tmp_path / "a.glb", extension_draco=True)
    assert b"KHR_draco_mesh_compression" in (tmp_path / "a.glb").read_bytes()
    scan = Scan.load(tmp_path / "a.glb")
    corners = scan.vertices[scan.faces].reshape(-1, 3)
    assert abs(np.linalg.norm(corners, axis=1) - 100).max() < 0.1
    np.testing.assert_allclose(scan.uv.reshape(-1, 2), corners[:, :2] / 200 + 0.5, atol=2e-3)
    assert colours_of(scan) == [RED] * len(scan.faces)


def test_metres_are_glTF_s_unit_and_millimetres_the_others(tmp_path):
    path = glb(tmp_path / "a.glb", *gltf())
    np.testing.assert_allclose(Scan.load(path).vertices.max(), 100, rtol=1e-6)
    with pytest.raises(ScanError, match=r"0\.1 mm"):
        Scan.load(path, unit="mm")
