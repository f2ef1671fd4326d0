"""The numbers that the paper prints in Section 10: sliced Wasserstein distances x 1000."""

from collections.abc import Mapping

LEVELS = ("1024", "512", "256", "128", "64", "32", "16")  # pixels, from the finest
COLUMNS = (*LEVELS, "mean")  # the paper's "avg" is the mean over the levels

Table = Mapping[str, Mapping[str, float]]


def _row(*printed: float) -> dict[str, float]:
    return dict(zip(COLUMNS, printed, strict=True))


TABLE_1: Table = {
    "Real": _row(3.33, 3.33, 3.35, 2.93, 2.53, 2.47, 4.16, 3.16),
    "Proposed": _row(35.32, 18.13, 10.76, 6.41, 7.42, 10.76, 34.86, 17.67),
    "PCA": _row(92.7, 224.01, 156.87, 66.20, 15.71, 33.97, 104.08, 99.08),
}
"""Of texture images from real ones: by row and by level, as `scores.level_draws` returns ours."""

TABLE_2: Table = {
    "Real": _row(6.08, 2.41, 3.40, 2.45, 3.10, 2.75, 1.86, 3.15),
    "Proposed": _row(11.8, 9.58, 27.13, 44.5, 38.05, 11.03, 2.16, 20.61),
    "PCA": _row(272.7, 43.94, 29.6, 50.72, 44.43, 13.21, 4.67, 65.61),
}
"""Of geometry images from real ones, in the same form."""

TABLE_3: Table = {
    "train": {"3DMM": 59.88, "Proposed": 35.82},
    "test": {"3DMM": 75.3, "Proposed": 62.09, "train": 42.4},
}
"""Of the identities of each column from those of the row's set of scans."""
