"""Detail that is learned on tiles."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from facesynth.gan import Config, Detailer, Images, MaskError, PixelRangeError, Tiles, train
from facesynth.gan.detail import AMPLIFIED, MARGIN, SCALE, TILE, places

R = 128
CPU = torch.device("cpu")
TINY = Config(
    resolution=TILE, channels=4, architecture="detail", capacity=256, max_channels=8,
    first_resolution=TILE, fade_images=0, stable_images=0, last_images=16, group=2,
    batch={TILE: 2}, log_images=4, checkpoint_images=4, sample_images=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return Images(np.random.default_rng(0).integers(0, 256, (5, R, R, 4), np.uint8))


def test_tiles_have_no_masks(images):
    with pytest.raises(MaskError, match=r"cut them of unmasked\(\) images"):
        Tiles(Images(images.pixels, np.ones(images.pixels.shape[:3], bool)))


def test_tiles_are_cut_of_images_that_are_checked_when_they_are_read(tmp_path):
    np.save(tmp_path / "a.npy", np.full((1, R, R, 4), 20, np.float32))
    with pytest.raises(PixelRangeError, match="number 0"):
        tiles_of(Images(np.load(tmp_path / "a.npy", mmap_mode="r")), 0, n=1)


def tiles_of(images, seed, n=3, mirrored=False):
    rng = np.random.default_rng(seed)
    data = Tiles(images, mirrored)
    return data.batch(np.arange(n), TILE, 1.0, CPU, rng)[0]


@given(st.integers(0, 2**31))
def test_tiles_are_parts_of_images_and_say_where_they_lie(images, seed):
    tiles = tiles_of(images, seed)
    margin = MARGIN * SCALE
    assert tiles.shape == (3, 9, TILE + 2 * margin, TILE + 2 * margin)
    inner = np.s_[:, :, margin:-margin, margin:-margin]
    x, y = tiles[inner][:, -2:].unbind(1)  # in small pixels
    whole = torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 127.5 - 1
    small = F.avg_pool2d(whole[:, :3], SCALE)
    for k in range(3):
        row = round(float(((y[k, 0, 0] + 1) * R - SCALE) / 2))
        found = [
            column
            for column in range(0, R - TILE + 1, SCALE)
            if torch.allclose(places(R // SCALE)[0, 0, 0, column // SCALE], x[k, 0, 0])
        ]
        matching = [
            torch.allclose(
                tiles[inner][k, 3],
                AMPLIFIED * whole[k, 3, row : row + TILE, c : c + TILE],
                atol=1e-4,
            )
            for c in found
        ]
        assert sum(matching) == 1
        column = found[matching.index(True)]
        part = np.s_[row : row + TILE, column : column + TILE]
        low = small[k].repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2)
        off = tiles[inner][k, 4:7] - low[:, *part]
        assert off.abs().max() < 0.2  # jitter


def test_detail_and_small_image_are_the_whole_image(images, monkeypatch):
    monkeypatch.setattr("facesynth.gan.detail.JITTER", 0.0)
    network = Detailer(4, 8)
    tiles = tiles_of(images, 0)
    margin = MARGIN * SCALE
    inner = np.s_[:, :, margin:-margin, margin:-margin]
    shown = network.colours(tiles)[inner]
    x = (shown.permute(0, 2, 3, 1) * 127.5 + 127.5).numpy()
    for k in range(3):
        windows = np.lib.stride_tricks.sliding_window_view(
            images.pixels[k, ..., :3].astype(np.float32), (TILE, TILE), (0, 1)
        )[::SCALE, ::SCALE]
        off = np.abs(windows - x[k].transpose(2, 0, 1)).max(axis=(2, 3, 4))
        assert off.min() < 0.01


def test_tiles_at_the_border_repeat_it(images):
    """A margin beyond the border holds the small image's last pixels, as whole images' does."""
    data = Tiles(images, mirrored=False)

    class Corner:
        def integers(self, *_):
            return np.zeros((1, 2), int)

        def standard_normal(self, shape, dtype):
            return np.zeros(shape, dtype)

        def random(self, shape, dtype):
            return np.zeros(shape, dtype)

    tiles, _ = data.batch(np.array([0]), TILE, 1.0, CPU, Corner())
    small = F.avg_pool2d(
        torch.from_numpy(images.pixels[:1, ..., :3]).permute(0, 3, 1, 2) / 127.5 - 1, SCALE
    )
    padded = F.pad(small, (MARGIN, 0, MARGIN, 0), mode="replicate")
    side = TILE // SCALE + MARGIN
    torch.testing.assert_close(
        tiles[:, 4:7, ::SCALE, ::SCALE][..., :side, :side], padded[..., :side, :side]
    )


def test_half_of_the_tiles_are_mirrored(images):
    plain, mirrored = tiles_of(images, 3, 5), tiles_of(images, 3, 5, mirrored=True)
    turned = [not torch.equal(a, b) for a, b in zip(plain, mirrored, strict=True)]
    assert 0 < sum(turned) < 5
    for k, is_turned in enumerate(turned):
        assert torch.equal(plain[k].flip(2) if is_turned else plain[k], mirrored[k])


def test_a_code_says_how_much_detail_a_face_has():
    """Noise in every pixel does not: it makes as much of it for everybody."""
    torch.manual_seed(0)
    network, n = Detailer(4, 16, code=4), 32
    torch.nn.init.normal_(network.to_detail.weight)
    small = torch.zeros(1, 3, 16, 16).expand(n, -1, -1, -1)
    place, noise = places(16).expand(n, -1, -1, -1), torch.randn(n, network.n_noise(16, 16))
    codes = noise[:, :4]
    for changed, kept in ((noise, codes[:1]), (noise[:1], codes)):
        given = torch.cat([kept.expand(n, -1), changed[:, 4:].expand(n, -1)], 1)
        amount = network(small, place, given).std((1, 2, 3)).log().std()
        if changed is noise:
            by_noise = amount
    assert amount > 5 * by_noise


def test_detail_does_not_change_the_small_image():
    torch.manual_seed(0)
    network = Detailer(4, 8, code=2)
    torch.nn.init.normal_(network.to_detail.weight)
    small = torch.rand(2, 3, 12, 9) * 2 - 1
    place = places(12)[..., :9].expand(2, -1, -1, -1)
    noise = torch.randn(2, network.n_noise(12, 9))
    detail = network(small, place, noise)
    assert detail.shape == (2, 4, 12 * SCALE, 9 * SCALE)
    smooth = F.interpolate(small, scale_factor=SCALE, mode="bilinear", align_corners=False)
    whole = smooth + detail[:, :3] / AMPLIFIED
    torch.testing.assert_close(F.avg_pool2d(whole, SCALE), small, atol=0.01, rtol=0)
    other = network(small, place, torch.randn_like(noise))
    assert (other - detail).abs().max() > 1e-3


def test_a_run_learns_and_resumes_to_the_same_weights(images, tmp_path):
    data = Tiles(images)
    whole = train(TINY, data, tmp_path / "whole", progress=False)
    half = dataclasses.replace(TINY)

    class Stopped(Tiles):
        def batch(self, *args):
            if self.__dict__.setdefault("asked", 0) == 3:
                raise InterruptedError
            self.__dict__["asked"] += 1
            return super().batch(*args)

    with pytest.raises(InterruptedError):
        train(half, Stopped(images), tmp_path / "cut", progress=False)
    cut = train(half, data, tmp_path / "cut", progress=False)
    a, b = (load_file(run.path / "checkpoint.safetensors") for run in (whole, cut))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert isinstance(whole.detailer(), Detailer)
    assert len(whole.samples()) == 1
