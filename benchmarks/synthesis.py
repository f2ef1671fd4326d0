"""The time and memory of `facesynth.synthesize`, with every face written as GLB.

    python benchmarks/synthesis.py [--count 100] [--resolution 128] [--threads 2]

The peer makes as many faces the older way, in this process: coefficients of two morphable models,
of textures and of geometries, are drawn and multiplied by their components, and the faces are
written by the same code. What is read and fitted before is not timed, nor is reading weights.
Peak memory is the process's before the peer is fitted, PyTorch and its libraries included.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=100)
parser.add_argument("--resolution", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from facesynth.dataset import dataset  # noqa: E402
from facesynth.evaluation.scores import shrunk  # noqa: E402
from facesynth.face_gan.face import Face  # noqa: E402
from facesynth.face_gan.released_models import released  # noqa: E402
from facesynth.face_gan.synthesis import synthesize  # noqa: E402
from facesynth.morphable_model import MorphableModel  # noqa: E402

N_COMPONENTS = 200


def generated() -> list[Face]:
    """Faces of the released generator."""
    return synthesize(options.count, seed=0, resolution=options.resolution)


def timed(make: Callable[[], list[Face]]) -> tuple[float, float]:
    """Seconds to make the faces, and to write them."""
    start = time.perf_counter()
    faces = make()
    middle = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for k, face in enumerate(faces):
            face.export(Path(folder) / f"{k}.glb")
    return middle - start, time.perf_counter() - middle


def main() -> None:
    """Time both, and print what was found."""
    torch.set_num_threads(options.threads)
    released("faces")
    ours = timed(generated)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    scans = dataset.released(60)
    textures = shrunk(scans.textures, options.resolution).reshape(len(scans), -1)
    of_texture = MorphableModel(N_COMPONENTS).fit(textures.astype(np.float32))
    of_geometry = MorphableModel(N_COMPONENTS).fit(scans.geometry.reshape(len(scans), -1))
    uv = released("faces").uv

    def drawn() -> list[Face]:
        n, side = options.count, options.resolution
        t = np.clip(of_texture.sample(n, 0), 0, 255).astype(np.uint8).reshape(n, side, side, 3)
        g = of_geometry.sample(n, 1).reshape(n, -1, 3)
        return [Face(v, texture, uv, scans.template) for v, texture in zip(g, t, strict=True)]

    peer = timed(drawn)
    print(
        f"{options.count} faces at {options.resolution} x {options.resolution}, {options.threads} "
        f"threads: made in {ours[0]:.1f} s, written in {ours[1]:.1f} s, peak memory {peak:.0f} MB"
    )
    print(f"two morphable models: made in {peer[0]:.1f} s, written in {peer[1]:.1f} s")
    print(f"ratio of the whole: {sum(peer) / sum(ours):.2f}")


if __name__ == "__main__":
    main()
