"""A folder of scans becomes a data set: the same bytes whatever happens on the way."""

import dataclasses
import errno
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
from another_face import write
from PIL import Image
from scipy.spatial import cKDTree

from facesynth.alignment.deformation import similarity
from facesynth.alignment.registration import nonrigid
from facesynth.command import main
from facesynth.dataset import aligned_scan, contact_sheet, dataset
from facesynth.files.atomic import WriteError
from facesynth.mapping import UniversalMapping
from facesynth.people import real_data
from facesynth.population import sample
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.template import Template, standard
from facesynth.virtual_scanner import Scanner, scan

R = 64
ROUGH = Scanner(photograph=320, spacing=2.5, strands=0.0)  # quick


@pytest.fixture(scope="module")
def virtual():
    """Virtual scans by their names in the folder."""
    people = sample(3, 4, resolution=R, n_jobs=1, progress=False)
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
    return dataset.build(folder, out, resolution=resolution, n_jobs=n_jobs, progress=False)


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
    face = Template.load(path)
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
    with pytest.raises(
        dataset.DatasetError, match=r"was made with template .*, and now it would be"
    ):
        build(scans, out)
    standard().save(out / "template.npz")
    with pytest.raises(dataset.DatasetError, match="is not the template that this data set was"):
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
    at = data.index(b"\x93NUMPY") + 5000
    for damaged in (b"", data[: len(data) // 2], data[:at] + b"\1" + data[at + 1 :]):
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
        aligned_scan, "_align", lambda task: aligned.append(task.scan.name) or align(task)
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
    with pytest.raises(dataset.DatasetError, match=r"resolution 64.*resolution 96"):
        build(scans, out, resolution=96)
    monkeypatch.setattr(aligned_scan, "CODE", (*aligned_scan.CODE, "presets.py"))
    with pytest.raises(dataset.DatasetError, match="was made with code"):
        build(scans, out)
    assert content(out) == before
    (out / dataset.SETTINGS).write_text("[")
    with pytest.raises(dataset.DatasetError, match=r"settings\.json is damaged"):
        build(scans, out)


def test_a_second_run_in_the_same_folder_is_refused(copy):
    scans, out = copy
    with (
        filelock.FileLock(out / ".lock"),
        pytest.raises(dataset.DatasetError, match="another run is writing"),
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
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(WriteError, match=r"third\.npz: No space left.*free some"):
        build(scans, out)
    assert content(out) == before


def test_a_worker_that_dies_is_told(copy, monkeypatch):
    scans, out = copy
    (out / "scans" / "third.npz").unlink()
    monkeypatch.setattr(aligned_scan, "make", lambda _: os._exit(1))
    with pytest.raises(dataset.DatasetError, match="worker process died"):
        build(scans, out, n_jobs=2)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(dataset.DatasetError, match="nowhere is no folder"):
        build(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "scans").mkdir()
    with pytest.raises(dataset.DatasetError, match="no scans"):
        build(tmp_path / "scans", tmp_path / "out")
    for name in ("one.obj", "one.PLY", ".hidden.obj"):
        (tmp_path / "scans" / name).write_text("")
    with pytest.raises(dataset.DatasetError, match="would have one name, one;"):
        build(tmp_path / "scans", tmp_path / "out")
    (tmp_path / "scans" / "one.obj").unlink()
    assert list(dataset.find(tmp_path / "scans")) == ["one"]
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write to"):
        build(tmp_path / "scans", tmp_path / "file" / "out")
    with pytest.raises(dataset.DatasetError, match="unit is 'inch'"):
        dataset.build(tmp_path / "scans", tmp_path / "out", unit="inch")
    assert not (tmp_path / "out").exists()
    with pytest.raises(dataset.DatasetError, match="holds no finished data set"):
        dataset.load(tmp_path / "out")


def test_damage_is_told_when_it_is_read(copy):
    _, out = copy
    (out / "scans" / "third.npz").write_bytes(b"half")
    loaded = dataset.load(out)
    with pytest.raises(dataset.DatasetError, match=r"third\.npz is missing or damaged"):
        loaded.textures  # noqa: B018


def test_rejected_scans_are_left_out(copy, whole):
    _, out = copy
    rejected = out / "rejected.txt"
    rejected.write_text("# blurred\na/second\n\nbad\n")
    loaded = dataset.load(out)
    assert loaded.names == ("a/first", "third")
    np.testing.assert_array_equal(loaded.textures, whole.textures[[0, 2]])
    rejected.write_text("a/scond\n")
    with pytest.raises(dataset.DatasetError, match="a/scond"):
        dataset.load(out)


def test_contact_sheet(copy, monkeypatch):
    _, out = copy
    stale = out / "contact_sheet" / "page_002.png"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    (page,) = contact_sheet.write(dataset.load(out), n_jobs=1)
    assert not stale.exists()
    pixels = np.asarray(Image.open(page))
    cell = contact_sheet.WIDTH + contact_sheet.GAP
    assert pixels.shape[1] == 4 * cell + contact_sheet.GAP  # three scans, one failure
    hatched = (pixels == contact_sheet.STRIPE).all(axis=2)
    assert [hatched[:, k * cell : (k + 1) * cell].any() for k in range(4)] == [True] * 3 + [False]
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
    with pytest.raises(SystemExit, match="2"):
        main(["dataset", str(scans)])


def test_command_when_all_scans_fail(tmp_path, capsys):
    (tmp_path / "bad.obj").write_text("")
    arguments = ["dataset", str(tmp_path), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert main(arguments) == 1
    assert "0 scans in" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "scans.json").read_text())["names"] == []
    assert dataset.load(tmp_path / "out").textures.shape == (0, 256, 256, 3)


def test_a_real_scan(real_data_folder, tmp_path):
    (face,) = build(real_data.james().parent, tmp_path / "out").geometry
    off = np.linalg.norm(face - standard().vertices, axis=1)
    assert np.median(off) < 15  # another face, at the template's place
    assert dataset.load(tmp_path / "out").valid.mean() > 0.6
