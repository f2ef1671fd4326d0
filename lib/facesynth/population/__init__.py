"""The book's own population of faces, in place of the paper's private scans.

Geometry comes from MakeHuman's CC0 blend shapes, photometry from a model of skin, hair and eyes.
"""

from facesynth.population.expression import EXPRESSIONS
from facesynth.population.identity import ANCESTRIES, GENDERS
from facesynth.population.sampling import CacheError, Population, paint, sample

__all__ = [
    "ANCESTRIES",
    "EXPRESSIONS",
    "GENDERS",
    "CacheError",
    "Population",
    "paint",
    "sample",
]
