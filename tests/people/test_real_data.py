import csv
import gc
import hashlib
import io
import shutil

import numpy as np
import pytest
import requests
from PIL import Image

from facesynth.people import real_data


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with made-up files, registered in place of the real ones."""
    folder = tmp_path / "own"
    (folder / "james").mkdir(parents=True)
    (folder / "london/smiling_front").mkdir(parents=True)
    for suffix in ("jpg", "ljson", "obj"):
        (folder / f"james/james.{suffix}").write_text(f"a made-up {suffix}")
    table = "face_id,face_age,face_gender,face_eth\n001,24,female,white\n002,,male,black\n"
    (folder / "london/london_info.csv").write_text(table)
    for k in (1, 2):
        picture = Image.new("RGB", (6, 4), (200, 100, k))
        picture.save(folder / f"london/smiling_front/00{k}_08.jpg", quality=100, subsampling=0)
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*.*")) if p.is_file()]
    registry = {
        name: (hashlib.sha256((folder / name).read_bytes()).hexdigest(), f"https://x.test/{name}")
        for name in names
    }
    monkeypatch.setattr(real_data, "_registry", lambda: registry)
    monkeypatch.setenv("FACESYNTH_DATA", str(folder))
    return folder


@pytest.fixture
def offline(small, tmp_path, monkeypatch):
    """No folder of one's own, an empty cache, and no network; each attempt is written down."""
    monkeypatch.delenv("FACESYNTH_DATA")
    monkeypatch.setattr(real_data.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    asked = []

    def get(url, **_):
        asked.append(url)
        raise requests.ConnectionError("the network is unreachable")

    monkeypatch.setattr(requests, "get", get)
    return asked


def test_own_folder_is_read_in_place(small):
    assert real_data.james() == small / "james/james.obj"


def test_what_is_at_hand_is_known_without_a_network(small, offline, monkeypatch):
    assert real_data.at_hand() == []
    monkeypatch.setenv("FACESYNTH_DATA", str(small))
    (small / "james/james.jpg").unlink()
    assert len(real_data.at_hand()) == 5
    assert offline == []  # nothing was asked for


def test_changed_file_is_refused(small):
    (small / "james/james.ljson").write_text("changed")
    with pytest.raises(real_data.DamagedDataError, match=r"james\.ljson.*replace it"):
        real_data.james()


def test_missing_file_says_where_and_what_to_do(small):
    (small / "james/james.jpg").unlink()
    with pytest.raises(real_data.DataUnavailableError, match=r"james\.jpg.*FACESYNTH_DATA"):
        real_data.james()


def test_without_network_or_folder_the_message_names_both_ways_out(offline):
    with pytest.raises(real_data.DataUnavailableError, match=r"network.*FACESYNTH_DATA"):
        real_data.james()
    assert offline == ["https://x.test/james/james.jpg"]


def test_a_bar_that_failed_is_not_drawn_again_later(offline, capsys):
    with pytest.raises(real_data.DataUnavailableError) as error:
        real_data.james()
    shown = capsys.readouterr().err
    assert shown.endswith("\n")  # closed, though the error still holds the frame that has it
    del error
    gc.collect()
    assert not capsys.readouterr().err


def test_cached_files_need_no_network(offline, small, tmp_path):
    shutil.copytree(small, tmp_path / "cache/real_data")
    assert real_data.james() == tmp_path / "cache/real_data/james/james.obj"
    assert not offline


def test_wrong_download_is_not_kept(offline, small, tmp_path, monkeypatch):
    response = requests.Response()
    response.status_code = 200
    response.raw = io.BytesIO(b"another file")
    monkeypatch.setattr(requests, "get", lambda *_, **__: response)
    with pytest.raises(real_data.DamagedDataError, match="does not deliver"):
        real_data.james()
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_portraits_carry_their_rows(small):
    first, second = real_data.london("smiling")
    assert (first.id, first.age, first.gender, first.ethnicity) == ("001", 24, "female", "white")
    assert np.isnan(second.age)
    assert second.landmarks is None
    image = second.read()
    assert image.shape == (4, 6, 3)
    np.testing.assert_allclose(image[0, 0], [200, 100, 2], atol=3)


def test_unknown_names_are_refused(small):
    with pytest.raises(ValueError, match="neutral and smiling"):
        real_data.london("angry")
    with pytest.raises(ValueError, match="jane"):
        real_data.fetch("jane/")


def test_template_points(tmp_path):
    path = tmp_path / "a.tem"
    path.write_text("2\n1.5\t2\n3\t4.25\n1\n0\n2\n0 1\n")
    np.testing.assert_array_equal(real_data.landmarks_189(path), [[1.5, 2], [3, 4.25]])


@pytest.mark.parametrize("text", ["", "x\n1 2\n", "3\n1 2\n", "2\n1 2\n3\n"])
def test_damaged_template_is_refused(tmp_path, text):
    path = tmp_path / "a.tem"
    path.write_text(text)
    with pytest.raises(real_data.DamagedDataError, match=r"a\.tem"):
        real_data.landmarks_189(path)


def test_registry_is_whole():
    with real_data.resources.files("facesynth.people").joinpath("real_data.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"] for row in rows}) == len(rows) == 1 + 25 + 3 + 6 + 1 + 3 * 102
    assert all(len(bytes.fromhex(row["sha256"])) == 32 for row in rows)
    assert all(row["url"].endswith(row["path"].rsplit("/", 1)[1]) for row in rows)


def test_real_files(real_data_folder):
    assert real_data.james().is_relative_to(real_data_folder)
    portraits = real_data.london("neutral")
    assert len(portraits) == 102
    for portrait in portraits:
        assert portrait.landmarks.shape == (189, 2)
        left, right = portrait.landmarks[:2, 0]  # the pupils
        assert left < right
    assert portraits[0].read().shape == (1350, 1350, 3)
