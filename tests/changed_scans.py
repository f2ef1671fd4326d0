"""Data sets in memory, made of others."""

from facesynth.dataset.dataset import Dataset


def changed(faces: Dataset, **arrays: object) -> Dataset:
    """The same scans with other arrays."""
    names = ("geometry", "textures", "valid", "subjects", "expressions", "expression_names")
    kept = {name: getattr(faces, name) for name in (*names, "template")}
    return Dataset.of(**(kept | arrays))
