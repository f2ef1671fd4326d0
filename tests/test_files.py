"""What every room stands on: text and tables as editors write them, whole files, whole numbers."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facesynth.files import arrays, tables, texts
from facesynth.files.atomic import WriteError, write_bytes, write_text, write_whole
from facesynth.files.integers import JobsError, SeedError, check_jobs, checked_seed

MARKED = ("utf-8-sig", "utf-16", "utf-32")
LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"))


@given(LETTERS, st.sampled_from(("utf-8", *MARKED)))
def test_text_is_read_as_its_first_bytes_say(tmp_path_factory, text, encoding):
    path = tmp_path_factory.getbasetemp() / "text"
    path.write_bytes(text.encode(encoding))
    assert texts.read(path) == texts.read(str(path)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_without_a_mark_is_told_by_its_zeros(tmp_path, encoding):
    (tmp_path / "text").write_bytes("ada/smile\r\nZoë\r\n".encode(encoding))
    assert texts.read(tmp_path / "text") == "ada/smile\r\nZoë\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ada\r\n\r\nZoë\r\n".encode("latin-1"), "text, line 3: not in UTF-8; save the file as"),
        (b"Zo\xeb", "text, line 1: not in UTF-8"),
        (
            b"ada\n" + "ben\n".encode("utf-16-le"),
            "text, line 2: not in UTF-8",
        ),  # by PowerShell's >>
        ("ada\nben".encode("utf-16")[:-1], "text, line 2: not in UTF-16"),
        (b"\xff\xfeade", "text, line 1: not in UTF-16"),
    ],
)
def test_what_cannot_be_told_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(texts.EncodingError, match=message):
        texts.read(tmp_path / "text")


@pytest.mark.parametrize("encoding", MARKED)
def test_a_table_has_its_first_column_whatever_wrote_it(tmp_path, encoding):
    (tmp_path / "table.csv").write_bytes('name,why\r\nZoë,"a, b"\r\n'.encode(encoding))
    assert tables.read(tmp_path / "table.csv") == [{"name": "Zoë", "why": "a, b"}]


@pytest.mark.parametrize("name", ["a", "a" * 247, "a" * 255, "é" * 127])
def test_a_file_of_any_name_that_the_file_system_takes_is_written(tmp_path, name):
    write_text(str(tmp_path / name), "whole")
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "whole"


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(WriteError, match="could not write"):
        write_text(tmp_path / ("a" * 256), "whole")
    (tmp_path / "kept").write_text("before")

    def fail(file):
        file.write(b"half")
        raise OSError("full")

    with pytest.raises(WriteError, match="kept: full"):
        write_whole(tmp_path / "kept", fail)
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "before"


def test_arrays_are_found_by_text(tmp_path):
    write_whole(str(tmp_path / "a.npz"), lambda file: np.savez(file, x=np.arange(3)))
    assert arrays.read(str(tmp_path / "a.npz"))["x"].tolist() == [0, 1, 2]
    write_bytes(os.fsencode(tmp_path / "b").decode(), b"b")
    assert (tmp_path / "b").read_bytes() == b"b"


@pytest.mark.parametrize("seed", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_every_integer_is_a_seed(seed):
    found = checked_seed(seed)
    assert type(found) is int
    assert found == 3


@pytest.mark.parametrize("seed", [True, np.True_, 3.0, np.float32(3), "3", None])
def test_what_is_no_integer_is_no_seed(seed):
    with pytest.raises(SeedError, match="a seed is a whole number"):
        checked_seed(seed)


def test_no_process_does_nothing():
    for n_jobs in (1, -1, -2, None):
        check_jobs(n_jobs)
    with pytest.raises(JobsError, match="n_jobs is 0: give at least 1, or -1"):
        check_jobs(0)


def test_large_arrays_need_not_fit_into_the_memory(monkeypatch):
    small = arrays.scratch((3, 2), np.float32)
    assert type(small) is np.ndarray
    monkeypatch.setattr(arrays, "LARGE", 10)
    large = arrays.scratch((3, 2), np.float32)
    assert isinstance(large, np.memmap)
    large[:] = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(large[1:], [[2, 3], [4, 5]])
