"""LeastSquaresFit and its siblings against scikit-learn's PCA and LinearRegression.

    python benchmarks/geometry_fitting.py [--samples 2000] [--resolution 256] [--components 200]
                                          [--only METHOD ...]

All run in this process on the same float32 arrays, in as many threads as OMP_NUM_THREADS says (two,
unless it is set). The peer is the same pipeline of scikit-learn's own parts, whose randomised
decomposition is not exact; --exact runs it with the full decomposition, too.

Seconds are those on the clock. The memory told is the resident set at its peak, data included,
sampled every 10 ms.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

import numpy as np
from _memory import resident
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from facesynth.geometry_fitting import (
    LeastSquaresFit,
    MaximumLikelihoodFit,
    NearestNeighbourFit,
    RandomFit,
)

VERTICES = 10_000  # 3 m = 30,000
CAUSES = 300  # directions that textures and geometries have in common


def pairs(n: int, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Textures (n, 3 R^2) and geometries (n, 30,000) float32, of common causes, with noise."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((n, CAUSES), dtype=np.float32)
    causes *= np.arange(1, CAUSES + 1, dtype=np.float32) ** -0.8
    made = []
    for d, scale in ((3 * resolution**2, 0.1), (3 * VERTICES, 3.0)):
        X = rng.standard_normal((n, d), dtype=np.float32)
        X *= 0.1 * scale
        for start in range(0, d, 8192):
            block = X[:, start : start + 8192]
            mixing = rng.standard_normal((CAUSES, block.shape[1]), dtype=np.float32)
            block += scale * causes @ mixing
        made.append(X)
    return made[0], made[1]


def measured(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """What some work returns, its seconds, and GB of the process at its peak."""
    with resident() as memory:
        began = time.perf_counter()
        result = work(*arguments)
        seconds = time.perf_counter() - began
    return result, seconds, memory.peak / 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--components", type=int, default=200)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--only", nargs="*", metavar="METHOD")
    options = parser.parse_args()
    k = options.components
    T, G = pairs(options.samples + 100, options.resolution)
    T, G, T_new, G_new = T[:-100], G[:-100], T[-100:], G[-100:]
    print(f"{T.shape[0]} textures of {T.shape[1]:,} numbers, {G.shape[1]:,} in a geometry, k = {k}")

    def peer(solver: str) -> Any:
        return TransformedTargetRegressor(
            make_pipeline(PCA(k, svd_solver=solver, random_state=0), LinearRegression()),
            transformer=PCA(k, svd_solver=solver, random_state=0),
            check_inverse=False,
        )

    methods: dict[str, Any] = {
        "least squares": LeastSquaresFit(k, k),
        "scikit-learn, randomised": peer("randomized"),
        "maximum likelihood": MaximumLikelihoodFit(k),
        "nearest neighbour": NearestNeighbourFit(k, k),
        "random": RandomFit(k, k, 0),
    }
    if options.exact:
        methods["scikit-learn, full"] = peer("full")
    print(f"{'':26} {'fit':>8} {'peak':>8} {'100 faces':>12} {'1 face':>10} {'error':>8}")
    seconds = {}
    for name in options.only or methods:
        method = clone(methods[name])  # and the one before is gone, with its memory
        _, seconds[name], peak = measured(method.fit, T, G)
        found, many, _ = measured(method.predict, T_new)
        one = min(measured(method.predict, T_new[:1])[1] for _ in range(5))
        error = float(np.sqrt(np.mean((found - G_new) ** 2)))
        print(
            f"{name:26} {seconds[name]:6.1f} s {peak:5.1f} GB {10 * many:6.2f} ms each"
            f" {1000 * one:7.1f} ms {error:8.3f}"
        )
    for name in seconds:
        if name.startswith("scikit-learn"):
            ratio = seconds[name] / seconds["least squares"]
            print(f"{name}: {ratio:.2f} times the seconds of least squares")


if __name__ == "__main__":
    main()
