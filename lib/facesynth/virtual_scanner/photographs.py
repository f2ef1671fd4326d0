"""The two photographs of a scan: a face before a backdrop, as a camera's sensor records it."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from facesynth.rendering import Camera, colour
from facesynth.rendering.light import unit
from facesynth.scans.parts import Photograph
from facesynth.surface.mesh import Floats
from facesynth.virtual_scanner.settings import Scanner
from facesynth.virtual_scanner.surface import Surface, camera_position, from_view

_FALL_OFF = 0.25  # share of the light that the backdrop loses from its middle to a corner


def picture(
    surface: Surface,
    uv: Floats,
    texture: NDArray[np.uint8],
    camera: Camera,
    settings: Scanner,
    rng: np.random.Generator,
) -> Floats:
    """Linear RGB (h, w, 3) of a face before a backdrop.

    texture : (R, R, 3) sRGB, at uv (m, 2) of the vertices; it is lit slightly otherwise than it is.
    """
    size = settings.photograph
    rows, columns = camera.window(camera.view(surface.vertices), size)
    _, towards = camera.rays(rows, columns, size)
    directions = from_view(camera, towards)
    met, hits = surface.cast(np.broadcast_to(camera_position(camera), directions.shape), directions)
    u, v = hits.interpolate(uv).T
    at = np.stack([(1 - v) * len(texture) - 0.5, u * len(texture) - 0.5]).astype(np.float32)
    image = colour.from_uint8(texture)
    seen = np.stack(
        [map_coordinates(c, at, order=1, mode="nearest") for c in image.T.swapaxes(1, 2)]
    )
    seen = seen * _residual_light(hits.interpolate(surface.normals), directions[met], settings, rng)

    light = _backdrop(size, settings, rng)
    window = light[rows, columns]
    window[met.reshape(window.shape[:2])] = seen.T
    return light


def _residual_light(
    normals: Floats, directions: Floats, settings: Scanner, rng: np.random.Generator
) -> Floats:
    """Gain (k,) of the light at normals (k, 3), around 1.

    The texture holds the light that all scans share; what is left is one soft lamp, somewhere in
    front of the face, and the flash beside the camera.
    """
    lamp = unit(rng.normal(0, [0.7, 0.5, 0.2]) + [0, 0.2, 0.8])
    flash = rng.uniform(0, 0.6)
    lit = unit(normals) @ lamp - flash * np.einsum("ij,ij->i", unit(normals), directions)
    return np.exp(settings.shading * rng.uniform(0.5, 1.5) * (lit - lit.mean()) / 0.3).clip(0.3, 2)


def _backdrop(size: int, settings: Scanner, rng: np.random.Generator) -> Floats:
    low, high = np.log(settings.background)
    grey = np.exp(rng.uniform(low, high)) * np.exp(rng.normal(0, 0.05, 3))
    y, x = np.arange(size) / size - rng.uniform(0.35, 0.65, (2, 1))
    away = 1 - _FALL_OFF * 2 * (x**2 + y[:, None] ** 2)
    return (away[..., None] * grey).astype(np.float32)


def develop(light: Floats, settings: Scanner, rng: np.random.Generator) -> Photograph:
    """The photograph (h, w, 3), sRGB, of linear RGB (h, w, 3): exposure, colour, noise."""
    blur = (settings.lens_blur, settings.lens_blur, 0)
    gain = np.exp(rng.normal(0, settings.exposure) + rng.normal(0, settings.white, 3))
    light = gaussian_filter(light, blur, truncate=3) * gain.astype(np.float32)
    deviation = np.sqrt(np.maximum(light, 0) / settings.photons + settings.read_noise**2)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    return colour.to_uint8(light + deviation * noise)
