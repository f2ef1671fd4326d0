"""Exact MorphableModel against scikit-learn's randomised PCA on 1,000 textures of 256 x 256.

    python benchmarks/morphable_model.py [--samples 1000] [--resolution 256] [--components 200]

All run in this process on the same float32 array with the same number of threads (one, unless
OMP_NUM_THREADS says otherwise). MorphableModel computes in double precision; the peer computes in
the precision of its input and is therefore run twice, on the array as it is and as float64.

Times are processor time, which neighbours on a shared machine disturb little. The memory told is
what the resident set grew by at its peak while fitting, sampled every 10 ms, beyond the array.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

import numpy as np
from _memory import resident
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info

from facesynth.morphable_model import MorphableModel


def textures(n: int, resolution: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 3 R^2) float32 with singular values that decay as those of face textures do."""
    d = 3 * resolution**2
    X = rng.standard_normal((n, d), dtype=np.float32)
    mixing = np.linalg.qr(rng.standard_normal((n, n)))[0] * np.arange(1, n + 1) ** -0.8
    for start in range(0, d, 8192):
        X[:, start : start + 8192] = 0.05 * mixing @ X[:, start : start + 8192] + 0.5
    return X


def measure(fit: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor time that `fit` takes, and MB that the process grows by at its peak."""
    with resident() as memory:
        began = time.process_time()
        fit()
        seconds = time.process_time() - began
    return seconds, (memory.peak - memory.start) / 1e6


def compare(ours: MorphableModel, peer: PCA, k: int) -> None:
    """Print how far the peer's components are from the exact ones."""
    for few in (k // 20, k // 2, k):
        angle = subspace_angles(ours.components_[:few].T, peer.components_[:few].T)[0]
        short = 1 - peer.explained_variance_[:few].sum() / ours.explained_variance_[:few].sum()
        print(
            f"  its first {few:3}: largest angle to the exact subspace {np.degrees(angle):5.2f} "
            f"degrees, {short:.1e} of the variance missed"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--components", type=int, default=200)
    options = parser.parse_args()
    k = options.components
    X = textures(options.samples, options.resolution, np.random.default_rng(0))
    threads = sorted({library["num_threads"] for library in threadpool_info()})
    print(f"{X.shape[0]} x {X.shape[1]} {X.dtype} ({X.nbytes / 1e6:.0f} MB), k = {k}, ", end="")
    print(f"threads in each: {threads}")

    ours = MorphableModel(k)
    seconds, memory = measure(lambda: ours.fit(X))
    print(f"MorphableModel, exact, double precision: {seconds:.2f} s, {memory:.0f} MB")
    for precision, dtype in (("double", np.float64), ("single", np.float32)):
        peer = PCA(k, svd_solver="randomized", random_state=0)
        peer_seconds, peer_memory = measure(lambda: peer.fit(X.astype(dtype, copy=False)))  # noqa: B023
        print(f"PCA, randomized, {precision} precision: {peer_seconds:.2f} s, {peer_memory:.0f} MB")
        print(
            f"  ratio: {peer_seconds / seconds:.2f} in time, {peer_memory / memory:.2f} in memory"
        )
        compare(ours, peer, k)


if __name__ == "__main__":
    main()
