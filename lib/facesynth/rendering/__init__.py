"""Pictures of faces: ray casting for print, interactive meshes for the screen.

`render` casts rays with Embree and shades what they hit with a key, a fill and a hemisphere light;
`interactive` and `dots` make plotly figures, and `turntable` a face that is turned with its whole
texture. All leave the background transparent, so that a page shows through in its light and in its
dark theme.

Lengths are mm; colours are linear RGB in [0, 1], except that a `uint8` array is taken as sRGB.
"""

from facesynth.rendering.figure import dots, interactive
from facesynth.rendering.light import Light
from facesynth.rendering.material import MaterialError
from facesynth.rendering.raycast import Camera, plate, render
from facesynth.rendering.turning import Turntable, turntable

__all__ = [
    "Camera",
    "Light",
    "MaterialError",
    "Turntable",
    "dots",
    "interactive",
    "plate",
    "render",
    "turntable",
]
