"""Strands of hair over the skin, found in a photograph by their looks: narrow, dark and long."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facesynth.rendering.colour import from_uint8
from facesynth.scans.parts import Photograph

NARROW = 2.0  # mm: a strand or a lock is narrower
LONG = 20.0  # mm: and longer; moles, pores and stubble are not
SLENDER = 0.25  # its area, in squares of its length; a patch has more
DARKER = 0.12  # logarithm by which it is darker than what is at both sides
DARKEST = 0.4  # the same, somewhere along it; wrinkles stay lighter
DENSE = 0.35  # dark share of the surroundings from which hair is where hair belongs
AROUND = 20.0  # mm of these surroundings


def stray_hair(photograph: Photograph, texels: float) -> NDArray[np.bool_]:
    """Where (h, w) single strands or thin locks of hair lie on a photograph (h, w, 3), sRGB.

    texels : pixels to a mm of the face. Dense hair, as on the scalp or in a beard, is not meant.
    """
    light = np.log(from_uint8(photograph) @ np.full(3, 1 / 3, np.float32) + np.float32(0.02))
    width = max(3, round(NARROW * texels) | 1)  # pixels, odd
    light = ndimage.gaussian_filter(light, 0.5)  # a sensor's noise is no hair
    depth = ndimage.grey_closing(light, size=(width, width)) - light
    dark = depth > DARKER
    label, count = ndimage.label(dark, structure=np.ones((3, 3)))
    if count == 0:
        return dark
    boxes = [[part.stop - part.start for part in box] for box in ndimage.find_objects(label)]
    length = np.hypot(*np.array(boxes).T)  # (count,) pixels
    slender = np.bincount(label.ravel())[1:] < SLENDER * length**2
    dark_enough = np.bincount(label[depth > DARKEST], minlength=count + 1)[1:] > 0
    hair = (length > LONG * texels) & slender & dark_enough
    if not hair.any():
        return np.zeros_like(dark)
    stray = np.concatenate([[False], hair])[label]
    crowded = ndimage.uniform_filter(dark.astype(np.float32), round(AROUND * texels)) > DENSE
    return np.asarray(ndimage.binary_dilation(stray & ~crowded))
