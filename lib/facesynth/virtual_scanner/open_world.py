"""The population before the virtual scanner: scans of people who do not exist.

The one place that takes our own faces to what the rest of the package reads.
"""

from collections.abc import Iterator

import numpy as np

from facesynth.population import EXPRESSIONS, paint
from facesynth.population.expression import sample_expressions
from facesynth.population.identity import sample_faces
from facesynth.scans import Scan
from facesynth.virtual_scanner.scanner import scan

SOURCES = ("population/*.*", "virtual_scanner/*.py")  # of the package: what the scans depend on


def scans(seed: int, subject: int, resolution: int) -> Iterator[Scan]:
    """One subject of a population before the scanner, in all expressions.

    resolution : of the texture that is photographed, in pixels along its side.
    """
    identities, _ = sample_faces(1, seed, subject)
    faces = sample_expressions(identities, seed, subject)[0][0].astype(np.float32)
    for k, (face, expression) in enumerate(zip(faces, EXPRESSIONS, strict=True)):
        texture, relief = paint(seed, subject, resolution, face)
        name = f"subject {subject}, {expression}"
        yield scan(face, texture, relief=relief, seed=[seed, subject, k], name=name)
