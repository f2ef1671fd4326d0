"""What every test stands on: one thread a process, and hypothesis without a clock."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy is imported

from hypothesis import settings  # noqa: E402

# A slow machine is no failure. CI draws the same examples every time; elsewhere, new ones.
settings.register_profile("facesynth", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("facesynth")
