import numpy as np
import pytest
import torch

from facesynth import gan
from facesynth.gan.machine import start
from facesynth.gan.training import _Training

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="recordings need a GPU, and here is none"
)


def train(steps, recorded, tmp_path):
    config = gan.Config(
        resolution=16,
        masks="paired",
        latent=16,
        capacity=256,
        max_channels=16,
        first_resolution=8,
        fade_images=160,
        stable_images=160,
        last_images=400,
        decay_images=300,
        batch={16: 8},
        penalty_every=2,
    )
    random = np.random.default_rng(0)
    images = random.integers(256, size=(40, 16, 16, 3), dtype=np.uint8)
    data = gan.Images(images, random.random((40, 16, 16)) < 0.8)
    training = _Training(config, data, gan.RunFolder(tmp_path), start(config))
    if not recorded:
        training.recorder = None
    terms = []
    for _ in range(steps):
        stage = config.stage(training.shown)
        terms.append(training._step(stage))
        training.shown += stage.batch
    return training, torch.stack(terms)


def test_recorded_steps_are_the_steps(tmp_path):
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, deterministic=True):
        _, expected = train(60, False, tmp_path)
        training, actual = train(60, True, tmp_path)
    assert len(training.recorder.recordings) == 6  # two levels and a fade, with penalty or not
    torch.testing.assert_close(actual[:30], expected[:30], rtol=1e-3, atol=1e-4)
    assert torch.isfinite(actual).all()
    assert training.optimizers["g"].param_groups[0]["lr"].item() < training.config.learning_rate
