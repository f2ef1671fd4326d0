"""The population as a whole: workers, cache, interruption, damage."""

import errno
from pathlib import Path

import numpy as np
import pytest

from facesynth import population
from facesynth.population import sampling


def files(cache: Path) -> list[Path]:
    return sorted(p for p in cache.rglob("*") if p.is_file())


def test_one_and_two_workers_draw_the_same(tmp_path: Path) -> None:
    one = population.sample(
        24, seed=4, resolution=64, n_jobs=1, cache=tmp_path / "1", progress=False
    )
    two = population.sample(
        24, seed=4, resolution=64, n_jobs=2, cache=tmp_path / "2", progress=False
    )
    np.testing.assert_array_equal(one.geometry, two.geometry)
    np.testing.assert_array_equal(one.textures, two.textures)
    np.testing.assert_array_equal(one.labels, two.labels)
    fewer = population.sample(7, seed=4, resolution=64, cache=tmp_path / "3", progress=False)
    np.testing.assert_array_equal(one.textures[:7], fewer.textures)
    assert one.geometry.dtype == np.float32
    assert one.textures.shape == (24, 64, 64, 3)
    assert len({tuple(t.mean((0, 1))) for t in one.textures}) == 24  # no two alike


def test_geometry_does_not_depend_on_textures(tmp_path: Path) -> None:
    bare = population.sample(3, seed=4, cache=tmp_path, progress=False)
    assert bare.textures is None
    assert bare.expressions is None
    sets = population.sample(3, seed=4, expressions=True, cache=tmp_path, progress=False)
    np.testing.assert_array_equal(bare.geometry, sets.geometry)
    np.testing.assert_allclose(sets.expressions[:, 0], sets.geometry, atol=1e-4)


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "CHUNK", 2)
    whole = population.sample(6, seed=8, n_jobs=1, cache=tmp_path / "whole", progress=False)
    drawn: list[int] = []
    draw = sampling._draw

    def third_time_unlucky(chunk: sampling._Chunk) -> sampling.Arrays:
        drawn.append(chunk.first)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return draw(chunk)

    monkeypatch.setattr(sampling, "_draw", third_time_unlucky)
    with pytest.raises(KeyboardInterrupt):
        population.sample(6, seed=8, n_jobs=1, cache=tmp_path / "part", progress=False)
    assert len(files(tmp_path / "part")) == 2
    resumed = population.sample(6, seed=8, n_jobs=1, cache=tmp_path / "part", progress=False)
    assert len(drawn) == 4  # only the one that had failed was drawn again
    np.testing.assert_array_equal(resumed.geometry, whole.geometry)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file, **arrays: np.ndarray) -> None:  # type: ignore[no-untyped-def]
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(population.CacheError, match=r"No space left.*free some space"):
        population.sample(2, seed=0, n_jobs=1, cache=tmp_path, progress=False)
    assert files(tmp_path) == []


def test_a_damaged_file_is_drawn_again(tmp_path: Path) -> None:
    first = population.sample(2, seed=9, n_jobs=1, cache=tmp_path, progress=False)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], b"\0" * len(whole)):
        path.write_bytes(damaged)
        again = population.sample(2, seed=9, n_jobs=1, cache=tmp_path, progress=False)
        np.testing.assert_array_equal(first.geometry, again.geometry)


def test_one_subject_alone_is_painted_as_in_the_population(tmp_path: Path) -> None:
    drawn = population.sample(
        3, seed=5, resolution=64, relief=True, expressions=True, cache=tmp_path, progress=False
    )
    assert drawn.relief.shape == (3, 64, 64)
    assert drawn.relief.dtype == np.float16
    texture, relief = population.paint(5, 2, 64)
    # rounding differs between one face and several
    np.testing.assert_allclose(texture.astype(int), drawn.textures[2], atol=1)
    np.testing.assert_allclose(relief, drawn.relief[2], atol=2e-3)
    surprise = drawn.expressions[2, list(population.EXPRESSIONS).index("surprise")]
    open_, folded = population.paint(5, 2, 64, surprise)
    assert np.abs(open_.astype(int) - texture).max() > 30  # teeth
    assert np.abs(folded - relief).max() > 0.03  # lines on the forehead
    again, _ = population.paint(5, 2, 64, surprise)
    np.testing.assert_array_equal(again, open_)


def test_relief_needs_a_resolution(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a resolution"):
        population.sample(1, relief=True, cache=tmp_path, progress=False)
    plain = population.sample(1, resolution=64, cache=tmp_path, progress=False)
    assert plain.relief is None


@pytest.mark.parametrize("arguments", [{"n": -1}, {"n": 1, "seed": -1}, {"n": 1, "resolution": 32}])
def test_bad_arguments(arguments: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"negative|between 64 and 1024"):
        population.sample(**arguments, cache=tmp_path, progress=False)
    assert files(tmp_path) == []


def test_nobody(tmp_path: Path) -> None:
    nobody = population.sample(0, resolution=64, cache=tmp_path, progress=False)
    assert len(nobody) == 0
    assert nobody.textures.shape == (0, 64, 64, 3)
