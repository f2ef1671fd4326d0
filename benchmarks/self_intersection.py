"""Faces that pass through themselves: rays along edges against CGAL's exact test, as libigl has it.

The population's unscreened neutral faces; both answer yes or no for each.
"""

import time

import igl.copyleft.cgal as cgal
import numpy as np

from facesynth.population.head import head
from facesynth.population.identity import neutral_geometry, sample_identities
from facesynth.population.plausibility import crosses

N = 300


def main() -> None:
    """Print both times, the ratio, and whether the answers are the same."""
    triangles = head().faces
    faces = neutral_geometry(sample_identities(N, seed=77, screened=False))
    crosses(faces[:1])
    start = time.perf_counter()
    ours = crosses(faces)
    between = time.perf_counter()
    pairs = [cgal.remesh_self_intersections(face, triangles, True, True)[2] for face in faces]
    theirs = np.array([len(p) > 0 for p in pairs])
    end = time.perf_counter()
    print(f"{N} faces of {len(triangles):,} triangles, {theirs.sum()} pass through themselves")
    print(f"rays along edges: {1e3 * (between - start) / N:.1f} ms a face")
    print(f"CGAL, exact:      {1e3 * (end - between) / N:.1f} ms a face")
    print(f"ratio CGAL / ours: {(end - between) / (between - start):.2f}")
    print(f"same answer for {np.mean(ours == theirs):.1%} of the faces")


if __name__ == "__main__":
    main()
