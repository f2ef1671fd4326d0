"""Synthesizing facial photometries and corresponding geometries: an open, runnable companion.

    faces = facesynth.synthesize(8, seed=0)
    faces[0].export("face.glb")

Everything else is in the modules, of which each is named for a section of the paper.
"""

import importlib
from typing import Any

__all__ = ["synthesize"]


def __getattr__(name: str) -> Any:
    """Import PyTorch, which takes seconds, only for those who synthesize."""
    if name != "synthesize":
        raise AttributeError(f"module 'facesynth' has no attribute {name!r}")
    return importlib.import_module("facesynth.face_gan.synthesis").synthesize
