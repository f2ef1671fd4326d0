"""A folder of scans becomes a data set: the same bytes whatever happens on the way."""

import dataclasses
import errno
import importlib.metadata
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import distributed
import filelock
import joblib
import numpy as np
import pytest
import trimesh
from another_face import write
from PIL import Image
from scipy.spatial import cKDTree

from facesynth import population
from facesynth.alignment.registration import nonrigid
from facesynth.command import main
from facesynth.dataset import aligned_scan, building, contact_sheet, dataset
from facesynth.dataset.packing import DISPLACEMENT_STEP
from facesynth.dataset.sources import DatasetError, Entry, Folder, find
from facesynth.face_gan import release as face_gan_release
from facesynth.files.atomic import WriteError
from facesynth.mapping.density import settled
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.people import real_data
from facesynth.population import sample
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.similarity import similarity
from facesynth.template import Template, standard
from facesynth.virtual_scanner import Scanner, scan

R = 64
ROUGH = Scanner(photograph=320, spacing=2.5, strands=0.0)  # quick


@pytest.fixture(scope="module")
def virtual():
    """Virtual scans by their names in the folder."""
    people = sample(3, 4, resolution=R, whole=True, n_jobs=1, progress=False)
    names = ("a/first", "a/second", "third")
    return {
        name: scan(vertices, texture, seed=k, settings=ROUGH)
        for k, (name, vertices, texture) in enumerate(
            zip(names, people.geometry, people.textures, strict=True)
        )
    }


@pytest.fixture(scope="module")
def scans(virtual, tmp_path_factory):
    """A folder of scans: one without landmarks, and one that is cut off."""
    folder = tmp_path_factory.mktemp("scans")
    for name, made in virtual.items():
        marks = None if name == "third" else made.truth.landmarks
        dataclasses.replace(made, landmarks=marks).save(folder / f"{name}.obj")
    (folder / "bad.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 x 0\nf 1 2 3\n")
    return folder


@pytest.fixture(scope="module")
def whole(scans, tmp_path_factory):
    """The data set, made in one process without interruption: only to be read."""
    return build(scans, tmp_path_factory.mktemp("whole") / "out")


@pytest.fixture
def copy(scans, whole, tmp_path):
    """Copies of the scans' folder and of the data set, to be damaged."""
    shutil.copytree(scans, tmp_path / "scans")
    shutil.copytree(whole.folder, tmp_path / "out")
    return tmp_path / "scans", tmp_path / "out"


def build(folder, out, n_jobs=1, resolution=R):
    return building.build(folder, out, resolution=resolution, n_jobs=n_jobs, progress=False)


def content(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def stamps(out):
    """When each result was written."""
    return {path.stem: path.stat().st_mtime_ns for path in (out / "scans").rglob("*.npz")}


def test_names_arrays_and_failures(whole):
    assert whole.names == ("a/first", "a/second", "third")
    assert list(whole.failed) == ["bad"]
    assert whole.failed["bad"].startswith("ScanFileError: ")
    assert "bad.obj, line 3" in whole.failed["bad"]
    assert whole.geometry.shape == (3, *standard().vertices.shape)
    assert whole.geometry.dtype == np.float32
    assert whole.textures.shape == (3, R, R, 3)
    assert whole.textures.dtype == np.uint8
    assert whole.valid.shape == (3, R, R)
    assert (whole.valid.mean(axis=(1, 2)) > 0.6).all()


def test_faces_are_the_ones_that_were_scanned(whole, virtual):
    for vertices, made in zip(whole.geometry, virtual.values(), strict=True):
        truth = made.truth.vertices
        off = vertices - aligned_scan.rigid(truth, standard()).apply(truth)
        assert np.median(np.linalg.norm(off, axis=1)) < 2.0


def test_rigid_keeps_the_size_and_is_the_population_s():
    face = sample(1, 4, n_jobs=1, progress=False).geometry[0].astype(np.float64)
    turned = face[:, [2, 0, 1]] * 1.0 + [10, 20, 30]  # a cyclic permutation is a rotation
    move = aligned_scan.rigid(turned, standard())
    assert move.scale == 1.0
    np.testing.assert_allclose(move.apply(turned), face, atol=1e-3)


def test_two_workers_make_the_same_bytes(scans, whole, tmp_path):
    assert content(build(scans, tmp_path / "out", n_jobs=2).folder) == content(whole.folder)


def test_a_dask_cluster_makes_the_same_bytes(scans, whole, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=tmp_path / "dask",
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):  # fmt: skip
        made = build(scans, tmp_path / "out", n_jobs=-1)
    assert content(made.folder) == content(whole.folder)


def test_scans_are_aligned_with_anybodys_template(scans, virtual, tmp_path, capsys):
    path, out = write(tmp_path), tmp_path / "out"
    command = ["dataset", str(scans), "--out", str(out), "--resolution", str(R), "--jobs", "1"]
    assert main([*command, "--template", str(path)]) == 0
    assert "the hole at mouth" in capsys.readouterr().out
    made = dataset.load(out)
    face = settled(Template.load(path))
    assert made.template.digest == face.digest
    assert made.names == ("a/first", "a/second", "third")
    assert made.geometry.shape == (3, *face.vertices.shape)
    assert made.valid.mean() > 0.4
    ours = UniversalMapping(standard(), 512)
    at = ours.to_image(standard().vertices[:, :3]).reshape(-1, 3)
    nearest = cKDTree(at).query(face.vertices)[1]
    for row, name in zip(made.geometry, made.names, strict=True):
        # The template is a remeshing of ours: each of its vertices has a place on the true face.
        truth = virtual[name].truth.vertices
        true = ours.to_image(truth).reshape(-1, 3)[nearest]
        move = similarity(row.astype(float), true)
        off = np.linalg.norm(move.apply(row) - true, axis=1)
        assert np.median(off) < 7  # mm, within the surface too: it knows nothing of faces
    surface = ScannedSurface(virtual["a/first"])
    aligned = nonrigid(surface, virtual["a/first"].truth.landmarks, face)
    places = surface.nearest(aligned)
    gap = np.linalg.norm(surface.points(places) - aligned, axis=1)[~surface.on_border(places)]
    assert np.median(gap) < 0.2  # mm
    with pytest.raises(DatasetError, match=r"was made with template .*; now given: template"):
        build(scans, out)
    standard().save(out / "template.npz")
    with pytest.raises(DatasetError, match="is not the template that this data set was"):
        dataset.load(out)
    assert main([*command, "--template", str(tmp_path / "no.obj")]) == 1
    assert "no.obj" in capsys.readouterr().err


def test_a_killed_run_goes_on_and_makes_the_same_bytes(scans, whole, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "facesynth", "dataset", scans, "--out", out, "--jobs", "1"]
    run = subprocess.Popen(
        [*command, "--resolution", str(R)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not stamps(out) and run.poll() is None:
        time.sleep(0.02)
    time.sleep(random.Random(os.getpid()).uniform(0, 1))
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    before = stamps(out)
    assert before
    (out / "scans" / "a" / ".second.npz.1.part").write_bytes(b"half")
    shutil.rmtree(out / "contact_sheet", ignore_errors=True)
    build(scans, out)
    assert content(out) == content(whole.folder)
    after = stamps(out)
    assert before.items() <= after.items()  # what was finished was not made again


def test_only_the_damaged_is_made_again(scans, copy, whole):
    _, out = copy
    before = stamps(out)
    result = out / "scans" / "third.npz"
    data = result.read_bytes()
    at = len(data) // 3
    for damaged in (b"", data[: len(data) // 2], data[:at] + bytes(50) + data[at + 50 :]):
        result.write_bytes(damaged)
        build(scans, out)
        assert content(out) == content(whole.folder)
    assert {n for n, stamp in stamps(out).items() if stamp != before[n]} == {"third"}


@pytest.mark.parametrize("name", ["third.obj", "third_1.png", "third.json"])
def test_what_has_changed_is_made_again(copy, name, monkeypatch):
    scans, out = copy
    aligned = []
    align = aligned_scan._align
    monkeypatch.setattr(
        aligned_scan, "_align", lambda task: aligned.append(task.part.path.name) or align(task)
    )
    if name == "third_1.png":
        Image.new("RGB", (320, 320)).save(scans / name)
    elif name == "third.json":  # landmarks, where there were none
        (scans / name).write_text((scans / "a" / "first.json").read_text())
    else:
        with (scans / name).open("ab") as file:
            file.write(b"\n")
    build(scans, out)
    assert sorted(aligned) == ["bad.obj", "third.obj"]  # failures are tried again


def test_what_now_fails_is_no_longer_there(copy):
    scans, out = copy
    (scans / "a" / "second.obj").write_text("f 1 2 3\n")
    made = build(scans, out)
    assert made.names == ("a/first", "third")
    assert set(made.failed) == {"a/second", "bad"}
    assert set(stamps(out)) == {"first", "third"}


def test_other_settings_are_refused(copy, monkeypatch):
    scans, out = copy
    before = content(out)
    with pytest.raises(DatasetError, match=r"resolution 64.*resolution 96"):
        build(scans, out, resolution=96)
    monkeypatch.setattr(aligned_scan, "CODE", (*aligned_scan.CODE, "presets.py"))
    with pytest.raises(DatasetError, match="was made with code"):
        build(scans, out)
    assert content(out) == before
    (out / dataset.SETTINGS).write_text("[")
    with pytest.raises(DatasetError, match=r"settings\.json is damaged"):
        build(scans, out)


def test_a_second_run_in_the_same_folder_is_refused(copy):
    scans, out = copy
    with (
        filelock.FileLock(out / ".lock"),
        pytest.raises(DatasetError, match="another process is writing"),
    ):
        build(scans, out)


def test_an_unforeseen_error_is_told_with_its_place(copy, monkeypatch):
    scans, out = copy
    (out / "scans" / "third.npz").unlink()
    monkeypatch.setattr(aligned_scan, "canonical_texture", lambda *_: {}["image"])
    made = build(scans, out)
    assert made.names == ("a/first", "a/second")
    assert made.failed["third"].startswith("KeyError: 'image' (test_dataset.py, line ")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(copy, monkeypatch):
    def full(file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    scans, out = copy
    (out / "scans" / "third.npz").unlink()
    before = content(out)
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(WriteError, match=r"third\.npz: No space left.*free some"):
        build(scans, out)
    assert content(out) == before


@dataclasses.dataclass(frozen=True)
class Deadly:
    """A part whose scan kills the process that reads it, as a lack of memory does."""

    entries: tuple

    def digest(self):
        return "deadly"

    def scans(self):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class WithDeadly:
    """A folder, and a deadly scan in the middle."""

    folder: Folder

    def parts(self):
        deadly = {"b": Deadly((Entry("b", "b", "unknown"),))}
        return dict(sorted((self.folder.parts() | deadly).items()))

    def settings(self):
        return self.folder.settings()


def test_a_scan_that_kills_its_worker_fails_alone(copy, whole):
    scans, out = copy
    for name in ("third", "a/first"):
        (out / "scans" / f"{name}.npz").unlink()
    made = build(WithDeadly(Folder(scans)), out, n_jobs=2)
    assert set(made.failed) == {"bad", "b"}
    assert "killed" in made.failed["b"]
    assert made.names == whole.names
    np.testing.assert_array_equal(made.geometry, whole.geometry)


def test_an_upgraded_library_completes_a_data_set(copy, monkeypatch):
    scans, out = copy
    (out / "scans" / "third.npz").unlink()
    old = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda n: "99.0" if n in ("numpy", "pillow") else old(n)
    )
    assert len(build(scans, out)) == 3
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99.0")  # and the package, too
    with pytest.raises(DatasetError, match=r"now given: facesynth '99\.0'"):
        build(scans, out)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        build(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "scans").mkdir()
    with pytest.raises(DatasetError, match="no scans"):
        build(tmp_path / "scans", tmp_path / "out")
    (tmp_path / "scans" / "deeper" / ".backup").mkdir(parents=True)
    names = ("one.PLY", "one.obj", "one.png", ".hidden.obj", "deeper/.backup/one.obj")
    for name in (*names, "deeper/two.stl"):
        (tmp_path / "scans" / name).write_text("")
    found, passed_over = find(tmp_path / "scans")
    assert {name: path.name for name, path in found.items()} == {
        "deeper/two": "two.stl",
        "one": "one.obj",
    }
    assert [path.name for path in passed_over] == ["one.PLY"]
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "scans").symlink_to(tmp_path / "scans")
    (tmp_path / "scans" / "deeper" / "round").symlink_to(tmp_path / "scans")
    assert list(find(tmp_path / "linked")[0]) == ["scans/deeper/two", "scans/one"]
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write to"):
        build(tmp_path / "scans", tmp_path / "file" / "out")
    with pytest.raises(DatasetError, match="unknown unit 'inch'"):
        build(Folder(tmp_path / "scans", unit="inch"), tmp_path / "out")
    with pytest.raises(DatasetError, match="quality must be from 1 to 100, got 0"):
        building.build(tmp_path / "scans", tmp_path / "out", quality=0)
    with pytest.raises(DatasetError, match="displacement 'half' at 65 pixels; known are full, ha"):
        building.build(tmp_path / "scans", tmp_path / "out", resolution=65, displacement="half")
    with pytest.raises(DatasetError, match="displacement 'some' at 256"):
        building.build(tmp_path / "scans", tmp_path / "out", displacement="some")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DatasetError, match="contains no finished data set"):
        dataset.load(tmp_path / "out")


def test_damage_is_told_when_it_is_read(copy):
    _, out = copy
    (out / "scans" / "third.npz").write_bytes(b"half")
    loaded = dataset.load(out)
    with pytest.raises(DatasetError, match=r"third\.npz is missing or damaged"):
        loaded.textures  # noqa: B018


def test_rejected_scans_are_left_out(copy, whole):
    _, out = copy
    rejected = out / "rejected.txt"
    rejected.write_text("# blurred\na/second\n\nbad\n")
    loaded = dataset.load(out)
    assert loaded.names == ("a/first", "third")
    np.testing.assert_array_equal(loaded.textures, whole.textures[[0, 2]])
    rejected.write_text("a/scond\n")
    with pytest.raises(DatasetError, match="a/scond"):
        dataset.load(out)


def test_contact_sheet(copy, monkeypatch):
    _, out = copy
    stale = out / "contact_sheet" / "page_002.png"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    (page,) = contact_sheet.write(dataset.load(out), n_jobs=1)
    assert not stale.exists()
    pixels = np.asarray(Image.open(page).convert("RGB")).astype(int)
    striped = (np.abs(pixels - contact_sheet.STRIPE) < 30).all(axis=2)
    halves = np.array_split(striped, 2)  # three scans, one failure, in a square
    cells = [cell for half in halves for cell in np.array_split(half, 2, axis=1)]
    assert [cell.mean() > 0.0003 for cell in cells] == [True] * 3 + [False]
    monkeypatch.setattr(contact_sheet, "COLUMNS", 1)
    monkeypatch.setattr(contact_sheet, "ROWS", 3)
    assert len(contact_sheet.write(out, n_jobs=1)) == 2


def test_command(copy, capsys):
    scans, out = copy
    arguments = ["dataset", str(scans), "--out", str(out), "--jobs", "1", "--resolution"]
    assert main([*arguments, str(R)]) == 0
    told = capsys.readouterr()
    assert "3 scans in" in told.out
    assert "failed: bad: ScanFileError" in told.err
    assert (out / "contact_sheet" / "page_001.png").exists()
    assert main([*arguments, "96"]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("facesynth: ")
    assert "Traceback" not in told.err
    assert main(["dataset", str(scans)]) == 2
    assert "Missing option '--out'" in capsys.readouterr().err
    assert main(["dataset", "--out", str(out)]) == 2
    assert "give either SCANS, a folder, or --population" in capsys.readouterr().err


def test_command_when_all_scans_fail(tmp_path, capsys):
    (tmp_path / "bad.obj").write_text("")
    arguments = ["dataset", str(tmp_path), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert main([*arguments, "--displacement", "none"]) == 1
    assert "0 scans in" in capsys.readouterr().out
    made = dataset.load(tmp_path / "out")
    assert made.names == ()
    assert list(made.failed) == ["bad"]
    assert made.textures.shape == (0, 256, 256, 3)
    assert not made.has_displacement
    assert main([*arguments, "--displacement", "half"]) == 1
    assert (
        "was made with displacement 'none'; now given: displacement 'h" in capsys.readouterr().err
    )


def test_a_real_scan(real_data_folder, tmp_path):
    (face,) = build(real_data.james().parent, tmp_path / "out").geometry
    off = np.linalg.norm(face - standard().vertices, axis=1)
    assert np.median(off) < 15  # another face, at the template's place
    assert dataset.load(tmp_path / "out").valid.mean() > 0.6


def test_whom_a_scan_shows_is_told_by_its_path(whole):
    assert whole.subject_names == ("a", "third")
    assert whole.subjects.tolist() == [0, 0, 1]
    assert whole.expression_names == ("first", "second", "unknown")
    assert whole.expressions.tolist() == [0, 1, 2]
    assert not whole.is_neutral.any()
    with pytest.raises(
        DatasetError, match=r"2 subjects have no neutral scan, the first is a: .*csv"
    ):
        whole.neutral_geometry  # noqa: B018


def test_whom_a_scan_shows_is_told_by_a_table(copy):
    scans, out = copy
    before = stamps(out)
    (scans / "scans.csv").write_text(
        "scan,subject,expression,age\na/first.obj,ada,smile,36\na/second,ada,neutral,\n"
        "third,Bob,,41\n",
        encoding="utf-8-sig",
    )
    made = build(scans, out)
    assert stamps(out) == before  # nothing is aligned again
    assert made.subject_names == ("ada", "Bob")
    assert made.expression_names == ("neutral", "smile", "unknown")
    assert made.expressions.tolist() == [1, 0, 2]
    assert made.labels["age"].tolist() == ["36", "", "41"]
    of_ada = made.take(made.subjects == 0)
    assert of_ada.labels["age"].tolist() == ["36", ""]
    np.testing.assert_array_equal(of_ada.neutral_geometry, made.geometry[[1, 1]])
    assert made.fingerprint == dataset.load(out).fingerprint != of_ada.fingerprint


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name\nthird\n", "needs a column `scan`"),
        ("scan\nthrid\n", "line 2: 'thrid' is not a scan in the folder"),
        ("scan\nthird\nthird.obj\n", "line 3: 'third.obj' is listed twice"),
        ("scan,subject\nthird,a,b\n", "line 2 has more values than the header"),
    ],
)
def test_a_table_that_does_not_fit_is_named(table, message, copy):
    scans, out = copy
    (scans / "scans.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        build(scans, out)


def test_nothing_is_lost_but_what_is_said(scans, whole, tmp_path):
    exact = building.build(scans, tmp_path, resolution=R, quality=100, n_jobs=1, progress=False)
    assert np.abs(exact.textures.astype(int) - whole.textures).mean() < 3  # grey levels
    mapping = aligned_scan.mapping(R, exact.template)
    for row, part in enumerate(Folder(scans).parts()[name] for name in exact.names):
        (scan_,) = part.scans()
        arrays = aligned_scan.align(scan_, mapping)
        np.testing.assert_array_equal(arrays["texture"], exact.textures[row])
        np.testing.assert_array_equal(arrays["valid"], exact.valid[row])
        rounded = np.abs(arrays["displacement"] - exact.displacement[row])
        assert rounded.max() <= DISPLACEMENT_STEP / 2 + 1e-6
        assert arrays["displacement"].any()
        off = arrays["geometry"] - exact.geometry[row]
        assert np.sqrt((off**2).mean()) < 0.03  # mm


def test_arrays_in_memory_are_a_data_set_as_well():
    numbers, images = np.arange(5.0), np.zeros((5, 4, 4, 3), np.uint8)
    scans = dataset.Dataset.of(
        numbers[:, None, None] * np.ones((5, 2, 3)),
        images,
        subjects=[3, 3, 1, 1, 2],
        expressions=[1, 0, 0, 2, 0],
        expression_names=("neutral", "smile", "anger"),
    )
    assert scans.neutral_geometry[:, 0, 0].tolist() == [1, 1, 2, 2, 4]
    assert scans.take(np.array([4, 0])).geometry[:, 0, 0].tolist() == [4, 0]
    with pytest.raises(DatasetError, match="1 subjects have no neutral scan, the first is 3"):
        _ = scans.take(numbers != 1).neutral_geometry
    with pytest.raises(DatasetError, match="2 subjects have no neutral scan, the first is 1"):
        _ = scans.take(scans.expressions > 0).neutral_geometry


def test_displacement_in_memory():
    images, detail = (
        np.zeros((3, 4, 4, 3), np.uint8),
        np.zeros((3, 4, 4)) + np.arange(3)[:, None, None],
    )
    plain = dataset.Dataset.of(np.zeros((3, 2, 3)), images)
    assert not plain.has_displacement
    with pytest.raises(DatasetError, match="holds no displacement: it was left out"):
        _ = plain.displacement
    scans = dataset.Dataset.of(np.zeros((3, 2, 3)), images, displacement=detail)
    assert scans.take(np.array([2, 0])).displacement[:, 0, 0].tolist() == [2, 0]
    assert scans.fingerprint != plain.fingerprint
    assert scans.named(["1"]).displacement.max() == 1
    for wrong in (detail[:, :2], detail[:2], detail * np.nan):
        with pytest.raises(DatasetError, match=r"expected finite numbers for all .*\(3, 4, 4\)"):
            dataset.Dataset.of(np.zeros((3, 2, 3)), images, displacement=wrong)


def test_a_data_set_of_before_displacement_is_still_read(copy, whole):
    _, out = copy
    assert whole.has_displacement
    assert np.median(np.abs(whole.displacement[whole.valid])) > 0.01  # mm
    assert not whole.displacement[~whole.valid].any()
    settings = json.loads((out / dataset.SETTINGS).read_text())
    assert settings.pop("displacement") == "full"
    (out / dataset.SETTINGS).write_text(json.dumps(settings))
    for path in (out / "scans").rglob("*.npz"):
        kept = {k: v for k, v in np.load(path).items() if not k.startswith("displacement")}
        np.savez(path, **kept)
    old = dataset.load(out)
    np.testing.assert_array_equal(old.textures, whole.textures)
    with pytest.raises(DatasetError, match=r"out holds no displacement"):
        _ = old.displacement


def test_the_command_writes_a_scan_with_its_detail(whole, tmp_path):
    command = ["export", str(whole.folder), "a/second", "--out"]
    assert main([*command, str(tmp_path / "bent")]) == 0
    assert main([*command, str(tmp_path / "moved"), "--displaced", "1"]) == 0
    kinds = ("-texture.png", ".glb", ".mtl", ".obj", ".png")
    for name in ("bent", "moved"):
        found = sorted(path.name for path in (tmp_path / name / "a").iterdir())
        assert found == [f"second{kind}" for kind in kinds]
    assert b"normalTexture" in (tmp_path / "bent/a/second.glb").read_bytes()
    fine = trimesh.load_mesh(tmp_path / "moved/a/second.obj", process=False)
    assert len(fine.faces) == 4 * len(standard().faces)


def test_what_is_released_is_the_population_as_scanned():
    faces = dataset.released(5)
    assert len(faces) == 25
    assert faces.textures.shape == (25, 256, 256, 3)
    assert faces.expression_names == tuple(population.EXPRESSIONS)
    people = sample(5, 0, expressions=True, progress=False)
    truth = people.expressions[:, :, standard().landmarks].reshape(25, -1, 3)
    off = np.linalg.norm(faces.geometry[:, faces.template.landmarks] - truth, axis=2)
    assert np.median(off) < 1  # mm
    assert faces.valid.mean() > 0.92
    for name, of in faces.labels.items():
        assert of[::5].tolist() == [str(value) for value in people.labels[name]]
    painted, _ = population.paint(0, 4, 256)
    neutral = 4 * len(population.EXPRESSIONS)
    seen = faces.valid[neutral]
    gap = np.median(faces.textures[neutral][seen], axis=0) - np.median(painted, axis=(0, 1))
    assert np.abs(gap).max() < 40  # light and white balance are the scanner's


def test_every_released_file_is_whole():
    faces = dataset.released()
    n = len(faces)
    assert n % 25 == 0
    assert faces.subjects.tolist() == np.repeat(np.arange(n // 5), 5).tolist()
    assert faces.expressions.tolist() == [*range(5)] * (n // 5)
    assert [int(name) for name in faces.subject_names] == [*range(n // 5)]
    assert np.isfinite(faces.geometry).all()
    assert faces.valid.any(axis=(1, 2)).all()
    said = face_gan_release.card("faces")["data"]  # the first of those that it has learned from
    assert {*said["held out"]} < {*faces.subject_names}
    assert n // 5 <= said["subjects"] + len(said["held out"])


def test_some_scans_are_read_without_the_others():
    some = dataset.released()
    some = some.take(np.isin(some.subjects, [7, 3]))
    assert some.subjects.tolist() == [3] * 5 + [7] * 5
    np.testing.assert_array_equal(some.textures[0], dataset.released(4).textures[15])
