"""The universal mapping between faces and images: Section 5.3 of the paper.

`parameterization` flattens a surface onto the unit square (Eq. 4 to 6), in which `density` says how
large each part is; `universal_mapping` is the template's, `image_mapping` takes what is known at
vertices to pixels, and measures how a map distorts.
"""

from facesynth.mapping.image_mapping import ImageMapping, check_resolution
from facesynth.mapping.parameterization import parameterize
from facesynth.mapping.universal_mapping import UniversalMapping

__all__ = ["ImageMapping", "UniversalMapping", "check_resolution", "parameterize"]
