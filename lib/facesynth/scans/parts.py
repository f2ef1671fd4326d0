"""What scans are made of, and what can be wrong with them."""

from typing import Any

import numpy as np
import numpy.typing as npt

Photograph = npt.NDArray[np.uint8]  # (h, w, 3) sRGB, the top row first
Parts = dict[str, Any]  # the arguments of `Scan`, unchecked and in the file's own unit


class ScanError(ValueError):
    """A scan that cannot be used; the message says why and what to do."""


class ScanFileError(ScanError):
    """A scan's file is missing, damaged, of an unknown kind, or cannot be written."""


class ScanTextureError(ScanError):
    """Texture coordinates or photographs are missing or damaged."""


class ScanUnitsError(ScanError):
    """The size of a scan is not that of a head in mm."""


class LandmarkFileError(ScanError):
    """Landmarks that cannot be read, or that do not fit the scan."""
