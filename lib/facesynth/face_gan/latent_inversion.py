"""From a texture to the latent vector of a generator of faces, and so to a geometry.

A generator of textures and geometries together knows which geometries go with a texture, if one
finds the latent vector that makes the texture: an alternative to Section 7.2. Textures of some
latent vectors tell how these follow from a texture linearly; from there, gradient descent.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from torch.nn.functional import avg_pool2d
from tqdm import tqdm

from facesynth import gan
from facesynth.evaluation.scores import small_rows
from facesynth.face_gan.models import N_TEXTURE
from facesynth.face_gan.released_models import ReleasedModel
from facesynth.surface.mesh import MeshArrayError

START = 32  # pixels along the side of the textures that a first guess is made from
COMPARED = 64  # and of those that are compared: finer detail says little of geometry
PENALTIES = np.geomspace(1, 1e4, 9)
STEP = 0.05  # of Adam, in latent vectors of standard normal numbers


def invert(
    model: ReleasedModel,
    textures: NDArray[np.uint8],
    masks: NDArray[np.bool_] | None = None,
    *,
    steps: int = 30,
    n_start: int = 400,
    batch: int = 4,
    seed: int = 0,
    progress: bool = True,
) -> NDArray[np.float32]:
    """Generated images (n, R, R, 6) whose textures are as close as can be to the given ones.

    model     of textures and geometries
    textures  (n, R, R, 3) sRGB, of the generator's size before detail
    masks     (n, R, R), True where a texture counts in the descent; None: everywhere. The first
              guess takes textures as they are filled
    steps     of gradient descent; 0 leaves the first guess
    n_start   faces that are generated for the first guess

    Raises `MeshArrayError` for textures of another size.
    """
    R = model.config.resolution
    if textures.shape[1:] != (R, R, N_TEXTURE) or (
        masks is not None and masks.shape != textures.shape[:3]
    ):
        raise MeshArrayError(f"textures {textures.shape} are not (n, {R}, {R}, 3), with masks")
    latents = gan.latents(model.generator, n_start, seed)
    made = np.concatenate([gan.generate(model.generator, z) for z in latents.split(batch)])
    rows = small_rows(made[..., :N_TEXTURE], min(START, R))
    guess = RidgeCV(PENALTIES).fit(rows, latents.numpy())
    own = model.colours
    wanted = textures / np.float32(127.5) - 1 if own is None else own.channels(textures)
    z = torch.from_numpy(guess.predict(small_rows(wanted, min(START, R))).astype(np.float32))
    weight = np.ones(textures.shape[:3], np.float32) if masks is None else masks.astype(np.float32)
    found = []
    with tqdm(total=len(z), unit=" faces", desc="inverting", disable=not progress) as bar:
        for rows_of in torch.arange(len(z)).split(batch):
            k = rows_of.numpy()
            best = _descend(model.generator, z[rows_of], wanted[k], weight[k], steps)
            found.append(gan.generate(model.generator, best))
            bar.update(len(k))
    return np.concatenate(found)


def _descend(
    generator: gan.ImageGenerator,
    z: torch.Tensor,
    wanted: NDArray[np.float32],
    weight: NDArray[np.float32],
    steps: int,
) -> torch.Tensor:
    """Latent vectors (b, latent) whose textures are closer to those wanted (b, R, R, 3)."""
    z = z.clone().requires_grad_()
    size = max(1, wanted.shape[1] // COMPARED)
    w = torch.from_numpy(weight)[:, None]  # (b, 1, R, R)
    target = torch.from_numpy(wanted).permute(0, 3, 1, 2)
    shown = avg_pool2d(w, size)
    optimizer = torch.optim.Adam([z], STEP)
    for _ in range(steps):
        texture = generator(z)[:, :N_TEXTURE]
        away = avg_pool2d(w * (texture - target), size) ** 2 / shown.clamp(min=1e-3)
        # Each latent vector for itself: a sum, so that it does not matter what is beside it.
        loss = (away.sum((1, 2, 3)) / (N_TEXTURE * shown.sum((1, 2, 3)))).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return z.detach()
