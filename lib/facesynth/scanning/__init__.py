"""Scans of faces: Section 5.1 of the paper.

A scan is a triangle mesh of its own, in no correspondence with anything, and photographs that its
triangles are mapped to. `scan` makes one of a known face with a virtual two-camera scanner;
`Scan.load` reads one from files.
"""

from facesynth.scanning.scan import (
    LandmarkFileError,
    Scan,
    ScanError,
    ScanFileError,
    ScanTextureError,
    ScanUnitsError,
)
from facesynth.scanning.scanner import VirtualScan, scan
from facesynth.scanning.settings import Scanner
from facesynth.scanning.truth import Truth

__all__ = [
    "LandmarkFileError",
    "Scan",
    "ScanError",
    "ScanFileError",
    "ScanTextureError",
    "ScanUnitsError",
    "Scanner",
    "Truth",
    "VirtualScan",
    "scan",
]
