"""The report: few scans, copies and controls, templates without landmarks, and what is written."""

import dataclasses
import json
import re

import numpy as np
import pytest
from another_face import write as write_another
from changed_scans import changed

from facesynth.dataset import dataset
from facesynth.dataset.aligned_scan import mapping
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation import report, scores
from facesynth.evaluation.report import Faces
from facesynth.evaluation.swd import EvaluationError
from facesynth.files.integers import JobsError
from facesynth.template import LANDMARKS, Template

SIDE = 64


def small(faces, rows):
    """Some scans with small textures, which are fast to compare."""
    taken = faces.take(rows)
    blocks = taken.textures.reshape(len(taken), SIDE, 4, SIDE, 4, 3)
    textures = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return changed(taken, textures=textures, valid=taken.valid[:, ::4, ::4])


@pytest.fixture(scope="module")
def scans():
    """Four people in three expressions each: nine scans to learn from, three held out."""
    read = dataset.released(4)
    some = read.expressions < 3
    return small(read, some & (read.subjects > 0)), small(read, some & (read.subjects == 0))


def to_images(geometry):
    return mapping(32, dataset.released(0).template).to_image(geometry)


def measured(train, test, generated, images=to_images, **settings):
    return report.measure(train, test, generated, images, n_jobs=1, progress=False, **settings)


@pytest.fixture(scope="module")
def held_out_as_generated(scans):
    """What says of real faces that they are generated."""
    train, test = scans
    return measured(train, test, Faces(test.geometry, test.textures, test.valid))


@pytest.fixture(scope="module")
def copied(scans):
    """Of a generator that copies its training scans."""
    train, test = scans
    return measured(train, test, Faces(train.geometry, train.textures, train.valid))


@pytest.fixture
def quick(monkeypatch):
    """Descriptors of a few pixels in place of a network's, and few and small pictures."""

    def describe(geometry, textures, *_, **__):
        return textures[:, 4::8, 4::8].reshape(len(textures), 192)[:, :128] / np.float32(255)

    for name, value in (("SHOWN", 2), ("PAIRS", 1), ("VIEW", 48)):
        monkeypatch.setattr(report, name, value)

    monkeypatch.setattr(report.identity, "describe", describe)


def test_few_scans_are_enough_for_a_report(copied):
    assert copied.left_out == {}
    assert copied.settings["training scans"] == 9
    assert copied.settings["components"] == 8
    assert {row["mean"].n for row in copied.tables["textures"].values()} == {3}
    assert list(copied.tables["geometries"]["PCA"]) == ["32", "16", "mean"]
    sizes = {name: number.n for name, number in copied.tables["identities"]["train"].items()}
    assert sizes == {
        "3DMM": 3,
        "copula 3DMM": 3,
        "proposed": 3,
        "train": 3,
    }  # the smaller half of the subjects


def test_a_generator_that_copies_is_found_out(copied, held_out_as_generated):
    near = "generated face to its nearest training scan"
    known = "generated face recognised as a training subject"
    assert copied.numbers[near].value == 0
    assert copied.numbers[known].value == 1
    assert copied.numbers["held-out scan recognised as a training subject"].value == 0
    assert held_out_as_generated.numbers[known].value == 0
    assert copied.pairs["nearest_of_proposed"] == [0] * 6


def test_held_out_scans_as_generated_are_as_far_as_held_out_scans(held_out_as_generated):
    found = held_out_as_generated.numbers
    a, b = (
        found[f"{name} to its nearest training scan"]
        for name in ("generated face", "held-out scan")
    )
    assert a.value == b.value
    assert b.low is None  # of one subject
    assert held_out_as_generated.pairs["nearest_of_test"] == [0] * 3
    identities = held_out_as_generated.tables["identities"]["test"]
    assert identities["proposed"].value < identities["train"].value / 2
    assert identities["train"].value > 10


def test_copies_are_as_near_as_real_images(copied):
    for table in ("textures", "geometries"):
        rows = copied.tables[table]
        assert rows["proposed"]["mean"].value < 1.5 * rows["real"]["mean"].value


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same_numbers(scans):
    train, test = scans
    made = Faces(train.geometry, train.textures)
    first, again, other = (measured(train, test, made, seed=seed) for seed in (0, 0, 1))
    assert (again.tables, again.numbers) == (first.tables, first.numbers)
    of_numpy = measured(train, test, made, seed=np.int64(0))
    assert json.dumps(of_numpy.settings) == json.dumps(first.settings)
    with pytest.raises(JobsError):
        report.measure(train, test, made, to_images, n_jobs=0)
    assert other.tables["textures"] != first.tables["textures"]
    assert other.tables["identities"] != first.tables["identities"]


@pytest.mark.usefixtures("quick")
def test_textures_are_compared_at_the_smaller_resolution(scans):
    train, test = scans
    fine = changed(
        train, textures=train.textures.repeat(2, axis=1).repeat(2, axis=2),
        valid=train.valid.repeat(2, axis=1).repeat(2, axis=2),
    )  # fmt: skip
    made = Faces(train.geometry, train.textures)
    other = changed(test, textures=test.textures[:, ::2, ::2])
    with pytest.raises(EvaluationError, match=r"held-out faces .* a multiple of 64 pixels"):
        measured(train, other, made)
    with_fine = changed(
        test, textures=test.textures.repeat(2, axis=1).repeat(2, axis=2),
        valid=test.valid.repeat(2, axis=1).repeat(2, axis=2),
    )  # fmt: skip
    a, b = measured(fine, with_fine, made), measured(train, test, made)
    assert a.settings["texture resolution"] == SIDE
    assert a.tables == b.tables


def test_json_is_strict_and_the_page_needs_no_other_file(copied, tmp_path):
    copied.write(str(tmp_path))

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "report.json").read_text()
    content = json.loads(text, parse_constant=refuse)
    cell = content["tables"]["textures"]["real"]["64"]
    assert set(cell) == {"value", "low", "high", "n", "unit"}
    page = (tmp_path / "index.html").read_text()
    images = re.findall(r"<img ([^>]*)>", page)
    assert len(images) == len(copied.pictures) == len(list(tmp_path.glob("*.png"))) == 5
    assert all('src="data:image/png;base64,' in i and re.search('alt="[^"]{20}', i) for i in images)
    assert not re.search(r"(href|src)=\"(?!data:)", page)
    assert "Few held-out subjects" in page
    assert "Table 1 (3 faces in each set)" in page
    assert not re.search(r"\bnan\b|\bNone\b", re.sub('base64,[^"]*', "", page))


@pytest.mark.usefixtures("quick")
def test_one_scan_of_each_subject_has_no_threshold(scans, tmp_path):
    train, test = scans
    single = train.take(train.expressions == 0)
    made = measured(single, test, Faces(train.geometry, train.textures))
    assert "one scan of each subject" in made.left_out["Shares recognised as a training subject"]
    assert "4 training scans" in made.left_out["Table 1, of textures"]
    assert "generated face to its nearest training scan" in made.numbers
    made.write(tmp_path)
    assert "What could not be measured" in (tmp_path / "index.html").read_text()


@pytest.mark.usefixtures("quick")
def test_a_single_scan_and_face_make_a_report(scans, tmp_path):
    train, test = scans
    one = train.take(np.arange(9) == 0)
    nobody = test.take(test.subjects < 0)
    made = measured(one, nobody, Faces(one.geometry, one.textures))
    assert set(made.left_out) == {
        "The rows PCA and 3DMM",
        "Table 1, of textures",
        "Table 2, of geometries",
        "Row train of Table 3",
        "Row test of Table 3",
        "The control by held-out scans",
        "Shares recognised as a training subject",
    }
    made.write(tmp_path)


def test_another_template_is_measured_where_it_stands(scans, tmp_path, monkeypatch):
    """Another mesh, and far from the origin; with and without the landmarks of a chip."""
    for name, value in (("SHOWN", 1), ("PAIRS", 1), ("VIEW", 48)):
        monkeypatch.setattr(report, name, value)
    some = tuple(name for name in LANDMARKS if not name.startswith("nose_base"))
    whole = Template.load(write_another(tmp_path / "whole"))
    lacking = Template.load(write_another(tmp_path / "lacking", some))
    away = dataclasses.replace(whole, vertices=whole.vertices + [300, -200, 100])
    rng = np.random.default_rng(0)
    warps = rng.normal(0, 2, (12, 1, 3)) * np.sin(whole.vertices / 40)
    textures = np.concatenate([scans[0].textures, scans[1].textures])

    subjects = np.repeat([1, 2, 3, 0], 3)

    def people(template, rows):
        geometry = (template.vertices + warps[rows]).astype(np.float32)
        return Dataset.of(geometry, textures[rows], subjects=subjects[rows], template=template)

    def of(template):
        train, test = (people(template, rows) for rows in (slice(9), slice(9, 12)))
        made = Faces(train.geometry, train.textures)

        def images(geometry):
            return mapping(32, template).to_image(geometry)

        return measured(train, test, made, images)

    a, b, c = of(whole), of(away), of(lacking)
    assert a.left_out == b.left_out == {}
    for name, number in a.numbers.items():
        assert b.numbers[name].value == pytest.approx(number.value, abs=0.02)
    (why,) = c.left_out.values()
    assert "nose_base_3" in why
    assert set(c.tables) == {"textures", "geometries"}
    c.write(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "Nearest neighbours" not in page
    assert why in page


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_compared_is_named(scans):
    train, test = scans
    with pytest.raises(EvaluationError, match="9 training scans and 0 generated faces"):
        measured(train, test, Faces(train.geometry[:0], train.textures[:0]))
    with pytest.raises(EvaluationError, match="generated faces have geometry"):
        measured(train, test, Faces(train.geometry[:, 1:], train.textures))
    broken = train.geometry.copy()
    broken[0, 0] = np.nan
    with pytest.raises(EvaluationError, match="finite"):
        measured(train, test, Faces(broken, train.textures))

    def too_far(geometry):
        raise ValueError("face 0 is 80 mm from the mean")

    made = measured(train, test, Faces(train.geometry, train.textures), images=too_far)
    assert made.left_out == {"Table 2, of geometries": "face 0 is 80 mm from the mean"}


def test_intervals_know_of_subjects():
    values, subjects = np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1])
    found = scores.median(values, subjects)
    assert (found.low, found.value, found.high, found.n) == (1.0, 2.0, 3.0, 4)
    assert scores.median(values, np.zeros(4, int)).low is None
    assert f"{scores.median(values, np.zeros(4, int)):.1f}" == "2.0"
    assert f"{found:.1f}" == "2.0 (1.0 to 3.0)"
    found = scores.share(values > 2, subjects)
    assert (found.value, found.n, found.unit) == (0.5, 4, "share")
    assert found.high - found.low > 0.8  # of two subjects
    assert scores.share(values > 2, np.zeros(4, int)).low is None
    with pytest.raises(ValueError, match="nothing"):
        scores.share(values[:0] > 2)
    with pytest.raises(ValueError, match="no values"):
        scores.median(values[:0])
