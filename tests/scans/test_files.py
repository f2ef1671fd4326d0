"""Scans to files and back, scans of other people's programs, and everything wrong with a file."""

import dataclasses
import itertools
import os
import re
import shutil
import time

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from facesynth.people import real_data
from facesynth.scans import (
    Scan,
    ScanError,
    ScanFileError,
    ScanTextureError,
    ScanUnitsError,
)
from facesynth.surface.mesh import FaceIndexError, MeshError, NonFiniteVertexError
from facesynth.template import standard

ARRAYS = ("vertices", "faces", "uv", "photograph")


def bump(n=8, seed=0, landmarks=False):
    """A bump of 2 (n - 1)² triangles, 180 mm wide, with two small photographs."""
    rng = np.random.default_rng(seed)
    x, y = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-90, 90, n)]))
    vertices = np.column_stack([x, y, 60 * np.cos(np.hypot(x, y) / 90)])
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate(
        [np.column_stack([a, a + 1, a + n + 1]), np.column_stack([a, a + n + 1, a + n])]
    )
    rng.shuffle(faces)
    photographs = tuple(
        rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((6, 5), (4, 9))
    )
    points = None
    if landmarks:
        points = vertices[rng.choice(len(vertices), 43)]
        points[:10, 0] = np.linspace(-50, 50, 10)
        points[7] = np.nan
    uv = rng.uniform(size=(len(faces), 3, 2))
    return Scan(vertices, faces, uv, rng.integers(0, 2, len(faces)), photographs, points, "bump")


def same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for a, b in zip(one.photographs, other.photographs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "bump.obj"
    bump().save(path)
    return path


@given(seed=st.integers(0, 1000), n=st.integers(3, 9), marked=st.booleans())
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_comes_back(tmp_path, seed, n, marked):
    scan = bump(n, seed, marked)
    scan.save(tmp_path / "deeper" / "bump.obj")
    back = Scan.load(tmp_path / "deeper" / "bump.obj")
    same(scan, back)
    assert back.name == "bump"
    if marked:
        np.testing.assert_array_equal(scan.landmarks, back.landmarks)
    else:
        assert back.landmarks is None


def test_saving_leaves_whole_files_only(tmp_path):
    bump(landmarks=True).save(tmp_path / "a.obj")
    assert {f.name for f in tmp_path.iterdir()} == {
        "a.obj",
        "a.mtl",
        "a.json",
        "a_0.png",
        "a_1.png",
    }


def test_jpeg_is_close(tmp_path):
    smooth = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (64, 32, 3))
    scan = dataclasses.replace(bump(), photographs=(smooth.copy(), smooth[::-1].copy()))
    scan.save(tmp_path / "a.obj", quality=95)
    back = Scan.load(tmp_path / "a.obj")
    for a, b in zip(scan.photographs, back.photographs, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 4


def test_saving_names_what_is_wrong(tmp_path):
    with pytest.raises(ScanFileError, match=r"\.obj files, not as '\.stl'"):
        bump().save(tmp_path / "a.stl")
    (tmp_path / "file").write_text("")
    with pytest.raises(ScanFileError, match="could not write"):
        bump().save(tmp_path / "file" / "a.obj")


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_other_programs_formats(tmp_path, kind):
    """Without shared texture coordinates every corner comes back, in order."""
    scan = bump()
    image = Image.fromarray(scan.photographs[0])
    corners = scan.vertices[scan.faces].reshape(-1, 3)
    visual = trimesh.visual.TextureVisuals(scan.uv.reshape(-1, 2), image=image)
    mesh = trimesh.Trimesh(
        corners, np.arange(len(corners)).reshape(-1, 3), visual=visual, process=False
    )
    if kind == "glb":
        mesh.export(tmp_path / "a.glb")
    else:
        data = mesh.export(file_type="ply", encoding="ascii").decode()
        image.save(tmp_path / "a.png")
        data = data.replace("format ascii 1.0\n", "format ascii 1.0\ncomment TextureFile a.png\n")
        (tmp_path / "a.ply").write_text(data)
    back = Scan.load(tmp_path / f"a.{kind}", unit="mm")
    np.testing.assert_allclose(back.vertices[back.faces], scan.vertices[scan.faces], atol=1e-4)
    np.testing.assert_allclose(back.uv, scan.uv, atol=1e-5)
    np.testing.assert_array_equal(back.photographs[0], scan.photographs[0])


def test_obj_in_the_manner_of_other_programs(tmp_path):
    """Quads, normals, comments, negative indices, continued lines; one image, and no MTL file."""
    (tmp_path / "quad.obj").write_text(
        "# by hand\nmtllib gone.mtl\no thing\n"
        "v -50 -50 0 1 0 0\nv 50 -50 0\nv 50 50 0\nv -50 50 9\n"
        "vt 0 0\nvt 1 0 0\nvt 1 1 # corner\nvt 0 1\nvn 0 0 1\ns off\nusemtl m\n"
        "f 1/1/1 2/2/1 3/3/1 \\\n 4/4/1\nf -4/-4 -3/-3 -2/-2\n"
    )
    Image.new("RGB", (3, 2), (9, 8, 7)).save(tmp_path / "quad.jpg")
    scan = Scan.load(tmp_path / "quad.obj")
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert scan.uv[1].tolist() == [[0, 0], [1, 1], [0, 1]]
    assert scan.vertices[3].tolist() == [-50, 50, 9]
    assert scan.photographs[0].shape == (2, 3, 3)


def test_units(written, tmp_path):
    scan = bump(landmarks=True)
    metres = dataclasses.replace(
        scan, vertices=scan.vertices / 1000, landmarks=scan.landmarks / 1000
    )
    metres.save(tmp_path / "m.obj")
    with pytest.raises(ScanUnitsError, match=r"0\.18 mm.*probably in m: "):
        Scan.load(tmp_path / "m.obj")
    back = Scan.load(tmp_path / "m.obj", unit="m")
    np.testing.assert_allclose(back.vertices, scan.vertices)
    np.testing.assert_allclose(back.landmarks, scan.landmarks)
    dataclasses.replace(scan, vertices=scan.vertices / 10, landmarks=None).save(tmp_path / "cm.obj")
    with pytest.raises(ScanUnitsError, match=r"18 mm.*probably in cm: "):
        Scan.load(tmp_path / "cm.obj")
    Scan.load(written, unit="cm").save(tmp_path / "large.obj")
    with pytest.raises(ScanUnitsError, match=r"18000 mm.*probably in mm: "):
        Scan.load(tmp_path / "large.obj", unit="cm")
    with pytest.raises(ScanUnitsError, match="unknown unit 'inch'"):
        Scan.load(written, unit="inch")
    for unit in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ScanUnitsError, match="above 0"):
            Scan.load(written, unit=unit)
    np.testing.assert_allclose(Scan.load(tmp_path / "m.obj", unit=1000).vertices, scan.vertices)


def edit(path, pattern, replacement, count=1):
    text, n = re.subn(pattern, replacement, path.read_text(), count=count, flags=re.MULTILINE)
    assert n
    path.write_text(text)


@pytest.mark.parametrize(
    ("pattern", "replacement", "error", "message"),
    [
        (r"^v (\S+)", "v nan", NonFiniteVertexError, "vertex 0"),
        (r"^v (\S+)", "v inf", NonFiniteVertexError, "vertex 0"),
        (r"^v (\S+)", "v 1,5", ScanFileError, "line 2.*1,5"),
        (r"^v (\S+ \S+) .*", r"v \1", ScanFileError, "line 2: expected 3 numbers, got 2"),
        (r"^vt (\S+)", "vt inf", ScanTextureError, "no finite numbers"),
        (r"^f \d+", "f 999", ScanFileError, "vertex .*999.* of 64"),
        (r"^f \d+", "f 0", ScanFileError, "vertex .*0.* of 64"),
        (r"^f \d+", "f 99999999999999999999999", ScanFileError, "invalid corner"),
        (r"^f \d+/\d+", "f 1/9999", ScanFileError, "texture coordinate .*9999"),
        (r"^f .*", "f 1/1 2/2", ScanFileError, "a face with 2 corners"),
        (r"^f .*", "f 1/1 2/2 x", ScanFileError, "invalid corner 'x'"),
    ],
)
def test_bad_lines(written, pattern, replacement, error, message):
    edit(written, pattern, replacement)
    with pytest.raises(error, match=message):
        Scan.load(written)


def test_bad_files(written, tmp_path):
    with pytest.raises(ScanFileError, match=r"cannot read .*nowhere"):
        Scan.load(tmp_path / "nowhere.obj")
    for name in ("scan.fbx", "scan", "scan.obj.bak"):
        with pytest.raises(
            ScanFileError, match=r"are read from \.obj, \.ply, \.stl, \.glb, \.gltf"
        ):
            Scan.load(tmp_path / name)
    (tmp_path / "folder.obj").mkdir()
    for name in ("folder.obj", "empty.obj", "empty.ply", "empty.glb"):
        if not (tmp_path / name).exists():
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(ScanFileError, match=name):
            Scan.load(tmp_path / name)
    edit(written, r"^f .*\n", "", count=0)
    with pytest.raises(ScanFileError, match="64 vertices and 0 triangles"):
        Scan.load(written)


def test_textures_missing(written, tmp_path):
    (tmp_path / "bump_1.png").rename(tmp_path / "elsewhere.png")
    with pytest.raises(ScanTextureError, match=r"'bump_1\.png', which is not in"):
        Scan.load(written)
    (tmp_path / "bump.mtl").unlink()
    with pytest.raises(ScanTextureError, match=r"photograph_0.*photograph_1.*bump\.mtl"):
        Scan.load(written)
    edit(written, "photograph_1", "photograph_0", count=0)
    with pytest.raises(ScanTextureError, match=r"0 images of the name 'bump'"):
        Scan.load(written)
    shutil.copy(tmp_path / "bump_0.png", tmp_path / "bump.png")
    np.testing.assert_array_equal(Scan.load(written).photographs[0], bump().photographs[0])
    shutil.copy(tmp_path / "bump_0.png", tmp_path / "bump.jpeg")
    with pytest.raises(ScanTextureError, match=r"2 images of the name 'bump'"):
        Scan.load(written)


def test_damaged_image(written, tmp_path):
    whole = (tmp_path / "bump_1.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no image at all", whole[:30] + b"\0" * 40):
        (tmp_path / "bump_1.png").write_bytes(content)
        with pytest.raises(ScanTextureError, match=r"bump_1\.png"):
            Scan.load(written)


def test_ply_textures(tmp_path):
    """Per-vertex coordinates, and the image that a comment names or the scan's own name."""
    head = "ply\nformat ascii 1.0\ncomment TextureFile a.png\nelement vertex 3\n"
    properties = "".join(f"property float {p}\n" for p in ("x", "y", "z", "s", "t"))
    rest = (
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 0 0\n100 0 0 1 0\n0 100 0 0 1\n3 0 1 2\n"
    )
    path = tmp_path / "scan.ply"
    path.write_text(head + properties + rest)
    with pytest.raises(ScanTextureError, match=r"the image 'a\.png', which is not in"):
        Scan.load(path)
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "a.png")
    scan = Scan.load(path)
    assert scan.uv.tolist() == [[[0, 0], [1, 0], [0, 1]]]
    assert scan.photographs[0][0, 0].tolist() == [1, 2, 3]
    path.write_text(
        head.replace("comment", "comment TextureFile b.png\ncomment") + properties + rest
    )
    with pytest.raises(ScanTextureError, match="2 textures"):
        Scan.load(path)
    path.write_text(head.replace("comment TextureFile a.png\n", "") + properties + rest)
    with pytest.raises(ScanTextureError, match="0 images of the name 'scan'"):
        Scan.load(path)
    (tmp_path / "a.png").rename(tmp_path / "scan.png")
    assert Scan.load(path).photographs[0].shape == (2, 2, 3)


def test_face_indices_beyond_the_vertices(tmp_path):
    (tmp_path / "a.ply").write_text(
        "ply\nformat ascii 1.0\ncomment TextureFile a.png\nelement vertex 3\n"
        + "".join(f"property float {p}\n" for p in ("x", "y", "z", "s", "t"))
        + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 0 0\n100 0 0 1 0\n0 100 0 0 1\n3 0 1 7\n"
    )
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises((ScanFileError, FaceIndexError)):
        Scan.load(tmp_path / "a.ply")


def corrupted(data, rng):
    """A file's bytes, damaged in one of the ways in which files are."""
    at = int(rng.integers(len(data)))
    end = at + int(rng.integers(1, 400))
    noise = rng.integers(0, 256, int(rng.integers(1, 60)), dtype=np.uint8).tobytes()
    words = [
        b"nan",
        b"inf",
        b"1e999",
        b"1e308",
        b"-1",
        b"0",
        b"99999999999",
        b"//",
        b"\\\n",
        b"f 1",
        b"\0",
    ]
    word = words[rng.integers(len(words))]
    lines = data.splitlines(keepends=True)
    mixed = [lines[k] for k in rng.permutation(len(lines))]
    ways = [
        data[:at],
        data[:at] + data[end:],
        data[:at] + noise + data[end:],
        data[:at] + noise + data[at + len(noise) :],
        data[:at] + noise[:1] + data[at + 1 :],
        data[:at] + b" " + word + b" " + data[at:],
        data[at:] + data[:at],
        b"".join(mixed),
        data[:at] + data[at:end] * 3 + data[end:],
        data.replace(b" ", word, int(rng.integers(1, 4))),
    ]
    return ways[rng.integers(len(ways))]


KINDS = ("obj", "mtl", "png", "json", "ply", "stl", "glb", "gltf")


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage(tmp_path, kind):
    """Each damaged file either loads as a sound scan, or says by a named error what is wrong.

    FUZZ_SECONDS in the environment goes on for so long, with other damage each time.
    """
    marks = standard().vertices[standard().landmarks]
    scan = dataclasses.replace(bump(), landmarks=marks - marks.mean(axis=0) + [0, 0, 50])
    scan.save(tmp_path / "bump.obj")
    loaded = damaged = tmp_path / f"a.{kind}"
    if kind in ("obj", "mtl", "png", "json"):
        loaded = tmp_path / "bump.obj"
        damaged = tmp_path / ("bump_1.png" if kind == "png" else f"bump.{kind}")
    else:
        visual = trimesh.visual.TextureVisuals(
            scan.vertices[:, :2] / 180 + 0.5, image=Image.new("RGB", (9, 9))
        )
        mesh = trimesh.Trimesh(scan.vertices, scan.faces, visual=visual, process=False)
        Image.new("RGB", (9, 9)).save(tmp_path / "a.png")  # of PLY
        if kind == "gltf":
            for name, content in mesh.scene().export(file_type="gltf").items():
                (tmp_path / name).write_bytes(content)
            (tmp_path / "model.gltf").rename(damaged)
        else:
            mesh.export(damaged)
    Scan.load(loaded, unit="auto")  # undamaged
    whole = damaged.read_bytes()
    seconds = float(os.environ.get("FUZZ_SECONDS", "0"))
    rng = np.random.default_rng(None if seconds else 1)
    refused, start = 0, time.monotonic()
    for done in itertools.count():
        before = time.monotonic()
        if done >= (200 if kind == "obj" else 60) and before - start > seconds:
            break
        damaged.write_bytes(corrupted(whole, rng))
        try:
            back = Scan.load(loaded, unit="auto")
        except (ScanError, MeshError):
            refused += 1
        else:
            assert np.isfinite(back.vertices).all()
            assert ((back.uv >= 0) & (back.uv <= 1)).all()
        assert time.monotonic() - before < 60  # of a busy machine's
    assert refused > 0
    print(f"{kind}: {done} files, {refused} refused")


def test_a_real_scan(real_data_folder):
    scan = Scan.load(real_data.james())
    assert scan.vertices.shape == (6393, 3)
    assert scan.faces.shape == (12228, 3)
    assert [image.shape for image in scan.photographs] == [(1600, 2400, 3)]
    marks = scan.landmarks
    assert marks[:5, 0].max() < marks[5:10, 0].min()  # brows: the subject's right one first
    assert marks[13, 2] == marks[:, 2].max()  # the tip of the nose
    assert marks[19:25, 0].max() < marks[25:31, 0].min()  # eyes
    assert marks[31:, 1].max() < marks[14:19, 1].min()  # the mouth below the nose


def test_the_real_scan_comes_back(real_data_folder, tmp_path):
    scan = Scan.load(real_data.james())
    scan.save(tmp_path / "again.obj")
    same(scan, Scan.load(tmp_path / "again.obj"))
