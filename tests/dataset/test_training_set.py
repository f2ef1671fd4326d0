"""Scans become files, and come back; a run that was stopped goes on."""

import numpy as np
import pytest

from facesynth import expressions, population, virtual_scanner
from facesynth.command import main
from facesynth.dataset import training_set
from facesynth.dataset.training_set import (
    KEPT_EVERY,
    STEP,
    TrainingSetError,
    pack_geometry,
    unpack_geometry,
)
from facesynth.evaluation import annotation
from facesynth.population import sample
from facesynth.population.expression import sample_expressions
from facesynth.population.identity import sample_faces
from facesynth.surface.mesh import graph_laplacian
from facesynth.template import standard
from facesynth.virtual_scanner import open_world

EXPRESSIONS = {name: population.EXPRESSIONS[name] for name in ("neutral", "smile")}


@pytest.fixture(scope="module")
def faces():
    return sample(4, 8, expressions=True, progress=False).expressions[:, 2]


def test_geometry_comes_back_to_hundredths_of_a_millimetre(faces):
    packed = pack_geometry(faces)
    back = unpack_geometry(packed)
    assert back.shape == faces.shape
    assert back.dtype == np.float32
    assert len(packed) < 0.12 * faces.astype(np.float32).nbytes
    off = back - faces
    assert np.sqrt((off**2).mean()) < 0.03  # mm
    assert np.abs(off).max() < 0.4


def test_what_rounding_does_is_smooth(faces):
    off = (unpack_geometry(pack_geometry(faces)) - faces).astype(float)[0]
    laplacian = graph_laplacian(standard().faces)
    roughness = (laplacian @ off) / laplacian.diagonal()[:, None]  # against the neighbours
    assert np.sqrt((roughness**2).mean()) < STEP / 2 < np.sqrt((off**2).mean())


def test_packing_what_was_unpacked_changes_little(faces):
    once = unpack_geometry(pack_geometry(faces))
    twice = unpack_geometry(pack_geometry(once))
    assert np.sqrt(((twice - once) ** 2).mean()) < STEP


def test_the_template_itself_is_exact_and_small():
    still = standard().vertices[None]
    packed = pack_geometry(still)
    assert len(packed) < 300  # bytes, of 223,416 in float64
    np.testing.assert_allclose(unpack_geometry(packed), still, atol=1e-4)
    assert len(still[0, ::KEPT_EVERY]) == 466


@pytest.fixture
def small(monkeypatch):
    """One subject a file and two expressions; returns the subjects that were scanned."""
    monkeypatch.setattr(training_set, "SUBJECTS_A_FILE", 1)
    monkeypatch.setattr(training_set, "EXPRESSIONS", EXPRESSIONS)
    scanned = []

    def some(seed, subject, resolution):
        scanned.append(subject)
        identities, _ = sample_faces(1, seed, subject)
        faces = sample_expressions(identities, seed, subject)[0][0]
        for k in range(2):
            texture, relief = population.paint(seed, subject, resolution, faces[k])
            yield virtual_scanner.scan(faces[k], texture, relief=relief, seed=[seed, subject, k])

    monkeypatch.setattr(open_world, "scans", some)
    return scanned


def build(folder, n=2, resolution=64, seed=0):
    return training_set.build(
        n,
        seed,
        folder,
        open_world.scans,
        sources=open_world.SOURCES,
        resolution=resolution,
        n_jobs=1,
        progress=False,
    )


def test_a_training_set_from_scanner_to_file_and_back(small, tmp_path, capsys):
    made = build(tmp_path)
    assert len(made) == 4
    assert made.subjects.tolist() == [0, 0, 1, 1]
    assert made.expressions.tolist() == [0, 1, 0, 1]
    assert made.textures.shape == (4, 64, 64, 3)
    assert made.textures.dtype == np.uint8
    assert 0.4 < made.valid.mean() < 0.95
    # the faces that were before the scanner, as well as alignment finds them
    truth = sample(2, 0, expressions=True, progress=False).expressions[:, :2].reshape(4, -1, 3)
    assert np.median(np.linalg.norm(made.geometry - truth, axis=2)) < 2  # mm
    smile = np.linalg.norm(made.geometry[1] - made.geometry[0], axis=1)
    assert smile.max() > 4

    assert small == [0, 1]
    files = {path: path.read_bytes() for path in tmp_path.glob("*.npz")}
    again = build(tmp_path)
    assert small == [0, 1]  # nothing is scanned again
    np.testing.assert_array_equal(again.geometry, made.geometry)

    (tmp_path / "0001.npz").unlink()
    build(tmp_path)
    assert small == [0, 1, 1]
    assert {path: path.read_bytes() for path in tmp_path.glob("*.npz")} == files
    assert not list(tmp_path.glob(".*"))

    command = ["training-set", "--subjects", "2", "--resolution", "64", "--jobs", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0  # goes on, and has nothing to do
    assert "4 scans in" in capsys.readouterr().out
    described = annotation.load(tmp_path / annotation.FILE)
    np.testing.assert_array_equal(described.subjects, made.subjects)
    np.testing.assert_array_equal(described.labels["gender"], ["male", "male", "female", "female"])
    added = expressions.load(tmp_path / expressions.FILE)
    assert np.linalg.norm(added["smile"], axis=1).max() > 4

    # as if there had been one subject only, when it was described
    annotation.save(tmp_path / annotation.FILE, described.take(described.subjects == 0))
    expressions.save(tmp_path / expressions.FILE, {name: 0 * of for name, of in added.items()})
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert len(annotation.load(tmp_path / annotation.FILE)) == 4
    again = expressions.load(tmp_path / expressions.FILE)
    np.testing.assert_array_equal(again["smile"], added["smile"])

    assert main([*command, "--out", str(tmp_path), "--seed", "7"]) == 1
    assert "is of seed 0, not 7" in capsys.readouterr().err

    first = training_set.load(tmp_path, 1)
    np.testing.assert_array_equal(first.textures, made.textures[:2])

    with pytest.raises(TrainingSetError, match=r"0000\.npz is of seed 0, not 7"):
        build(tmp_path, seed=7)
    with pytest.raises(TrainingSetError, match="is of resolution 64, not 128"):
        build(tmp_path, resolution=128)
    content = (tmp_path / "0001.npz").read_bytes()
    for damaged in (content[:1000], b"", content[:-40] + bytes(40)):
        (tmp_path / "0001.npz").write_bytes(damaged)
        with pytest.raises(TrainingSetError, match=r"0001\.npz is missing or damaged .*remove it"):
            training_set.load(tmp_path)


def test_a_full_disk_leaves_nothing_half_written(small, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match=r"could not write .*0000\.npz: No space left"):
        build(tmp_path, n=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n", [0, -5, 3])
def test_a_number_of_subjects_that_fills_no_files_is_named(n, tmp_path):
    with pytest.raises(TrainingSetError, match=f"{n} subjects do not fill files of 5"):
        training_set.build(n, 0, tmp_path, open_world.scans, progress=False)
    assert not list(tmp_path.iterdir())


def test_no_training_set_is_named(tmp_path):
    with pytest.raises(TrainingSetError, match="holds no training set: build one"):
        training_set.load(tmp_path)
    with pytest.raises(TrainingSetError, match=r"0000\.npz is missing or damaged"):
        training_set.load(tmp_path, 5)


def test_one_files_scans_are_each_subject_in_all_expressions():
    scans = list(open_world.scans(0, 3, 64))
    assert [scan.name for scan in scans] == [f"subject 3, {e}" for e in population.EXPRESSIONS]
    assert all(len(scan.photographs) == 2 for scan in scans)


def test_what_is_released_is_the_population_as_scanned():
    faces = training_set.released(5)
    assert len(faces) == 25
    assert faces.textures.shape == (25, 256, 256, 3)
    truth = sample(5, 0, expressions=True, progress=False).expressions.reshape(25, -1, 3)
    off = np.linalg.norm(faces.geometry - truth, axis=2)
    assert np.median(off) < 1  # mm
    assert 0.6 < faces.valid.mean() < 0.9
    painted, _ = population.paint(0, 4, 256)
    neutral = 4 * len(population.EXPRESSIONS)
    seen = faces.valid[neutral]
    gap = np.abs(faces.textures[neutral].astype(float) - painted)[seen]
    assert np.median(gap) < 40  # light and white balance are the scanner's


def test_every_released_file_is_whole():
    faces = training_set.released()
    assert len(faces) % 25 == 0
    assert faces.subjects.tolist() == np.repeat(np.arange(len(faces) // 5), 5).tolist()
    assert np.isfinite(faces.geometry).all()
    assert faces.valid.any(axis=(1, 2)).all()


def test_neutral_geometry_is_that_of_the_same_subject():
    subjects, expressions = np.array([3, 3, 1, 1, 2]), np.array([1, 0, 0, 2, 0])
    numbers = np.arange(5.0)
    images = np.zeros((5, 4, 4, 3), np.uint8)
    scans = training_set.TrainingSet(
        subjects, expressions, numbers[:, None, None] * np.ones((5, 2, 3)), images, images[..., 0]
    )
    assert scans.neutral_geometry[:, 0, 0].tolist() == [1, 1, 2, 2, 4]
    with pytest.raises(TrainingSetError, match="1 subjects have no neutral scan, the first is 3"):
        _ = scans.take(numbers != 1).neutral_geometry
    with pytest.raises(TrainingSetError, match="2 subjects have no neutral scan, the first is 1"):
        _ = scans.take(expressions > 0).neutral_geometry


def test_some_subjects_are_read_from_the_released_set():
    read = training_set.released_subjects({7, 3})
    assert read.subjects.tolist() == [3] * 5 + [7] * 5
    assert read.expressions.tolist() == [*range(5)] * 2
    first = training_set.released(4)
    np.testing.assert_array_equal(read.textures[0], first.textures[15])
    with pytest.raises(TrainingSetError, match="9995"):
        training_set.released_subjects({9999})


def test_files_that_other_code_has_made_are_not_completed(small, tmp_path, monkeypatch):
    build(tmp_path)
    (tmp_path / "0001.npz").unlink()
    monkeypatch.setattr(
        training_set.aligned_scan, "made_by", lambda _: {"facesynth": "0", "code": "another"}
    )
    with pytest.raises(
        TrainingSetError, match=r"0000\.npz was made by other code.*remove the files"
    ):
        build(tmp_path)
    assert small == [0, 1]  # nothing was scanned
    (tmp_path / "0000.npz").write_bytes(b"")
    with pytest.raises(TrainingSetError, match=r"0000\.npz is missing or damaged"):
        build(tmp_path)
