"""Floater's parametrisation (Eq. 4 to 6) against libigl's solvers on the template, subdivided.

    python benchmarks/universal_mapping.py [--subdivisions 2] [--repeats 3]

All run in this process on the same vertices, faces and boundary, with one thread. libigl has no
weighted barycentric mapping: its quadratic solver gets the same uniform system as ours, and must
give the same positions, and its `harmonic` solves the cotangent system of the same sparsity, which
it assembles itself. `parameterize` checks the mesh, solves two systems and checks the result, and
is set beside two calls of `harmonic`, which checks nothing. libigl factorises by Cholesky; scipy
has no sparse Cholesky, and its LU does twice the work.

Times are the best of the repeats, in milliseconds of processor time.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import igl
import numpy as np
import trimesh
from scipy.sparse import csc_matrix

from facesynth.mapping.image_mapping import cross_2d
from facesynth.mapping.parameterization import boundary_positions, parameterize, solve
from facesynth.surface.mesh import FloatArray, IntArray, check_disk, edges
from facesynth.template import standard


def best(repeats: int, call: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    """Milliseconds of processor time, and what the call returns."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return 1000 * min(times), result


def quadratic(edge: IntArray, loop: IntArray, positions: FloatArray, n: int) -> FloatArray:
    """libigl on the uniform system: minimise the sum of |u_i - u_j|² over the edges."""
    rows, columns = np.concatenate([edge, edge[:, ::-1]]).T
    laplacian = csc_matrix((-np.ones(len(rows)), (rows, columns)), shape=(n, n))
    laplacian.setdiag(-np.asarray(laplacian.sum(axis=1)).ravel())
    nothing, none = np.zeros((n, 2)), csc_matrix((0, n))
    return igl.min_quad_with_fixed(
        laplacian, nothing, loop, positions, none, np.zeros((0, 2)), True
    )


def compare(vertices: FloatArray, faces: IntArray, repeats: int) -> str:
    """One line of the table."""
    n, edge, loop = len(vertices), edges(faces), check_disk(vertices, faces)
    positions = boundary_positions(vertices, loop)
    start = int(loop[0])

    ours, uv = best(repeats, lambda: solve(edge, np.ones(len(edge)), loop, positions))
    theirs, expected = best(repeats, lambda: quadratic(edge, loop, positions, n))
    difference = np.abs(uv - expected).max()

    def harmonic_twice() -> FloatArray:
        igl.harmonic(vertices, faces, loop, positions, 1)
        return igl.harmonic(vertices, faces, loop, positions, 1)

    whole, uv = best(repeats, lambda: parameterize(vertices, faces, start=start))
    harmonic, peer = best(repeats, harmonic_twice)
    flipped = [int((orientation(p, faces) <= 0).sum()) for p in (uv, peer)]
    return (
        f"{n:9,d} {ours:9.0f} {theirs:9.0f} {theirs / ours:7.2f} {difference:11.1e}"
        f" {whole:13.0f} {harmonic:11.0f} {harmonic / whole:7.2f} {flipped[0]:8d} {flipped[1]:8d}"
    )


def orientation(uv: FloatArray, faces: IntArray) -> FloatArray:
    a, b, c = (uv[faces[:, k]] for k in range(3))
    return cross_2d(b - a, c - a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subdivisions", type=int, default=2, help="each has four times the faces")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    print(f"{'':9s} one uniform system, ms{'':26s} the whole mapping, ms{'':15s} flipped triangles")
    print(
        f"{'vertices':>9s} {'ours':>9s} {'libigl':>9s} {'ratio':>7s} {'difference':>11s}"
        f" {'parameterize':>13s} {'2 harmonic':>11s} {'ratio':>7s} {'ours':>8s} {'libigl':>8s}"
    )
    face = standard()
    vertices, faces = face.vertices, face.faces
    for level in range(args.subdivisions + 1):
        if level:
            vertices, faces = trimesh.remesh.subdivide(vertices, faces)
        print(compare(vertices, faces.astype(np.int64), args.repeats), flush=True)


if __name__ == "__main__":
    main()
