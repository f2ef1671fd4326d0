"""Released generators and the faces that they make."""

import base64
import csv
import io
import itertools
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
import untrained
from pages import FLAGS, find_browser
from PIL import Image
from playwright.sync_api import sync_playwright
from trimesh.util import decompress

import facesynth
from facesynth import expressions, gan
from facesynth.command import main
from facesynth.dataset import dataset
from facesynth.expressions import measure
from facesynth.face_gan import models as face_gan
from facesynth.face_gan import released_models, synthesis
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.face import Face, UnknownFormatError
from facesynth.face_gan.geometry_images import GeometryImages
from facesynth.face_gan.lift import Lift
from facesynth.face_gan.released_models import WeightsError
from facesynth.files.atomic import WriteError
from facesynth.files.integers import SeedError
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.surface.mesh import check_disk, graph_laplacian, vertex_normals

R = 64
SCANS = dataset.released(2)  # whose expressions are added
CAMERA = "new THREE.PerspectiveCamera(40, 1, 0.01, 10); camera.position.set(0.1, 0.05, 0.45)"


@pytest.fixture(scope="module")
def generator():
    """One that is not trained, of skin and faces near the mean, all a bit noisy; and its config."""
    config = untrained.config(face_gan.configuration("faces", R, channels=8, n_shown=48, rest=True))
    return untrained.anchored(config), config


@pytest.fixture(scope="module")
def weights(generator, tmp_path_factory):
    """It with detail, released."""
    to = GeometryImages.fit(UniversalMapping(SCANS.template, R), SCANS.geometry)
    path = tmp_path_factory.mktemp("weights") / "faces.safetensors"
    rng = np.random.default_rng(0)
    tiles = gan.Tiles(gan.Images(rng.integers(0, 256, (1, 4 * R, 4 * R, 4), np.uint8)))
    config = face_gan.detail_configuration(tiles, channels=8, n_shown=16)
    details = [(config.generator(), config) for _ in range(2)]
    parts = {
        "colours": Colours.fit(SCANS.textures),
        "lift": Lift.fit(to, SCANS.geometry),
        "details": details,
    }
    released_models.save(path.parent, "faces", *generator, to, **parts)
    return path, to


@pytest.fixture(scope="module", autouse=True)
def released(weights):
    """What these tests take for the package's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(released_models, "folder", lambda: weights[0].parent)
        released_models.released.cache_clear()
        yield
    released_models.released.cache_clear()


@pytest.fixture(scope="module")
def faces(released):
    return facesynth.synthesize(4, seed=3)


def test_what_is_released_is_what_was_trained_in_half_precision(generator, weights):
    network, config = generator
    path, to = weights
    read = released_models.load(path.parent, "faces")
    assert (read.model, read.config) == ("faces", config)
    for name, tensor in network.state_dict().items():
        assert torch.equal(read.generator.state_dict()[name], tensor.half().float())
    np.testing.assert_array_equal(read.geometries.mean, to.mean)
    np.testing.assert_array_equal(read.geometries.unit, to.unit)
    before, after = (gan.sample(g, 2, seed=0) for g in (network, read.generator))
    assert np.abs(before - after).max() < 1 / 127.5  # a grey level


def test_its_digest_is_one_that_sha256sum_checks(weights):
    path, _ = weights
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=path.parent, check=True)


def test_an_altered_file_is_named(weights, tmp_path):
    path, _ = weights
    for name in (path.name, "template.npz"):
        shutil.copytree(path.parent, tmp_path / name)
        content = bytearray(path.with_name(name).read_bytes())
        content[-1] ^= 1
        (tmp_path / name / name).write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name} has been altered: its SHA-256 is not"):
            released_models.load(tmp_path / name, "faces")


def test_a_missing_file_is_named(weights, tmp_path):
    with pytest.raises(WeightsError, match=r"template.npz is missing; train it again; a model of"):
        released_models.load(tmp_path, "faces")
    shutil.copytree(weights[0].parent, tmp_path / "copy")
    (tmp_path / "copy" / "faces.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"faces.safetensors is missing"):
        released_models.load(tmp_path / "copy", "faces")


def test_a_file_without_a_digest_is_not_trusted(weights, tmp_path):
    shutil.copytree(weights[0].parent, tmp_path / "copy")
    (tmp_path / "copy" / "SHA256SUMS").unlink()
    with pytest.raises(WeightsError, match="has been altered"):
        released_models.load(tmp_path / "copy", "faces")


def test_models_make_what_they_are_for(weights, tmp_path):
    path, to = weights
    config = face_gan.configuration("textures", R, channels=8, n_shown=48)
    released_models.save(tmp_path, "textures", config.generator(), config, to)
    textures = released_models.load(tmp_path, "textures")
    both = released_models.load(path.parent, "faces")
    images = gan.sample(both.generator, 2, seed=0)
    assert both.geometry(images).shape == (2, *SCANS.template.vertices.shape)
    assert both.textures(images).shape == (2, R, R, 3)
    assert textures.textures(gan.sample(textures.generator, 2, seed=0)).shape == (2, R, R, 3)
    with pytest.raises(ValueError, match="makes no geometries"):
        textures.geometry(images)
    with pytest.raises(face_gan.UnknownModelError, match="unknown model 'hair'"):
        released_models.released("hair")


def test_generated_geometry_is_blurred_and_evenly_placed(weights):
    """Where it is not lifted."""
    made = replace(released_models.load(weights[0].parent, "faces"), lift=None)
    images = gan.sample(made.generator, 3, seed=0)
    images += np.random.default_rng(0).normal(0, 0.1, images.shape).astype(np.float32)
    rough, smooth = (made.geometry(images, blur) for blur in (0, 1.5))
    np.testing.assert_array_equal(rough, made.geometries.to_geometry(images[..., 3:6]))
    np.testing.assert_array_equal(smooth, made.geometry(images))
    away = [(v - made.geometries.mean) / made.geometries.unit for v in (rough, smooth)]
    laplacian = graph_laplacian(SCANS.template.faces)
    bumps = [
        np.abs(laplacian @ np.moveaxis(x, 1, 0).reshape(len(laplacian.indptr) - 1, -1))
        for x in away
    ]
    assert bumps[1].mean() < 0.5 * bumps[0].mean()
    flat = np.tile(images.mean((1, 2), keepdims=True), (1, R, R, 1))
    np.testing.assert_allclose(made.geometry(flat), made.geometry(flat, 0), atol=1e-4)


def test_faces_are_disks_with_textures(faces):
    assert len(faces) == 4
    for face in faces:
        assert face.texture.shape == (4 * R, 4 * R, 3)
        assert face.displacement.shape == (4 * R, 4 * R)
        assert face.texture.dtype == np.uint8
        check_disk(face.vertices, face.faces)
        assert np.linalg.norm(face.vertices - SCANS.template.vertices, axis=1).max() < 60  # mm


def test_the_same_seed_makes_the_same_bytes(faces, tmp_path):
    again = facesynth.synthesize(4, seed=3)
    for suffix in ("glb", "obj", "png"):
        for name, made in (("a", faces), ("b", again)):
            (tmp_path / name).mkdir(exist_ok=True)
            made[2].export(tmp_path / name / f"face.{suffix}")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = facesynth.synthesize(1, seed=4)[0]
    assert not np.array_equal(other.texture, faces[0].texture)


def test_smaller_textures_are_means_of_larger_ones(faces):
    half = len(faces[0].texture) // 2
    small = facesynth.synthesize(4, seed=3, resolution=half)
    for face, large in zip(small, faces, strict=True):
        np.testing.assert_array_equal(face.vertices, large.vertices)
        blocks = large.texture.reshape(half, 2, half, 2, 3).mean((1, 3))
        assert np.abs(face.texture - blocks).max() < 1.5


def test_truncated_faces_are_more_alike():
    def spread(truncation):
        made = facesynth.synthesize(8, seed=0, variation=truncation)
        return np.std([face.vertices for face in made], axis=0).mean()

    spreads = [spread(truncation) for truncation in (0.001, 0.1, 0.5, 1.0)]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.1 * spreads[-1]


def test_relatives_differ_by_an_amount(faces):
    def away(amount):
        made = facesynth.synthesize(3, seed=9, like="face-3-0002", amount=amount)
        return np.mean([np.abs(face.vertices - faces[2].vertices).mean() for face in made])

    away_by = [away(amount) for amount in (0.0, 0.2, 0.5, 1.0)]
    assert away_by[0] < 1e-3
    assert away_by == sorted(away_by)
    others = facesynth.synthesize(3, seed=9)
    anybody = facesynth.synthesize(3, seed=9, like="face-3-0002", amount=1.0)
    for face, other in zip(anybody, others, strict=True):
        np.testing.assert_allclose(face.vertices, other.vertices, atol=1e-3)


def test_the_first_faces_are_the_same_however_many_are_made(weights):
    made = released_models.load(str(weights[0].parent), "faces")
    assert made.n_latents % 16
    many = made.latents(9, seed=np.int64(2))
    for n in range(1, 9):
        assert torch.equal(made.latents(n, seed=2), many[:n])


def test_a_seed_of_numpy_names_faces_as_python_s(tmp_path):
    assert synthesis.write(str(tmp_path), 1, np.int64(3)) == ["face-3-0000"]
    with pytest.raises(SeedError, match="a seed is a whole number"):
        facesynth.synthesize(1, seed=3.0)


def test_the_way_from_face_to_face(faces):
    way = facesynth.synthesize(5, like="face-3-0000", to="face-3-smile-0001")
    for face, end in ((way[0], faces[0]), (way[-1], faces[1])):
        np.testing.assert_allclose(face.vertices, end.vertices, atol=0.01)
    steps = [np.abs(a.vertices - b.vertices).mean() for a, b in itertools.pairwise(way)]
    whole = np.abs(way[0].vertices - way[-1].vertices).mean()
    assert max(steps) < 0.6 * whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"like": "ada"}, "'ada' is not the name of a face that a seed makes"),
        ({"like": "face-0-0001-like-2-0000"}, "is not the name of a face that a seed makes"),
        ({"to": "face-0-0001"}, "a way to face-0-0001 begins at a face"),
        ({"like": "face-0-0001", "amount": 1.5}, "amount must be in"),
    ],
)
def test_relatives_of_nobody_are_named(arguments, message):
    with pytest.raises(synthesis.SynthesisError, match=message):
        facesynth.synthesize(1, **arguments)


def test_the_same_people_make_every_expression():
    rest, smile, surprise = (
        facesynth.synthesize(3, seed=3, expression=name)
        for name in ("neutral", "smile", "surprise")
    )
    found = [
        measure(np.stack([face.vertices for face in of]), SCANS.template)
        for of in (rest, smile, surprise)
    ]
    assert (found[1]["smile"] > found[0]["smile"] + 4).all()  # mm wider
    assert (found[2]["jaw open"] > found[0]["jaw open"] + 4).all()
    for still, moved in zip(rest, smile, strict=True):
        np.testing.assert_array_equal(moved.texture, still.texture)
        added = expressions.released()["smile"]
        np.testing.assert_allclose(moved.vertices - still.vertices, added, atol=0.02)


def test_a_glb_opens_with_its_texture(faces, tmp_path):
    faces[0].export(tmp_path / "face.glb")
    (mesh,) = trimesh.load_scene(tmp_path / "face.glb").geometry.values()
    np.testing.assert_allclose(1000 * mesh.vertices, faces[0].vertices, atol=1e-3)  # metres
    np.testing.assert_array_equal(mesh.faces, faces[0].faces)
    np.testing.assert_allclose(mesh.visual.uv, faces[0].uv, atol=1e-6)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(texture, faces[0].texture)
    assert mesh.visual.material.metallicFactor == 0
    kept = mesh._cache.cache["vertex_normals"]  # from the file: without, browsers show facets
    np.testing.assert_allclose(kept, vertex_normals(*_arrays(faces[0])), atol=1e-3)


def _arrays(face):
    return face.vertices, face.faces


def test_an_obj_opens_with_its_texture(faces, tmp_path):
    faces[0].export(tmp_path / "face.obj")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "face-texture.png",
        "face.mtl",
        "face.obj",
    ]
    mesh = trimesh.load_mesh(tmp_path / "face.obj", process=False)
    assert len(mesh.faces) == len(faces[0].faces)
    np.testing.assert_allclose(mesh.triangles, faces[0].vertices[faces[0].faces], atol=1e-3)
    texture = np.asarray(mesh.visual.material.image.convert("RGB"))
    np.testing.assert_array_equal(texture, faces[0].texture)


def test_a_picture_shows_the_face(faces, tmp_path):
    faces[0].export(tmp_path / "face.png")
    picture = np.asarray(Image.open(tmp_path / "face.png"))
    assert picture.shape == (512, 512, 4)
    assert 0.2 < (picture[..., 3] > 0).mean() < 0.9


def test_a_glb_is_shown_by_a_browser(faces, tmp_path):
    """By three.js, in the page that trimesh carries; the camera, which that expects, is ours."""
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium or Chrome is installed")
    faces[0].export(tmp_path / "face.glb")
    carried = trimesh.resources.get_bytes("templates/viewer.zip")
    page_of = decompress(carried, file_type="zip")["viewer.html.template"].read().decode()
    encoded = base64.b64encode((tmp_path / "face.glb").read_bytes()).decode()
    page_of = page_of.replace("gltf.cameras[0]", CAMERA)
    (tmp_path / "page.html").write_text(page_of.replace("$B64GLTF", encoded))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 400, "height": 400})
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("canvas")
        page.wait_for_timeout(1500)
        shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
        chromium.close()
    assert not said
    red, _, blue = np.moveaxis(shot, -1, 0)
    assert (red - blue > 15).mean() > 0.02  # skin, on a white page
    assert shot.std() > 10


@pytest.mark.parametrize("n", [0, -3])
def test_a_count_below_one_is_named(n):
    with pytest.raises(synthesis.CountError, match=f"count must be at least 1, got {n}"):
        facesynth.synthesize(n)


@pytest.mark.parametrize("resolution", [0, 100, 1024])
def test_an_unknown_size_is_named(resolution):
    with pytest.raises(synthesis.UnknownSizeError, match=r"there are \d+, \d+, \d+"):
        facesynth.synthesize(1, resolution=resolution)


@pytest.mark.parametrize("truncation", [0.0, -1.0, 1.5, np.nan])
def test_a_truncation_outside_of_0_to_1_is_named(truncation):
    with pytest.raises(synthesis.SynthesisError, match="variation must be in"):
        facesynth.synthesize(1, variation=truncation)


def test_an_unknown_expression_is_named():
    with pytest.raises(synthesis.UnknownExpressionError, match=r"'frown'; there are neutral, smi"):
        facesynth.synthesize(1, expression="frown")


def test_an_unknown_kind_of_file_is_named(faces, tmp_path):
    with pytest.raises(UnknownFormatError, match=r"written as .glb, .obj, .png, not as"):
        faces[0].export(tmp_path / "face.ply")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["glb", "obj", "png"])
def test_a_folder_that_cannot_be_written_is_named(suffix, faces, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="could not write"):
        faces[0].export(tmp_path / "file" / f"face.{suffix}")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_the_command_writes_faces(tmp_path, capsys):
    out = tmp_path / "faces"
    assert main(["synthesize", "--count", "2", "--out", str(out)]) == 0
    assert "written: 2 faces, face-0-0000 to face-0-0001" in capsys.readouterr().out
    kinds = ("-texture.png", ".glb", ".mtl", ".obj", ".png")
    assert sorted(p.name for p in out.iterdir()) == [
        *(f"face-0-000{k}{kind}" for k in range(2) for kind in kinds),
        "faces-0.csv",
        "faces-0.json",
    ]
    with (out / "faces-0.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["face"] for row in rows] == ["face-0-0000", "face-0-0001"]
    made = facesynth.synthesize(2)
    for row, face in zip(rows, made, strict=True):
        for group, label in face.labels.items():
            assert row[group] == label.name
            assert float(row[f"{group} confidence"]) == pytest.approx(label.confidence, abs=1e-3)


def test_the_command_writes_expressions_beside_each_other(tmp_path):
    for expression in ("smile", "anger"):
        command = ["synthesize", "--count", "1", "--expression", expression]
        assert main([*command, "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("*.glb"))) == 2
    assert (tmp_path / "face-0-smile-0000.png").exists()
    assert (tmp_path / "faces-0-anger.csv").exists()
    command = ["synthesize", "--count", "2", "--like", "face-0-smile-0000", "--out", str(tmp_path)]
    assert main([*command, "--amount", "0.1"]) == 0
    assert main([*command, "--to", "face-0-0001"]) == 0
    assert (tmp_path / "face-0-smile-0000-like-0-0001.png").exists()
    assert (tmp_path / "face-0-smile-0000-to-0-0001-0001.png").exists()
    command[2] = "3"
    assert main([*command, "--to", "face-0-0001"]) == 1  # a way of other steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "count must be at least 1, got 0"),
        (["--count", "-1"], "count must be at least 1, got -1"),
        (["--resolution", "200"], "unsupported texture size 200 x 200"),
        (["--variation", "2"], "variation must be in"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, tmp_path, capsys):
    assert main(["synthesize", *arguments, "--out", str(tmp_path / "faces")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


def test_the_command_names_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["synthesize", "--count", "1", "--out", str(tmp_path / "file")]) == 1
    assert "could not write" in capsys.readouterr().err


def test_the_command_names_altered_weights(weights, tmp_path, capsys, monkeypatch):
    models = shutil.copytree(weights[0].parent, tmp_path / "models")
    (models / "faces.safetensors").write_bytes(b"")
    command = ["synthesize", "--count", "1", "--out", str(tmp_path / "faces"), "--model"]
    assert main([*command, str(models)]) == 1
    assert "has been altered" in capsys.readouterr().err
    assert main([*command, str(tmp_path)]) == 1
    assert "none of the models faces, textures that" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


def test_a_stopped_command_leaves_whole_faces_and_resumes(tmp_path, monkeypatch, capsys):
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = ["synthesize", "--count", "10", "--resolution", "64", "--out"]
    assert main([*command, str(whole)]) == 0
    export, written = Face.export, []

    def stop(face, path):
        if len(written) == 3 * 5 + 2:  # in the sixth face, before its picture
            raise KeyboardInterrupt
        export(face, path)
        written.append(path.name)

    monkeypatch.setattr(Face, "export", stop)
    assert main([*command, str(out)]) == 130
    assert "the same command resumes" in capsys.readouterr().err
    with (out / "faces-0.csv").open() as file:
        assert [row["face"] for row in csv.DictReader(file)] == [f"face-0-000{k}" for k in range(5)]
    with (out / "faces-0.csv").open("a") as file:
        file.write("face-0-0005,ma")  # cut off, as by a failing disk
    monkeypatch.setattr(
        Face, "export", lambda face, path: (written.append(path), export(face, path))
    )
    written.clear()
    assert main([*command, str(out)]) == 0
    assert len(written) == 3 * 5  # of faces 5 to 9
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }
    written.clear()
    assert main([*command, str(out)]) == 0
    assert not written
    (out / "face-0-0003.obj").unlink()  # a face that is not whole is made again
    assert main([*command, str(out)]) == 0
    assert {path.name for path in written} == {f"face-0-0003{s}" for s in synthesis.SUFFIXES}
    assert (out / "face-0-0003.obj").read_bytes() == (whole / "face-0-0003.obj").read_bytes()
    assert main([*command, str(out), "--variation", "0.5"]) == 1
    assert "made with other settings: see faces-0.json" in capsys.readouterr().err


def test_importing_the_package_does_not_import_pytorch():
    code = "import sys, facesynth; assert 'torch' not in sys.modules; facesynth.synthesize"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'sythesize'"):
        _ = facesynth.sythesize
