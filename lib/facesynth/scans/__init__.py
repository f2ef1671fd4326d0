"""Scans of faces: Section 5.1 of the paper.

A scan is a triangle mesh of its own, in no correspondence with anything, and photographs that its
triangles are mapped to. `Scan.load` reads one from files; `scanned_surface` answers what a ray
meets and what lies nearest; `landmarks` finds the 43 landmarks.
"""

from facesynth.scans.parts import (
    LandmarkFileError,
    ScanError,
    ScanFileError,
    ScanTextureError,
    ScanUnitsError,
)
from facesynth.scans.scan import Scan

__all__ = [
    "LandmarkFileError",
    "Scan",
    "ScanError",
    "ScanFileError",
    "ScanTextureError",
    "ScanUnitsError",
]
