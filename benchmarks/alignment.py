"""Alignment against its peers, on the same virtual scans in one process.

Each deforms the same template onto the same scans, from the same start: the template moved by the
landmarks that were detected. Errors are told where the scanner saw the surface.
"""

import argparse

import alignment_peers
import numpy as np

SEED = 5  # of the people that are scanned
HEADS = ("s", "median", "95th pc", "landmarks", "to surface")


def main() -> None:
    """Print seconds, errors in mm, and the peers' ratios to ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="scans")
    count = parser.parse_args().count
    rows = alignment_peers.compare(count, SEED, alignment_peers.available())
    middle = {name: np.median(values, axis=0) for name, values in rows.items()}
    print(f"{count} virtual scans; errors in mm: medians over the scans")
    print(f"{'':30s}" + "".join(f"{head:>12s}" for head in HEADS))
    for name, values in middle.items():
        print(f"{name:30s}" + "".join(f"{v:12.3f}" for v in values))
    for name, values in list(middle.items())[2:]:
        ratio = values / middle["facesynth"]
        print(f"{name}: {ratio[0]:.1f} x the time, {ratio[1]:.1f} x the median error of facesynth")


if __name__ == "__main__":
    main()
