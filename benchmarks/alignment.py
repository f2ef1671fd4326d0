"""Alignment against its peers, on the same virtual scans in one process.

Each deforms the same template onto the same scans, from the same start: the template moved by the
landmarks that were detected. First the standard template, then others: the same face with other
vertices, holes at eyes and mouth and no symmetry. Errors are told where the scanner saw the
surface.
"""

import argparse

import alignment_peers
import another_face
import numpy as np

SEED = 5  # of the people that are scanned
APART = (0.028, another_face.APART, 0.0100)  # of the other templates' vertices
HEADS = ("s", "median", "95th pc", "landmarks", "to surface")


def main() -> None:
    """Print seconds, errors in mm, and the peers' ratios to ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3, help="scans")
    count = parser.parse_args().count
    scans, methods = alignment_peers.scanned(count, SEED), alignment_peers.available()
    print(f"{count} virtual scans; errors in mm: medians over the scans")
    show("the standard template", alignment_peers.compare(scans, methods))
    del methods["facesynth, smoothness alone"]  # which ours is, for another template
    for apart in APART:
        template, places = another_face.template(apart)
        rows = alignment_peers.compare(scans, methods, template, places)
        show(f"another one, {len(template.vertices):,} vertices", rows)


def show(name: str, rows: dict[str, np.ndarray]) -> None:
    middle = {name: np.median(values, axis=0) for name, values in rows.items()}
    print(f"\n{name:32s}" + "".join(f"{head:>12s}" for head in HEADS))
    for name, values in middle.items():
        print(f"{name:32s}" + "".join(f"{v:12.3f}" for v in values))
    for name in middle.keys() - alignment_peers.OURS.keys():
        ratio = middle[name] / middle["facesynth"]
        print(f"{name}: {ratio[0]:.1f} x the time, {ratio[1]:.1f} x the median error of facesynth")


if __name__ == "__main__":
    main()
