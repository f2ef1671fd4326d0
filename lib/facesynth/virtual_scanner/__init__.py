"""A virtual scanner of two cameras, which makes scans of known faces."""

from facesynth.virtual_scanner.scanner import VirtualScan, scan
from facesynth.virtual_scanner.settings import EXACT, Scanner
from facesynth.virtual_scanner.truth import Truth

__all__ = ["EXACT", "Scanner", "Truth", "VirtualScan", "scan"]
