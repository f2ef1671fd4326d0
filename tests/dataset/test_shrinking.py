"""Coarser copies of data sets."""

import json

import numpy as np
import pytest

from facesynth.command import main
from facesynth.dataset import dataset, packing
from facesynth.dataset.shrinking import shrink
from facesynth.dataset.sources import DatasetError
from facesynth.files import tables
from facesynth.files.integers import JobsError
from facesynth.rendering.colour import from_uint8, to_uint8
from facesynth.template import standard

R, SUBJECTS = 8, ("ada", "bo", "cy")


@pytest.fixture
def fine(tmp_path):
    """A data set of three subjects, two scans each, with images of 8 x 8 pixels of noise."""
    rng, folder = np.random.default_rng(0), tmp_path / "fine"
    standard().save(folder / dataset.TEMPLATE)
    settings = {"resolution": R, "quality": 100, "displacement": "full", "seed": 0}
    settings["template"] = standard().digest
    (folder / dataset.SETTINGS).write_text(json.dumps(settings))
    rows = [(*dataset.COLUMNS, "age")]
    for subject in SUBJECTS:
        scans = [
            {
                "geometry": standard().vertices + rng.normal(0, 1, standard().vertices.shape),
                "texture": rng.integers(0, 256, (R, R, 3), np.uint8),
                "valid": rng.random((R, R)) < 0.7,
                "displacement": rng.normal(0, 0.5, (R, R)),
            }
            for _ in range(2)
        ]
        (folder / "scans").mkdir(exist_ok=True)
        np.savez(folder / "scans" / f"{subject}.npz", **packing.pack(scans, standard(), 100))
        rows += [(f"{subject}/{e}", subject, subject, e, "30") for e in ("neutral", "smile")]
    (folder / dataset.SCANS).write_text(tables.text_of(rows))
    (folder / dataset.FAILED).write_text(tables.text_of([("name", "reason"), ("di", "no face")]))
    return folder


def coarse(fine, out, resolution=4, **options):
    options = {"quality": 100, "displacement": "full", "n_jobs": 1, "progress": False} | options
    return shrink(fine, out, resolution=resolution, **options)


@pytest.mark.parametrize("resolution", [4, 2, 1])
def test_pixels_are_means_over_the_valid_ones(fine, tmp_path, resolution):
    whole, small = dataset.load(fine), coarse(fine, tmp_path / "out", resolution)
    np.testing.assert_array_equal(small.geometry, whole.geometry)
    assert small.names == whole.names
    assert small.labels["age"].tolist() == ["30"] * 6
    k = R // resolution
    for n in range(len(whole)):
        for i, j in np.ndindex(resolution, resolution):
            block = np.s_[n, i * k : (i + 1) * k, j * k : (j + 1) * k]
            valid = whole.valid[block]
            assert small.valid[n, i, j] == (valid.mean() >= 0.5)
            if small.valid[n, i, j]:
                light = from_uint8(whole.textures[block][valid]).mean(axis=0)
                np.testing.assert_array_equal(small.textures[n, i, j], to_uint8(light))
                mean = whole.displacement[block][valid].mean()
                assert abs(small.displacement[n, i, j] - mean) <= packing.DISPLACEMENT_STEP
    assert not small.displacement[~small.valid].any()


def test_the_first_subjects_and_what_was_rejected(fine, tmp_path):
    (fine / dataset.REJECTED).write_text("# blurred\nada/smile\ncy/smile\n")
    small = coarse(fine, tmp_path / "out", n_subjects=2)
    assert small.names == ("ada/neutral", "bo/neutral", "bo/smile")
    assert small.subject_names == ("ada", "bo")
    np.testing.assert_array_equal(small.geometry, dataset.load(fine).geometry[:3])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_files_are_read_as_editors_and_shells_write_them(fine, tmp_path, encoding):
    for name in (dataset.SETTINGS, dataset.SCANS, dataset.FAILED):
        text = (fine / name).read_text().replace("\n", "\r\n")
        (fine / name).write_bytes(text.encode(encoding))
    (fine / dataset.REJECTED).write_bytes("# Zoë\r\n\r\n  ada/smile\r\n\r\n".encode(encoding))
    names = ("ada/neutral", "bo/neutral", "bo/smile")
    assert dataset.load(str(fine)).names[:3] == names
    assert coarse(fine, tmp_path / "out", n_subjects=2).names == names


@pytest.mark.parametrize("name", [dataset.REJECTED, dataset.SCANS, dataset.SETTINGS])
def test_an_encoding_that_cannot_be_told_is_named(fine, name):
    with (fine / name).open("ab") as file:
        file.write("\nZoë\r\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=rf"{name}, line \d+: not in UTF-8; save the file as"):
        dataset.load(fine)


def test_no_process_copies_nothing(fine, tmp_path):
    with pytest.raises(JobsError):
        coarse(fine, tmp_path / "out", n_jobs=0)
    assert not (tmp_path / "out").exists()


def test_a_stopped_copy_resumes_and_what_changed_is_copied_anew(fine, tmp_path):
    out = tmp_path / "out"
    coarse(fine, out)
    files = {path: path.read_bytes() for path in (out / "scans").iterdir()}
    (out / "scans" / "bo.npz").unlink()
    (out / "scans" / "cy.npz").write_bytes(b"half")
    kept = (out / "scans" / "ada.npz").stat().st_mtime_ns
    coarse(fine, out)
    assert {path: path.read_bytes() for path in (out / "scans").iterdir()} == files
    assert (out / "scans" / "ada.npz").stat().st_mtime_ns == kept
    (fine / "scans" / "ada.npz").write_bytes((fine / "scans" / "bo.npz").read_bytes())
    again = coarse(fine, out)
    np.testing.assert_array_equal(again.geometry[:2], again.geometry[2:4])


@pytest.mark.parametrize("resolution", [8, 3, 16, 0, -4])
def test_a_resolution_that_is_no_part_is_refused(fine, tmp_path, resolution):
    with pytest.raises(DatasetError, match=f"has images of 8 pixels: .* not {resolution}$"):
        coarse(fine, tmp_path / "out", resolution, displacement="none")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [0, 4, -1])
def test_subjects_that_are_not_there_are_told(fine, tmp_path, n):
    with pytest.raises(DatasetError, match=f"has 3 subjects: {n} cannot be copied"):
        coarse(fine, tmp_path / "out", n_subjects=n)


def test_damage_and_other_settings_are_told(fine, tmp_path):
    coarse(fine, tmp_path / "out")
    with pytest.raises(DatasetError, match="was made with quality 100; now given: quality 90"):
        coarse(fine, tmp_path / "out", quality=90)
    (fine / "scans" / "bo.npz").write_bytes(b"half")
    with pytest.raises(DatasetError, match=r"bo\.npz is missing or damaged"):
        coarse(fine, tmp_path / "other")


def test_without_displacement(fine, tmp_path):
    assert not coarse(fine, tmp_path / "none", displacement="none").has_displacement
    settings = json.loads((fine / dataset.SETTINGS).read_text()) | {"displacement": "none"}
    (fine / dataset.SETTINGS).write_text(json.dumps(settings))
    assert not coarse(fine, tmp_path / "out").has_displacement


def test_command(fine, tmp_path, capsys):
    command = ["shrink", str(fine), "--out", str(tmp_path / "out"), "--resolution", "4"]
    assert main([*command, "--subjects", "1", "--jobs", "1"]) == 0
    assert "2 scans in" in capsys.readouterr().out
    assert len(dataset.load(tmp_path / "out")) == 2
    assert main([*command, "--subjects", "9"]) == 1
    assert "has 3 subjects" in capsys.readouterr().err
