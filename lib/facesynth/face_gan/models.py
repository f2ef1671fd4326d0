"""GANs of faces: textures (Section 7.1), geometries (Section 8), and both as one image.

The paper trains a generator of textures and another of geometries, which grow level by level, and
finds afterwards which geometry goes with a texture (Section 7.2). Of both in six channels, the two
belong together. And where each geometry is replaced by "its neutral counterpart" (Section 9), a
generator of both makes faces that wait for an expression: three more channels tell it, so that one
generator makes each person with and without. This generator of whole faces begins as a morphable
model (`gan.anchored`), at few pixels; other networks add the finer levels.
"""

from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from facesynth import gan
from facesynth.dataset.dataset import Dataset
from facesynth.evaluation.scores import SELDOM, shrunk, shrunk_masks
from facesynth.face_gan.colours import Colours
from facesynth.face_gan.geometry_images import EACH, NEGATED, GeometryImages

Model = Literal["textures", "geometries", "faces"]
N_TEXTURE = 3  # channels of a texture; geometry comes after it
CHANNELS: dict[Model, int] = {"textures": 3, "geometries": 3, "faces": 6}
REST = 3  # more channels of "faces", of the geometry at rest, where the scans tell it
BASE = 64  # pixels along the side of images of whole faces, before detail
CODE = 8  # latent numbers that say how much detail a face has
LATENT = 128  # and length of its latent vectors, with as many components to begin with
LARGEST_SMALL = 64  # side of images up to which processors are meant to train
CLEAN = 3679 / 4963  # of the paper's training scans: the others were damaged
FIRST = 16  # side of the first level: at the levels below, masks leave nothing of a face


class UnknownModelError(ValueError):
    """No model has this name."""


def training_images(
    model: Model, faces: Dataset, to: GeometryImages, colours: Colours | None = None
) -> gan.Images:
    """Images that a model learns from, at the resolution of `to`.

    model  "textures" (n, R, R, 3), with the masks of what the scans show;
           "geometries" (n, R, R, 3), of which alignment knows every point;
           "faces" (n, R, R, 6), textures and then geometries, learned as they were filled, without
           masks; or 9 channels, with the subjects' neutral geometries, where `tells_rest`
    colours  channels of the textures, where they are not red, green and blue

    No scan shows the slit between the lips, and hardly any an eye that its bumpy geometry does not
    mask. What is never shown cannot be learned: pixels that fewer than one scan in twenty shows are
    taken as they are filled, eyes from their photographs and the rest from around.

    Raises `UnknownModelError`, `gan.ImageSizeError` where textures do not shrink to R x R,
    `DatasetError` where a neutral scan is missing, `MeshArrayError` and `GeometryRangeError`.
    """
    check_model(model)
    if model == "geometries":
        return gan.Images(to.to_images(faces.geometry))
    side, R = faces.resolution, to.mapping.resolution
    if side % R:
        raise gan.ImageSizeError(
            f"textures of {side} x {side} pixels do not shrink to {R} x {R}: "
            f"build the data set with --resolution {R} or a multiple"
        )
    valid = sum(part.valid.sum(axis=0) for part in faces.parts())
    seldom = valid < SELDOM * len(faces)
    both = [
        (shrunk(part.textures, R), shrunk_masks(part.valid | seldom, R)) for part in faces.parts()
    ]
    textures, masks = (np.concatenate(images) for images in zip(*both, strict=True))
    if model == "textures":
        return gan.Images(textures, masks)
    geometries = to.to_images(faces.geometry)
    if tells_rest(faces):
        resting = to.to_images(faces.neutral_geometry)
        geometries = np.concatenate([geometries, resting], axis=3)
    channels = textures / np.float32(127.5) - 1 if colours is None else colours.channels(textures)
    return gan.Images(np.concatenate([channels, geometries], axis=3))


def tells_rest(faces: Dataset) -> bool:
    """Whether the scans show expressions, and every subject without one, too."""
    at_rest = faces.subjects[faces.is_neutral]
    return not faces.is_neutral.all() and bool(np.isin(faces.subjects, at_rest).all())


def configuration(
    model: Model,
    resolution: int,
    *,
    channels: int,
    n_shown: int,
    n_last: int | None = None,
    masks: str = "none",
    seed: int = 0,
    rest: bool = False,
) -> gan.Config:
    """How a model is trained.

    resolution  R, pixels along the side of its images
    channels    of its widest feature maps
    n_shown     images shown at each level, where a sixth as many are shown while it fades in
    n_last      images shown at the last level, where it differs
    masks       "none": invalid pixels are learned as they were filled; or "paired": they are
                hidden from the discriminator (Section 6)
    seed        of the weights and of everything drawn while it is trained
    rest        whether "faces" have the channels of `REST`

    Masks of damage that has nothing to do with what it hides can be told to the discriminator
    (chapter 05). A scan's mask follows its hair and brows, and gives away what belongs there, which
    no generator knows (chapter 06): so "none" is the default.

    Textures and faces are mirrored as a whole, half of the time; of geometries, X, Y and Z are
    mirrored on their own (Section 8).

    Raises `UnknownModelError`, and `gan.ConfigError` for numbers that no training can have.
    """
    if check_model(model) == "faces":
        made = CHANNELS[model] + REST * rest
        return _anchored(made, min(resolution, BASE), channels, n_shown, seed)
    # Smooth or few images are too easy to distinguish from generated ones.
    penalty = {"textures": 0.1}.get(model, 1.0)
    # Few images a step learn most from each; a GPU is as fast with a few more.
    batch = {16: 16, 1024: 8} if resolution <= LARGEST_SMALL else {1024: 16}
    whole = (tuple(range(CHANNELS[model])),)
    last = n_shown if n_last is None else n_last
    return gan.Config(
        resolution=resolution,
        channels=CHANNELS[model],
        masks=masks,
        masked_channels=None if masks == "none" else N_TEXTURE,
        latent=channels,
        capacity=max(8, resolution // 8) * channels,
        max_channels=channels,
        first_resolution=min(FIRST, resolution),
        fade_images=n_shown // 6,
        stable_images=n_shown,  # coarse levels are cheap, and decide where everything is
        last_images=last,
        # As in `experiments`, but for the penalty. In proportion to an image's pixels it would be
        # too heavy at the coarse levels of large images.
        learning_rate=0.005,
        decay_images=3 * last // 4,
        penalty=penalty * (resolution / 128) * 32 / batch[1024],
        penalty_every=4,
        batch=batch,
        average_images=n_shown / 12,
        mirrored=EACH if model == "geometries" else whole,
        negated={"textures": (), "geometries": NEGATED}.get(model, (N_TEXTURE,)),
        # Coordinates need more digits than bfloat16 has.
        precision=gan.fastest_precision() if model == "textures" else "32-true",
        seed=seed,
        checkpoint_images=max(1, n_shown // 2),
        sample_images=max(1, n_shown // 3),
        log_images=max(1, n_shown // 48),
    )


def _anchored(made: int, resolution: int, channels: int, n_shown: int, seed: int) -> gan.Config:
    return gan.Config(
        resolution=resolution,
        channels=made,
        architecture="anchored",
        fine_channels=N_TEXTURE,
        anchors=LATENT,
        latent=LATENT,
        capacity=8 * resolution * channels // 64,
        max_channels=channels,
        first_resolution=resolution,
        batch={1024: 8},
        penalty=1.0 * (resolution / 128) * 4,  # less, and few scans are learned by heart
        mirrored=(tuple(range(made)),),
        negated=tuple(range(N_TEXTURE, made, 3)),
        seed=seed,
        sample_images=max(1, n_shown // 6),
        **_all_levels_at_once(n_shown),
    )


def detail_configuration(
    tiles: gan.Tiles, *, channels: int, n_shown: int, seed: int = 0
) -> gan.Config:
    """How a network learns detail from so many tiles; `channels` of its widest feature maps."""
    return gan.Config(
        resolution=tiles.resolution,
        channels=tiles.channels,
        architecture="detail",
        code=CODE,
        capacity=16 * channels,
        max_channels=channels,
        first_resolution=tiles.resolution,
        batch={1024: 16},
        penalty=1.0,
        seed=seed,
        sample_images=max(1, n_shown // 3),
        **_all_levels_at_once(n_shown),
    )


def _all_levels_at_once(n_shown: int) -> dict[str, Any]:
    """The schedule of networks that do not grow."""
    return {
        "fade_images": 0,
        "stable_images": 0,
        "last_images": n_shown,
        "learning_rate": 0.003,
        "decay_images": n_shown // 2,
        "penalty_every": 4,
        "average_images": max(1, n_shown / 20),
        "precision": gan.fastest_precision(),
        "checkpoint_images": max(1, min(8_000, n_shown // 2)),
        "log_images": max(1, n_shown // 100),
    }


def split(faces: Dataset, n_test: int) -> tuple[Dataset, Dataset]:
    """Scans to train on, and at least `n_test` that are held out with all scans of their subjects.

    The first subjects are held out: they stay the same however many more are scanned.
    """
    last = int(np.sort(faces.subjects)[n_test - 1])
    held_out = faces.subjects <= last
    return faces.take(~held_out), faces.take(held_out)


def clean(faces: Dataset, share: float = CLEAN) -> NDArray[np.bool_]:
    """Which scans (n,) have the least damage: the share that the paper kept."""
    damaged = damage(faces)
    return damaged <= np.quantile(damaged, share)


def damage(faces: Dataset) -> NDArray[np.floating]:
    """What part of the face each scan (n,) hides.

    The face is where nine scans of ten are valid; scalp and neck are not counted, which scanners
    hardly ever see.
    """
    face = faces.valid.mean(axis=0) > 0.9
    return 1 - faces.valid[:, face].mean(axis=1)


def check_model(model: str) -> Model:
    """Return a model's name. Raises `UnknownModelError` where it is none."""
    if model not in get_args(Model):
        raise UnknownModelError(f"unknown model {model!r}; there are {', '.join(get_args(Model))}")
    return cast(Model, model)
