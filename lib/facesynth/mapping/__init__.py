"""The universal mapping between faces and images: Section 5.3 of the paper.

`universal_mapping` flattens a template onto the unit square (Eq. 4 to 6); `image_mapping` takes
what is known at its vertices to pixels, and measures how a map distorts.
"""

from facesynth.mapping.image_mapping import ImageMapping, check_resolution
from facesynth.mapping.universal_mapping import UniversalMapping, parameterize

__all__ = ["ImageMapping", "UniversalMapping", "check_resolution", "parameterize"]
