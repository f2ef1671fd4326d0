"""The template: the face that is deformed onto every scan, as a value. Section 5.2 of the paper.

Nothing in the package knows whose face it is. `standard()` is the project's own; anybody's comes
from a mesh and a small table of landmarks:

    template = Template.load("my_face.obj", landmarks="my_face.csv")

    landmark,vertex        or        landmark,x,y,z
    nose_bridge_4,3110               nose_bridge_4,0.2,-4.1,63.0

with the names in `LANDMARKS`, or dlib's numbers 17 to 59, in any order; six or more of them.
"""

from facesynth.template.parts import (
    ENOUGH,
    FIRST_OF_68,
    LANDMARKS,
    MIRROR,
    N_LANDMARKS,
    MissingLandmarkError,
    TemplateError,
    TemplateFileError,
    TemplateLandmarkError,
    TemplateSizeError,
)
from facesynth.template.template import Template, standard

__all__ = [
    "ENOUGH",
    "FIRST_OF_68",
    "LANDMARKS",
    "MIRROR",
    "N_LANDMARKS",
    "MissingLandmarkError",
    "Template",
    "TemplateError",
    "TemplateFileError",
    "TemplateLandmarkError",
    "TemplateSizeError",
    "standard",
]
