"""The landmarks of a template, and what can be wrong with one."""

import numpy as np

# dlib's 68 landmarks without the jaw (17) and the inner lips (8), in their order; right is the
# subject's, at smaller x.
LANDMARKS = (
    *(f"right_brow_{k}" for k in range(1, 6)),
    *(f"left_brow_{k}" for k in range(1, 6)),
    *(f"nose_bridge_{k}" for k in range(1, 5)),  # the fourth is the tip
    *(f"nose_base_{k}" for k in range(1, 6)),
    *(f"right_eye_{k}" for k in range(1, 7)),  # from the outer corner over the upper lid
    *(f"left_eye_{k}" for k in range(1, 7)),  # from the inner corner over the upper lid
    *(f"mouth_{k}" for k in range(1, 13)),  # from the right corner over the upper lip
)
N_LANDMARKS = len(LANDMARKS)  # 43
# The right half of a pair of landmarks and the left one, as positions among the 43.
MIRROR = np.array(
    [*range(9, -1, -1), *range(10, 14), *range(18, 13, -1)]
    + [28, 27, 26, 25, 30, 29, 22, 21, 20, 19, 24, 23]
    + [37, 36, 35, 34, 33, 32, 31, 42, 41, 40, 39, 38]
)
FIRST_OF_68 = 17  # the jaw comes before, and after 43 more the inner lips
ENOUGH = 6  # landmarks for a pose


class TemplateError(ValueError):
    """A template that cannot be used; the message says what is wrong, where, and what to do."""


class TemplateFileError(TemplateError):
    """A template's file, or its table of landmarks or regions, is missing or cannot be read."""


class TemplateLandmarkError(TemplateError):
    """Landmarks are missing, unknown, or do not lie on the template."""


class TemplateSizeError(TemplateError):
    """The template is not as large as a face in mm, or does not look along +z with y up."""


class MissingLandmarkError(TemplateError):
    """Something needs landmarks that this template does not have."""
