"""Where `face-recognition-models` keeps dlib's networks; data/README.md tells their limits."""

import importlib.util
from pathlib import Path


def weights(name: str) -> str:
    """Path of a file of weights. Raises `ModuleNotFoundError` without the package.

    The package is found and not imported: its import needs pkg_resources, which is gone.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "dlib's weights are not installed; run pip install face-recognition-models"
        )
    return str(Path(spec.origin).parent / "models" / name)
