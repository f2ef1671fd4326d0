"""Descriptors of faces whose pose is known, beside the usual way, which looks for each face first.

    python benchmarks/identity.py [--faces 1000]

Both render the same scans from the front and ask dlib's network. The peer is what dlib's example
does with a picture: its detector finds the face, its predictor of five points says how it lies, and
the network describes it. The ratio is of processor time in one process; the first figure is what
`identity.describe` takes for all faces with all cores.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dlib
import numpy as np

from facesynth.dataset import aligned_scan, dataset
from facesynth.evaluation import identity
from facesynth.files import pretrained
from facesynth.template import Template

FEW = 40  # faces that both ways are timed on


def looked_for(
    geometry: np.ndarray, textures: np.ndarray, uv: np.ndarray, template: Template
) -> list[np.ndarray]:
    """Descriptors of the faces that dlib finds in their pictures."""
    detector = dlib.get_frontal_face_detector()
    five = dlib.shape_predictor(pretrained.weights("shape_predictor_5_face_landmarks.dat"))
    net = identity.network()
    found = []
    for vertices, texture in zip(geometry, textures, strict=True):
        picture = identity.portrait(vertices, texture, uv, template)
        for box in detector(picture, 1)[:1]:
            found.append(np.array(net.compute_face_descriptor(picture, five(picture, box))))
    return found


def main() -> None:
    """Time both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=200)
    options = parser.parse_args()
    scans = dataset.released(-(-options.faces // 25) * 5)
    geometry, textures = scans.geometry[: options.faces], scans.textures[: options.faces]
    template = scans.template
    uv = aligned_scan.mapping(scans.resolution, template).uv

    start = time.perf_counter()
    identity.describe(geometry, textures, uv, template)
    took = time.perf_counter() - start
    print(f"{len(geometry)} faces: {took:.1f} s on {os.cpu_count()} cores")

    start = time.process_time()
    identity.describe(geometry[:FEW], textures[:FEW], uv, template, n_jobs=1, progress=False)
    ours = time.process_time() - start
    start = time.process_time()
    found = looked_for(geometry[:FEW], textures[:FEW], uv, template)
    peers = time.process_time() - start
    few = len(geometry[:FEW])
    print(f"{few} faces, one process: known pose {ours:.1f} s, looked for {peers:.1f} s", end="")
    print(f" ({peers / ours:.2f} x), which found {len(found)} of {few}")


if __name__ == "__main__":
    main()
