"""Landmarks from the files in which people keep them, and everything wrong with such a file."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facesynth.people import real_data
from facesynth.scans import LandmarkFileError, Scan
from facesynth.scans.landmark_files import (
    SUFFIXES,
    forty_three,
    landmarks_beside,
    misfits,
    read_landmarks,
    write_landmarks,
)
from facesynth.template import MIRROR, standard

FACE = standard().vertices[standard().landmarks]
ONE_FOLDER = [HealthCheck.function_scoped_fixture]
SEEDS = st.integers(0, 2**32 - 1)


def turned(rng, points=FACE):
    """The points as a scanner with other axes has them, in another place and unit."""
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return rng.uniform(0.1, 2) * points @ rotation.T + rng.normal(scale=100, size=3)


def somebody(rng, n=43):
    """Rows (n, 3) with somebody's landmarks in any orientation, three of them unknown."""
    points = turned(rng, FACE + rng.normal(scale=1.5, size=FACE.shape))
    points[rng.choice(43, 3, replace=False)] = np.nan
    jaw, lips = (rng.normal(scale=100, size=(k, 3)) for k in (17, 8))
    parts = {43: [points], 51: [points, lips], 68: [jaw, points, lips]}[n]
    return np.round(np.concatenate(parts), 6)


def kept(rows):
    return rows[17:60] if len(rows) == 68 else rows[:43]


def table(delimiter=",", heading="", point=".", missing="nan", name=None, after=""):
    """A writer of tables in a dialect; `name` gives the first cell of row k."""

    def write(rows):
        lines = [heading] if heading else []
        for k, row in enumerate(rows.tolist()):
            cells = [missing if np.isnan(c) else str(c).replace(".", point) for c in row]
            lines.append(delimiter.join(([name(k)] if name else []) + cells) + after)
        return "\n".join(lines).encode()

    return write


def unknown_as_null(rows):
    return [[None if np.isnan(c) else c for c in row] for row in rows.tolist()]


def markups(rows):
    points = [
        {"label": f"F-{k}", "position": row, "positionStatus": "defined"}
        if None not in row
        else {"label": f"F-{k}", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"}
        for k, row in enumerate(unknown_as_null(rows))
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points}]}


def array(rows):
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def ibug(rows):
    head = f"version: 1\nn_points: {len(rows)}\n{{\n"
    return head.encode() + table(" ")(rows) + b"\n}\n"


def picked(rows, order=None, name=str):
    """MeshLab's XML: with unknown points inactive, in any order."""
    points = [
        f' <point x="{x}" y="{y}" z="{z}" active="1" name="{name(k)}"/>'
        if np.isfinite(x + y + z)
        else f' <point x="0" y="0" z="0" active="0" name="{name(k)}"/>'
        for k, (x, y, z) in enumerate(rows.tolist())
    ]
    ordered = "\n".join(points if order is None else [points[k] for k in order])
    head = '<!DOCTYPE PickedPoints>\n<PickedPoints>\n <DocumentData><User name="a"/></DocumentData>'
    return f"{head}\n{ordered}\n</PickedPoints>\n".encode()


def as_json(wrap):
    return lambda rows: json.dumps(wrap(rows)).encode()


KINDS = {
    ".json": as_json(unknown_as_null),
    ".ljson": as_json(lambda rows: {"version": 2, "landmarks": {"points": unknown_as_null(rows)}}),
    ".mrk.json": as_json(markups),
    ".npy": array,
    ".pts": ibug,
    ".pp": picked,
    ".fcsv": table(
        heading="# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID",
        name=lambda k: f"vtkMRMLMarkupsFiducialNode_{k}",
        after=",0,0,0,1,1,1,0,F-1,,",
    ),
    ".csv": table(heading="x,y,z"),
    ".tsv": table("\t"),
    ".txt": table(" ", "# by hand"),
}


@pytest.fixture
def written(tmp_path):
    """A bump's file, 180 mm wide."""
    n = 8
    x, y = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-90, 90, n)]))
    vertices = np.column_stack([x, y, 60 * np.cos(np.hypot(x, y) / 90)])
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.column_stack([a, a + 1, a + n + 1, a, a + n + 1, a + n]).reshape(-1, 3)
    uv, first = np.zeros((len(faces), 3, 2)), np.zeros(len(faces), np.int64)
    image = np.zeros((2, 2, 3), np.uint8)
    Scan(vertices, faces, uv, first, (image,)).save(tmp_path / "bump.obj")
    return tmp_path / "bump.obj"


def rows_68():
    """68 points near the bump in a plane, each recognisable by its z: their side cannot be told."""
    return np.column_stack([np.linspace(-60, 60, 68), np.zeros(68), 50 + np.arange(68) / 10])


def test_every_kind_is_listed():
    assert {kind for kind in SUFFIXES if kind.islower()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=SEEDS, n=st.sampled_from([43, 51, 68]))
@hypothesis_settings(max_examples=15, suppress_health_check=ONE_FOLDER)
def test_every_kind_comes_back(tmp_path, kind, seed, n):
    rows = somebody(np.random.default_rng(seed), n)
    for suffix in (kind, kind.upper()):
        path = tmp_path / f"face{suffix}"
        path.write_bytes(KINDS[kind](rows))
        np.testing.assert_allclose(read_landmarks(path), kept(rows))
        assert landmarks_beside(tmp_path / "face.obj") == path
        path.unlink()


@given(seed=SEEDS)
def test_what_is_written_comes_back(tmp_path_factory, seed):
    rows = somebody(np.random.default_rng(seed))
    path = tmp_path_factory.mktemp("written") / "face.json"
    path.write_text(write_landmarks(rows))
    np.testing.assert_array_equal(read_landmarks(path), rows)


@pytest.mark.parametrize(
    "write",
    [
        table(heading='"x [mm]","y [mm]","z [mm]"'),
        table(heading="X (mm), Y (mm), Z (mm)", delimiter=", "),
        table("  ", heading='"x [mm]" "y [mm]" "z [mm]"'),
        table(" ", heading="x [mm] y [mm] z [mm]"),
        table(heading=",x,y,z", name=str),  # of pandas
        table(" ", heading='"x" "y" "z"', name=lambda k: f'"{k + 1}"'),  # of R
        table(heading="landmark,pos_x,pos_y,pos_z", name=lambda k: f'"eye, {k}"'),
        table(heading="landmark,vertex,x,y,z", name=lambda k: f"mouth_{k},{7 * k}"),
        table(heading="label,l,p,s,defined,description", name=str, after=",1,", missing=""),
        table(heading="x,y,z,nx,ny,nz", after=",0.1,0.2,0.3"),
        table(heading="Face 12\n\nx;y;z", delimiter=";", point=","),
        table(heading="a,b,c", after=",,"),
        table(name=str),
        table(name=lambda k: f"left eye {k}", missing=""),
        table(" ", name=lambda k: "left eye" if k % 2 else "nose"),
        table(" ", after=" nose"),
        table(" ", after="  # nose, its tip"),
        table(";", point=","),
        table(";", heading="x/mm;y/mm;z/mm", point=",", missing="", after=";"),
        table("\t", heading="x\ty\tz", point=",", missing="NaN"),
        table("\t", name=str, point=","),
        table(",\t", missing="n/a"),
        table("   ", point=","),
        table(heading="% of MATLAB\n// and others\n#x y z\n\n", after="\n"),
    ],
)
def test_dialects_of_tables(tmp_path, write):
    rows = somebody(np.random.default_rng(1), 68)
    text, path = write(rows).decode(), tmp_path / "face.csv"
    for content in (
        text.encode(),
        text.replace("\n", "\r\n").encode("utf-8-sig"),
        text.encode("utf-16"),
        "# fünf Punkte\n".encode("latin-1") + text.encode(),
    ):
        path.write_bytes(content)
        np.testing.assert_allclose(read_landmarks(path), kept(rows))
        assert landmarks_beside(tmp_path / "face.obj") == path


@given(type_=st.sampled_from(["<f8", ">f4", "f2", "i4", "u2", "g"]), fortran=st.booleans())
@hypothesis_settings(suppress_health_check=ONE_FOLDER)
def test_arrays_of_any_real_type(tmp_path, type_, fortran):
    rows = np.round(FACE + 200).astype(type_, order="F" if fortran else "C")
    np.save(tmp_path / "a.npy", rows)
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.npy"), rows.astype(float))


def test_other_arrays_are_refused_by_name(tmp_path):
    for rows in (FACE.astype(object), FACE.astype(str), FACE > 0, FACE * 1j):
        np.save(tmp_path / "a.npy", rows)
        with pytest.raises(LandmarkFileError, match=rf"a\.npy has numbers of type {rows.dtype}"):
            read_landmarks(tmp_path / "a.npy")
    assert landmarks_beside(tmp_path / "a.obj") == tmp_path / "a.npy"


def test_picked_points_are_in_the_order_of_their_numbers(tmp_path):
    rng = np.random.default_rng(0)
    rows, order, path = somebody(rng), rng.permutation(43), tmp_path / "a.pp"
    path.write_bytes(picked(rows, order, lambda k: str(k + 1)))
    np.testing.assert_allclose(read_landmarks(path), rows)
    path.write_bytes(picked(rows, name=lambda k: f"p{43 - k}"))
    np.testing.assert_allclose(read_landmarks(path), rows)
    path.write_bytes(picked(rows).replace(b"Points>", b'Points [<!ENTITY a "b">]>', 1))
    with pytest.raises(LandmarkFileError, match="declares entities"):
        read_landmarks(path)
    path.write_bytes(picked(FACE).replace(b'x="', b'x="?', 1))
    with pytest.raises(LandmarkFileError, match="line 4: a point needs numbers x, y and z"):
        read_landmarks(path)


@pytest.mark.parametrize("kind", [".json", ".npy", ".pts", ".csv", ".txt"])
def test_points_of_a_picture_are_refused_by_name(tmp_path, kind):
    path = tmp_path / f"a{kind}"
    path.write_bytes(KINDS[kind](FACE[:, :2]).replace(b"x,y,z", b"x,y"))
    with pytest.raises(LandmarkFileError, match="points of a picture"):
        read_landmarks(path)


# Orientation


@given(seed=SEEDS)
def test_mirrored_landmarks_are_refused_in_any_orientation(seed):
    rng = np.random.default_rng(seed)
    rows = somebody(rng)
    np.testing.assert_array_equal(forty_three(rows, "a"), rows)
    for wrong in (turned(rng, rows * [-1, 1, 1]), rows[MIRROR]):
        with pytest.raises(LandmarkFileError, match="left and right are exchanged"):
            forty_three(wrong, "a")


def test_where_the_side_cannot_be_told_rows_are_accepted():
    few = np.full((43, 3), np.nan)
    few[:5] = FACE[:5] * [-1, 1, 1]
    for rows in (few, np.zeros((43, 3)), kept(rows_68()), FACE * [-1, 1, 0], FACE * [1, 0, 0]):
        np.testing.assert_array_equal(forty_three(rows, "a"), rows)


@given(seed=SEEDS, scale=st.sampled_from([1e-300, 1e-3, 1, 1e305]))
def test_misfit(seed, scale):
    rng = np.random.default_rng(seed)
    known = turned(rng)
    known[rng.choice(43, 37, replace=False)] = np.nan
    assert misfits(scale * turned(rng))[0] == pytest.approx(0, abs=1e-4)
    assert misfits(known)[0] == pytest.approx(0, abs=1e-4)
    known[np.flatnonzero(np.isfinite(known[:, 0]))[0]] = np.nan
    assert np.isnan(misfits(known)[0])
    noise = rng.normal(scale=2, size=FACE.shape)
    assert misfits(turned(rng, FACE + noise))[0] == pytest.approx(2 * 3**0.5, rel=0.3)
    assert misfits(rng.permutation(FACE))[0] > 25
    lips = FACE.copy()
    lips[31:] = lips[:30:-1]
    assert misfits(turned(rng, lips))[0] > 10


PARTS = {
    "chin": (0, 17),
    "leye": (42, 48),
    "reye": (36, 42),
    "leyebrow": (22, 27),
    "nose": (27, 36),
    "reyebrow": (17, 22),
    "mouth": (48, 68),
}


def grouped(rows, names):
    """menpo's groups in the order of the names, and their points in that order, too."""
    points, labels = [], []
    for name in names:
        part = rows[slice(*PARTS[name])].tolist()
        labels.append({"label": name, "mask": list(range(len(points), len(points) + len(part)))})
        points += part
    return {"labels": labels, "landmarks": {"points": points}}


@given(seed=SEEDS, names=st.permutations(list(PARTS)))
@hypothesis_settings(suppress_health_check=ONE_FOLDER)
def test_groups_are_told_by_name_and_side(tmp_path, seed, names):
    """menpo's groups in any order and orientation; left and right by where they lie alone."""
    rng = np.random.default_rng(seed)
    rows, path = somebody(rng, 68), tmp_path / "a.ljson"
    path.write_text(json.dumps({"version": 3, "groups": {"L": grouped(rows, names)}}))
    np.testing.assert_array_equal(read_landmarks(path), kept(rows))
    path.write_text(json.dumps(grouped(turned(rng, rows * [1, -1, 1]), names)))
    with pytest.raises(LandmarkFileError, match="left and right are exchanged"):
        read_landmarks(path)


def test_a_group_of_all_points_is_in_dlibs_order(tmp_path):
    rows, path = somebody(np.random.default_rng(0), 68), tmp_path / "a.ljson"
    all_ = {"label": "all", "mask": list(range(68))}
    path.write_text(json.dumps({"labels": [all_], "landmarks": {"points": rows.tolist()}}))
    np.testing.assert_array_equal(read_landmarks(path), kept(rows))


# What lies beside a scan


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_beside(written, kind):
    rows = rows_68()
    written.with_suffix(kind).write_bytes(KINDS[kind](rows))
    np.testing.assert_allclose(Scan.load(written).landmarks, rows[17:60])
    np.testing.assert_allclose(Scan.load(written, rows[17:60]).landmarks, rows[17:60])


NOTES = [
    (".json", b'{"focal_length": 50, "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}'),
    (".json", b"// no JSON at all"),
    (".json", b'{"landmarks": null}'),
    (".json", as_json(lambda rows: rows.tolist())(FACE[:30])),
    (".json", b"3"),
    (".mrk.json", as_json(markups)(FACE[:2])),
    (".mrk.json", b'{"markups": [{"type": "ROI"}]}'),
    (".csv", b"u,v\n" + table()(FACE[:, :2])),
    (".csv", b"x,y,z\n" + table()(FACE[:20])),
    (".txt", b"Scanned on Monday.\n" * 43),
    (".txt", b""),
    (".txt", b"\xff\xfe\x00"),
    (".txt", b"1 2 3\n" * 100000),
    (".npy", array(FACE[:, :2])),
    (".npy", array(np.zeros((6393, 2)))),
    (".npy", b"no array"),
    (".fcsv", b""),
]


@pytest.mark.parametrize(("kind", "content"), NOTES)
def test_notes_beside_a_scan_are_no_landmarks(written, kind, content):
    path = written.with_suffix(kind)
    path.write_bytes(content)
    assert Scan.load(written).landmarks is None
    with pytest.raises(LandmarkFileError, match=path.name):
        Scan.load(written, path)
    other = ".tsv"
    written.with_suffix(other).write_bytes(KINDS[other](rows_68()))
    np.testing.assert_allclose(Scan.load(written).landmarks, kept(rows_68()))


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (".csv", table()(FACE).replace(b",", b",x", 1), r"line 1: 'x.*' is not a number"),
        (".csv", table(heading="x,y,z")(FACE + [0, 900, 0]), "mm from the scan"),
        (".txt", table(" ", "# a\n")(FACE).replace(b" ", b"", 3), "line 3: .* is not a number"),
        (".txt", table(" ", after=" 0.1 0.2 0.3")(FACE), r"shape \(43, 6\)"),
        (".txt", table(" ", after=" 0.5")(FACE), r"shape \(43, 4\)"),
        (".json", json.dumps([*FACE[1:].tolist(), ["x", 0, 0]]).encode(), "three numbers"),
        (".json", b'{"landmarks": [[1, 2, 3]]}', r"shape \(1, 3\)"),
        (".json", b'{"landmarks": [[1, 2, 3],', "JSONDecodeError"),
        (".mrk.json", as_json(markups)(FACE)[:-9], "JSONDecodeError"),
        (".json", '{"groups": {"a": 1, "b": 2}}'.encode("utf-16"), "2 groups; expected a single"),
        (".ljson", b"", "cannot read"),
        (".pts", ibug(FACE[:30]), r"shape \(30, 3\)"),
        (".pts", ibug(FACE).replace(b": 43", b": 68"), "43 rows, but says 'n_points: 68'"),
        (".pp", b"<PickedPoints>", "no element found"),
        (".pp", b" " * 300000, "bytes"),
        (".npy", array(FACE)[:-1], "buffer is smaller"),
        (".npy", array(FACE * [-1, 1, 1]), "left and right"),
    ],
)
def test_damaged_landmarks_beside_a_scan_are_named(written, kind, content, message):
    path = written.with_suffix(kind)
    path.write_bytes(content)
    with pytest.raises(LandmarkFileError, match=message) as error:
        Scan.load(written)
    assert path.name in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:50], r"shape \(50, 3\)"),
        (lambda rows: rows + [0, 900, 0], "mm from the scan"),
        (lambda rows: rows * np.inf, "infinite"),
        (lambda rows: rows * np.nan, "all landmarks are NaN"),
    ],
)
def test_landmarks_that_do_not_fit(written, change, message):
    with np.errstate(invalid="ignore"):
        rows = change(rows_68())
    with pytest.raises(LandmarkFileError, match=message):
        Scan.load(written, rows)


def test_landmark_files_that_cannot_be_read(written, tmp_path):
    for name, text in (
        ("a.csv", "1,2,x\n"),
        ("a.json", "{"),
        ("a.ljson", '{"groups": 3}'),
        ("a.txt", ""),
        ("b.json", '{"landmarks": null}'),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(LandmarkFileError, match=name):
            Scan.load(written, tmp_path / name)
    with pytest.raises(LandmarkFileError, match="nowhere"):
        Scan.load(written, tmp_path / "nowhere.csv")
    for suffix in (".csv", ".txt"):
        written.with_suffix(suffix).write_bytes(KINDS[suffix](rows_68()))
    with pytest.raises(LandmarkFileError, match="are all beside"):
        Scan.load(written)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), at=st.integers(0, 4000), cut=st.integers(0, 60), seed=SEEDS)
@hypothesis_settings(max_examples=80, suppress_health_check=ONE_FOLDER)
def test_random_damage(tmp_path, kind, data, at, cut, seed):
    """Whatever a file holds, it is read, or a named error says what is wrong."""
    words = st.sampled_from(
        [b"nan", b"1e999", b"-", b",", b";", b"{", b'"', b"\n", b"\0", b"9" * 50]
    )
    noise = data.draw(st.binary(max_size=60) | words)
    whole = KINDS[kind](somebody(np.random.default_rng(seed % 4)))
    mutated = whole[: at % len(whole)] + noise + whole[at % len(whole) + cut :]
    path = tmp_path / f"face{kind}"
    for content in (noise, mutated):
        path.write_bytes(content)
        for read in (read_landmarks, landmarks_beside):
            try:
                found = read(path)
            except LandmarkFileError:
                continue
            assert read is landmarks_beside or (
                found.shape == (43, 3) and not np.isinf(found).any()
            )


def test_the_real_scans_landmarks(real_data_folder):
    assert 2 < misfits(Scan.load(real_data.james()).landmarks)[0] < 9
