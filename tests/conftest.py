"""What every test stands on: one thread a process, hypothesis without a clock, and real data."""

import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy is imported

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# A slow machine is no failure. CI draws the same examples every time; elsewhere, new ones.
settings.register_profile("facesynth", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("facesynth")


@pytest.fixture(scope="session")
def real_data_folder() -> Path:
    """The folder that FACESYNTH_DATA names. CI must have it; elsewhere its tests are skipped."""
    folder = os.environ.get("FACESYNTH_DATA")
    if folder:
        return Path(folder)
    message = "needs real data: set FACESYNTH_DATA to the folder that data/README.md describes"
    if "CI" in os.environ:
        pytest.fail(message)
    pytest.skip(message)
