"""How fast the population is drawn, and beside it `anny`'s own model on the same shapes.

Faces a second on two workers, without cache and without the start-up of each worker. The peer
evaluates the same kind of sum of blend shapes, for the vertices of a head and without what makes a
face of them here (closed lips, lids off the eyeball, subdivision, screening).
"""

import tempfile
import time

import anny
import joblib
import numpy as np
import torch

from facesynth import population
from facesynth.population.identity import neutral_geometry, sample_identities

WORKERS = 2
PEER_BATCH = 200


def draw(n: int, seed: int, resolution: int | None) -> tuple[float, population.Population]:
    """Seconds and faces of a draw into an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        faces = population.sample(
            n, seed, resolution=resolution, n_jobs=WORKERS, cache=cache, progress=False
        )
        return time.perf_counter() - start, faces


def main() -> None:
    """Print rates and the ratio to the peer."""
    torch.set_num_threads(1)
    with joblib.parallel_config(n_jobs=WORKERS):
        first, _ = draw(2 * 20, 1, 256)
        complete, with_textures = draw(100, 2, 256)
        bare, alone = draw(1000, 2, None)
    print(f"start-up and first 40 faces at 256 x 256: {first:.1f} s")
    print(f"complete faces at 256 x 256, {WORKERS} workers: {100 / complete:.1f} faces/s")
    print(f"geometry alone, screened, {WORKERS} workers:    {1000 / bare:.0f} faces/s")
    same = np.array_equal(with_textures.geometry, alone.geometry[:100])
    print(f"same geometry in both draws: {same}")

    identities = sample_identities(PEER_BATCH, 3, screened=False)
    neutral_geometry(identities[:2])
    start = time.perf_counter()
    neutral_geometry(identities)
    ours = (time.perf_counter() - start) / PEER_BATCH
    model = anny.Anny(topology="head", local_changes="all", facial_actions="none")
    labels = {"gender": identities.masculinity, "age": identities.age / 90}
    labels |= {"muscle": identities.muscle, "weight": identities.weight}
    phenotypes = {name: torch.as_tensor(value) for name, value in labels.items()}
    with torch.inference_mode():
        model(phenotype_kwargs=phenotypes)
        start = time.perf_counter()
        model(phenotype_kwargs=phenotypes)
        theirs = (time.perf_counter() - start) / PEER_BATCH
    print(f"neutral geometry, one process, unscreened: {1e3 * ours:.2f} ms a face")
    print(f"anny, head, one thread:                    {1e3 * theirs:.2f} ms a face")
    print(f"ratio anny / ours: {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
