"""What skin looks like from place to place, in people: sockets, cheeks, nose, lips, jaw.

Pigments alone make shop-window mannequins. Two small tables of aggregates, in logarithms of linear
RGB against the cheeks', say how the skin of people differs over the face, and how people differ in
that. Neither shows anybody: `people.complexion` makes them and tells from what.

    front   groups (3, 64, 64, 3): medians over the women and the men of European ancestry and over
            all others, in the frontal plane; components (2, c, 64, 64, 3), what women and what men
            differ in from these, each times its standard deviation
    skin    (m, 3) of the head's vertices: median of skins photographed at half a millimetre, which
            show what the front's pixels of 2.5 mm do not
"""

import functools
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from facesynth.files import arrays
from facesynth.population.anatomy import Anatomy
from facesynth.population.appearance import Appearance
from facesynth.population.lookup import LookUp
from facesynth.population.noise import Floats, smoothstep

FILE = "complexion.npz"  # beside this module
SIDE = 64  # pixels along the side of the frontal images
LEFT, RIGHT, TOP, BOTTOM = -76.0, 76.0, 72.0, -112.0  # mm from between the eyes: their frame
_FINER = 4  # the images are made smooth before they are looked up


class Complexion:
    """Logarithms of the colour, against the cheeks', of one subject after another."""

    def __init__(self, anatomy: Anatomy) -> None:
        a = anatomy
        column = (a.x - LEFT) / (RIGHT - LEFT) * SIDE * _FINER - 0.5
        row = (TOP - a.y) / (TOP - BOTTOM) * SIDE * _FINER - 0.5
        self._look_up = LookUp([row, column], (SIDE * _FINER,) * 2)
        # cubic interpolation is a matrix, in each direction the same
        self._finer = zoom(np.eye(SIDE, dtype=np.float32), (_FINER, 1), order=3, mode="nearest")
        # lips lie in their own shade, the lower one more: it is full, and faces down
        upper = smoothstep(-3, 3, a.y - a.curve("upper_lip")[:, 1].mean())
        lips = -a.lips * (0.34 - 0.26 * upper)
        self._skin = a.of_head(table()["skin"]) + lips[:, None]

    def fields(self, look: Appearance) -> Floats:
        """Logarithms (R², 3) of a factor of the skin's colour."""
        front = np.moveaxis(frontal(look), 2, 0)  # (3, 64, 64)
        fine = self._finer @ front @ self._finer.T
        return np.stack([self._look_up(c) for c in fine], axis=1) + self._skin


def frontal(look: Appearance) -> Floats:
    """One subject's frontal image (64, 64, 3): its group's, and its own components."""
    women, men, others = table()["groups"]
    male = look.male
    # both genders are among the others: they differ as women and men of European ancestry do
    elsewhere = others + (male - 0.5) * (men - women)
    mean = look.european * (women + male * (men - women)) + (1 - look.european) * elsewhere
    own = table()["components"][int(male > 0.5)]
    return np.asarray(mean + np.tensordot(np.array(look.complexion), own, 1), np.float32)


@functools.cache
def table() -> dict[str, NDArray[np.float32]]:
    """The aggregates, read once in a process."""
    with resources.as_file(resources.files("facesynth.population") / FILE) as path:
        return {name: of.astype(np.float32) for name, of in arrays.read(path).items()}
