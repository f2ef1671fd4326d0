"""How far our faces are from photographs of people: a linear classifier, and Table 1's distance."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facesynth.evaluation.scores import as_scanned
from facesynth.people.complexion import shape_free
from facesynth.people.realism import Images
from facesynth.population.complexion import SIDE
from facesynth.surface.mesh import Floats

FOLDS = 5  # each classified by what the others teach
STRENGTH = 1e-3  # inverse of the penalty on 12,288 weights: faces are few
RIM = 8  # pixels around the shape-free image that hair and background fill


def told_apart(people: Images, ours: Images, seed: int = 0) -> float:
    """Area under the ROC curve: 0.5 is chance, 1 tells all apart.

    people, ours : crops (n, HEIGHT, WIDTH, 3) of `realism`, warped to one shape, 64 x 64.
    """
    inner = np.s_[:, RIM:-RIM, RIM:-RIM]
    textures = _in_one_shape([people, ours])
    x = np.concatenate([of[inner].reshape(len(of), -1) for of in textures])
    y = np.repeat([0, 1], [len(people), len(ours)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=3000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, x, y, cv=folds, method="decision_function")
    return float(roc_auc_score(y, scores))


def in_one_shape(sets: Mapping[str, Images]) -> dict[str, Images]:
    """Shape-free textures (n, 64, 64, 3) sRGB of sets of crops, to be compared with each other.

    Beyond an ellipse lie hair and background, which is filled as what scans do not show is.
    """
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / (SIDE / 2) - 1
    face = np.hypot(x / 0.72, (y - 0.03) / 0.8) < 1
    textures = _in_one_shape([*sets.values()])
    return {
        name: as_scanned(255 * of.clip(0, 1), np.repeat(face[None], len(of), 0))
        for name, of in zip(sets, textures, strict=True)
    }


def _in_one_shape(sets: Sequence[Images]) -> list[Floats]:
    textures = np.exp(shape_free(np.concatenate(sets))[0]) ** (1 / 2.2)
    return np.split(textures, np.cumsum([len(crops) for crops in sets])[:-1])
