"""The paper's tables: typed correctly, as far as their own averages tell."""

import statistics

import pytest

from facesynth.evaluation import paper


@pytest.mark.parametrize("table", [paper.TABLE_1, paper.TABLE_2])
def test_the_printed_averages_are_those_of_the_rows(table):
    assert list(table) == ["Real", "Proposed", "PCA"]
    for row in table.values():
        assert tuple(row) == paper.COLUMNS
        levels = [row[level] for level in paper.LEVELS]
        assert row["mean"] == pytest.approx(statistics.fmean(levels), abs=0.011)
