"""How well a linear classifier tells our faces from photographs of people."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facesynth.people.complexion import shape_free
from facesynth.people.realism import Images

FOLDS = 5  # each classified by what the others teach
STRENGTH = 1e-3  # inverse of the penalty on 12,288 weights: faces are few
RIM = 8  # pixels around the shape-free image that hair and background fill


def told_apart(people: Images, ours: Images, seed: int = 0) -> float:
    """Area under the ROC curve: 0.5 is chance, 1 tells all apart.

    people, ours : crops (n, HEIGHT, WIDTH, 3) of `realism`, warped to one shape, 64 x 64.
    """
    _, shape = shape_free(np.concatenate([people, ours]))
    textures = [np.exp(shape_free(crops, shape)[0]) ** (1 / 2.2) for crops in (people, ours)]
    inner = np.s_[:, RIM:-RIM, RIM:-RIM]
    x = np.concatenate([of[inner].reshape(len(of), -1) for of in textures])
    y = np.repeat([0, 1], [len(people), len(ours)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=3000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, x, y, cv=folds, method="decision_function")
    return float(roc_auc_score(y, scores))
