"""The template as a value: anybody's face, read, checked, and kept."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from another_face import another_face, write

from facesynth.alignment.deformation import smooth
from facesynth.dataset.aligned_scan import mapping
from facesynth.files.atomic import WriteError
from facesynth.files.texts import EncodingError
from facesynth.mapping import UniversalMapping
from facesynth.surface.mesh import (
    MeshError,
    NonFiniteVertexError,
    SeveralComponentsError,
    check_disk,
)
from facesynth.template import (
    LANDMARKS,
    MissingLandmarkError,
    Template,
    TemplateError,
    TemplateFileError,
    TemplateLandmarkError,
    TemplateSizeError,
    standard,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("template")


@pytest.fixture(scope="module")
def another(folder):
    return Template.load(write(folder))


def obj(path, vertices, faces):
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    lines += ["vt 0 0", "vt 1 0", "vt 0 1"]  # seams: every corner has its own place
    lines += [f"f {a}/1/1 {b}/2/1 {c}/3/1" for a, b, c in (faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path


def table(path, rows, columns=("landmark", "vertex")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def test_names_are_of_the_43_landmarks():
    face = standard()
    at = dict(zip(LANDMARKS, face.vertices[face.landmarks], strict=True))
    assert at["nose_bridge_4"][2] == face.vertices[:, 2].max()
    assert at["right_eye_1"][0] < at["right_eye_4"][0] < 0 < at["left_eye_1"][0]
    assert at["left_eye_1"][0] < at["left_eye_4"][0]
    assert at["mouth_1"][0] < at["mouth_7"][0]
    assert at["mouth_4"][1] > at["mouth_10"][1]
    assert at["right_brow_1"][0] < at["right_brow_5"][0] < 0 < at["left_brow_1"][0]


def test_nobody_writes_to_a_template(another):
    for face in (standard(), another):
        for array in (
            face.vertices,
            face.faces,
            face.landmarks,
            face.boundary,
            *face.regions.values(),
        ):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_a_face_of_another_topology_keeps_its_vertices_and_loses_its_holes(another):
    vertices, faces, landmarks = another_face()
    np.testing.assert_array_equal(another.vertices, vertices)
    np.testing.assert_array_equal(another.landmarks, landmarks)
    np.testing.assert_array_equal(another.faces[: len(faces)], faces)
    assert set(another.filled) == {"left_eye", "right_eye", "mouth"}
    assert another.mirror is None
    loop = check_disk(another.vertices, another.faces)
    assert set(loop.tolist()) == set(another.boundary.tolist())
    assert another.vertices[another.boundary[0], 1] < another.vertices[:, 1].min() + 5
    # regions that were not given: around the landmarks, and the rims of the holes
    assert another.vertices[another.regions["left_eye"] > 0, 0].min() > 0
    nose = another.vertices[another.regions["nose"] > 0.9]
    assert np.abs(nose[:, 0]).max() < 25
    ours = standard()
    for name in ("eyes", "nose", "lips"):
        centre, same = (
            np.average(t.vertices, axis=0, weights=t.regions[name]) for t in (another, ours)
        )
        assert np.linalg.norm(centre - same) < 12  # mm


def test_a_mapping_of_it_magnifies_its_features(another):
    plain = UniversalMapping(another, 64, np.ones(len(another.vertices)))
    ours = UniversalMapping(another, 64)
    for name in ("eyes", "nose", "lips"):
        share = [(m.to_image(another.regions[name][:, None]) > 0.5).mean() for m in (plain, ours)]
        assert share[1] > 1.1 * share[0]


def test_what_is_saved_is_the_same_template(another, tmp_path):
    for face in (another, standard()):
        face.save(tmp_path / "kept.npz")
        again = Template.load(tmp_path / "kept.npz")
        assert again.digest == face.digest
        assert set(again.curves) == set(face.curves)
        assert set(again.filled) == set(face.filled)
        np.testing.assert_array_equal(again.vertices, face.vertices)
        assert (again.at_detected != face.at_detected).nnz == 0
    moved = dataclasses.replace(standard(), vertices=standard().vertices + 1e-9)
    assert moved.digest != standard().digest
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"kept\.npz"):
        another.save(tmp_path / "file" / "kept.npz")


def test_a_mesh_that_is_its_own_mirror_image_is_known_as_one(tmp_path):
    face = standard()
    path = obj(tmp_path / "face.obj", face.vertices, face.faces)
    table(tmp_path / "face.csv", zip(LANDMARKS, face.landmarks, strict=True))
    written = (tmp_path / "face.csv").read_text()
    (tmp_path / "face.csv").write_text(written, "utf-16")  # as Windows' programs do
    again = Template.load(path)
    np.testing.assert_array_equal(again.vertices, face.vertices)  # texture seams split nothing
    np.testing.assert_array_equal(again.mirror, face.mirror)
    assert again.boundary[0] == face.boundary[0]
    assert again.filled == {}


def test_landmarks_by_number_or_place_and_in_centimetres(another, tmp_path):
    vertices, faces, landmarks = another_face()
    path = obj(tmp_path / "face.obj", vertices / 10, faces)
    at = vertices[landmarks] / 10
    rows = [(k + 17, *at[k]) for k in (0, 9, 13, 19, 28, 31, 37)]
    table(tmp_path / "face.csv", rows, ("landmark", "x", "y", "z"))
    read = Template.load(path, unit="cm")
    assert read.known.tolist() == [0, 9, 13, 19, 28, 31, 37]
    np.testing.assert_array_equal(read.landmarks[read.known], landmarks[read.known])
    np.testing.assert_allclose(read.vertices, vertices, atol=1e-9)
    assert read.at_landmarks.shape == (43, len(vertices))
    assert read.at_landmarks.sum() == 7
    with pytest.raises(MissingLandmarkError, match="left_brow_1"):
        read.vertices_of([13, 5])
    with pytest.raises(TemplateSizeError, match="unit='cm'"):
        Template.load(path)


def test_vertex_groups_are_regions(another, folder, tmp_path):
    path = write(tmp_path)
    (tmp_path / "another.regions.json").write_text(json.dumps({"nose": [1, 5], "scar": [7]}))
    read = Template.load(path)
    assert np.flatnonzero(read.regions["nose"]).tolist() == [1, 5]
    assert np.flatnonzero(read.regions["scar"]).tolist() == [7]
    assert "lips" in read.regions
    (tmp_path / "another.regions.json").write_text(json.dumps({"nose": [99999]}))
    with pytest.raises(TemplateFileError, match=r"another\.regions\.json"):
        Template.load(path)


def bad(tmp_path, vertices=None, faces=None, landmarks=None, names=LANDMARKS):
    v, f, marks = another_face()
    v, f = v if vertices is None else vertices, f if faces is None else faces
    path = obj(tmp_path / "bad.obj", v, f)
    rows = zip(LANDMARKS, marks if landmarks is None else landmarks, strict=True)
    table(tmp_path / "bad.csv", [row for row in rows if row[0] in names])
    return path


def test_meshes_that_are_no_template_are_named(tmp_path):
    v, f, _ = another_face()
    two = np.concatenate([f, f[:2] + 0])
    with pytest.raises(MeshError, match=r"bad\.obj"):
        Template.load(bad(tmp_path, faces=two))
    apart = np.concatenate([v, v + 300]), np.concatenate([f, f + len(v)])
    with pytest.raises(SeveralComponentsError, match=r"bad\.obj.*[Kk]eep the largest"):
        Template.load(bad(tmp_path, *apart))
    broken = v.copy()
    broken[5] = np.nan
    with pytest.raises(NonFiniteVertexError, match=r"bad\.obj.*vertex 5"):
        Template.load(bad(tmp_path, broken))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (LANDMARKS[:5], "5 landmarks; 6 or more"),
        (tuple(n for n in LANDMARKS if n != "right_eye_1"), "lacks right_eye_1"),
    ],
)
def test_too_few_landmarks_are_named(tmp_path, names, message):
    with pytest.raises(TemplateLandmarkError, match=message):
        Template.load(bad(tmp_path, names=names))


def test_faces_of_another_size_or_pose_are_named(tmp_path):
    v, _, marks = another_face()
    with pytest.raises(TemplateSizeError, match=r"16\d\.\d mm apart.*scale it"):
        Template.load(bad(tmp_path, 2 * v))
    with pytest.raises(TemplateSizeError, match="does not look along"):
        Template.load(bad(tmp_path, v * [1, -1, -1]))
    swapped = marks.copy()
    swapped[[19, 28]] = swapped[[28, 19]]
    with pytest.raises(TemplateSizeError, match="swap left and right"):
        Template.load(bad(tmp_path, landmarks=swapped))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("chin", 5), r"line 2: unknown landmark 'chin'"),
        (("nose_base_1", 10**6), r"line 2: vertex 1000000 is outside"),
        (("nose_base_1", "left"), r"line 2: neither a vertex"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line(tmp_path, row, message):
    path = bad(tmp_path)
    table(tmp_path / "bad.csv", [row])
    with pytest.raises(TemplateLandmarkError, match=message):
        Template.load(path)


def test_a_landmark_off_the_surface_is_named(tmp_path):
    path = bad(tmp_path)
    table(tmp_path / "bad.csv", [("nose_bridge_4", 0, 0, 200)], ("landmark", "x", "y", "z"))
    with pytest.raises(TemplateLandmarkError, match=r"line 2: nose_bridge_4 is 1\d\d\.\d mm from"):
        Template.load(path)


def test_files_that_are_missing_damaged_or_of_another_kind_are_named(tmp_path):
    path = bad(tmp_path)
    (tmp_path / "bad.csv").write_bytes(b"landmark,vertex\nnez,\xe9\n")
    with pytest.raises(EncodingError, match=r"bad\.csv, line 2: not in UTF-8"):
        Template.load(path)
    (tmp_path / "bad.csv").unlink()
    with pytest.raises(TemplateLandmarkError, match=r"bad\.csv is missing.*right_brow_1"):
        Template.load(path)
    for name, content in (("no.obj", None), ("no.npz", None), ("cut.npz", b"PK"), ("x.stl", b"")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(TemplateFileError, match=name.replace(".", r"\.")):
            Template.load(tmp_path / name)
    with pytest.raises(TemplateError, match="known are mm, cm, m"):
        Template.load(path, unit="inch")


def test_using_a_template_does_not_change_it():
    face = dataclasses.replace(standard())
    operator = face.at_detected
    operator.sort_indices()
    operator.sum_duplicates()
    face.at_landmarks.sort_indices()
    assert face.digest == dataclasses.replace(standard()).digest


def test_equal_templates_share_what_was_made_for_one_of_them(another, tmp_path):
    another.save(tmp_path / "copy.npz")
    copy = Template.load(tmp_path / "copy.npz")
    assert copy == another
    assert copy is not another
    assert hash(copy) == hash(another)
    assert another != standard()
    assert another != "another"
    assert smooth(copy) is smooth(another)
    assert mapping(32, copy) is mapping(32, another)
