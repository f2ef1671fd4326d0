"""Training images at every level of the growth, and that nothing hidden is ever seen."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torchvision.io import write_jpeg, write_png

from facesynth.gan import (
    Images,
    ImagesError,
    ImageSizeError,
    MaskError,
    NoImagesError,
    PixelRangeError,
    images,
)
from facesynth.gan.images import smallest
from facesynth.gan.masks import apply_mask

CPU = torch.device("cpu")


def batch(images, resolution, alpha=1.0):
    return images.batch(np.arange(len(images)), resolution, alpha, CPU)


def grey(rows):
    """One image of one channel."""
    return np.array(rows, np.float32)[None, ..., None]


def blocks(rows):
    """An 8 x 8 image that is constant over 4 x 4 blocks of 2 x 2 pixels."""
    return grey(np.kron(np.reshape(rows, (4, 4)), np.ones((2, 2))))


@pytest.fixture
def folder(tmp_path):
    """Writes images (h, w) or (h, w, 3) of eight bits, as PNG."""

    def write(name, files):
        (tmp_path / name).mkdir(exist_ok=True)
        for file, pixels in files.items():
            pixels = np.atleast_3d(np.asarray(pixels, np.uint8))
            write_png(torch.from_numpy(pixels).permute(2, 0, 1), str(tmp_path / name / file))
        return tmp_path / name

    return write


def flat(value, side=8):
    return np.full((side, side), value)


# -- levels of the growth


def test_eight_bits_become_minus_one_to_one():
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[0, 0, 0] = 0, 51, 255
    images, masks = batch(Images(pixels), 4)
    torch.testing.assert_close(images[0, :, 0, 0], torch.tensor([-1, -0.6, 1]))
    assert images.shape == (1, 3, 4, 4)
    assert masks.shape == (1, 1, 4, 4)
    assert (masks == 1).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_images_stay_as_they_are(dtype):
    values = np.linspace(-1, 1, 2 * 4 * 4 * 6).reshape(2, 4, 4, 6).astype(dtype)
    images, _ = batch(Images(values), 4)
    assert images.dtype == torch.float32
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), values.astype(np.float32))


def test_a_level_is_the_average_of_its_pixels():
    values = np.arange(64.0).reshape(8, 8) / 64
    images, _ = batch(Images(grey(values)), 4)
    expected = values.reshape(4, 2, 4, 2).mean((1, 3))
    np.testing.assert_allclose(images[0, 0], expected, atol=1e-6)


def test_a_level_that_fades_in_is_a_blend_with_the_one_below():
    values = np.arange(64.0).reshape(8, 8) / 64
    data = Images(grey(values))
    low = np.kron(batch(data, 4)[0][0, 0], np.ones((2, 2)))
    for alpha in (0.0, 0.25, 1.0):
        images, _ = batch(data, 8, alpha)
        np.testing.assert_allclose(images[0, 0], (1 - alpha) * low + alpha * values, atol=1e-6)


def test_a_batch_is_of_the_images_that_are_asked_for():
    values = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 2), np.uint8)
    masks = np.ones((5, 4, 4), bool)
    masks[3, 0, 0] = False
    images, valid = Images(values, masks).batch(np.array([3, 0, 3]), 4, 1.0, CPU)
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([3.0, 0, 3]) / 127.5 - 1)
    assert valid[:, 0, 0, 0].tolist() == [0, 1, 0]


def test_a_memory_mapped_file_will_do(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = Images(np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    assert (len(mapped), mapped.resolution, mapped.channels) == (3, 8, 3)
    assert torch.equal(batch(mapped, 4)[0], batch(Images(pixels), 4)[0])


# -- masks


def test_masks_shrink_to_what_is_wholly_valid():
    masks = torch.ones(1, 1, 8, 8)
    masks[0, 0, 0, 0] = masks[0, 0, 5, 2] = 0
    half = torch.ones(4, 4)
    half[0, 0] = half[2, 1] = 0
    assert torch.equal(smallest(masks, 2)[0, 0], half)
    assert torch.equal(smallest(masks, 4)[0, 0], torch.tensor([[0.0, 1], [0, 1]]))
    assert torch.equal(smallest(masks, 1), masks)


def test_a_mask_that_fades_in_is_the_smaller_of_two_levels():
    """By hand: 16 x 16, at 8 x 8 above 4 x 4, with one hidden pixel."""
    valid = np.ones((1, 16, 16), bool)
    valid[0, 5, 10] = False
    data = Images(np.zeros((1, 16, 16, 1), np.float32), valid)
    whole, fading = torch.ones(8, 8), torch.ones(8, 8)
    whole[2, 5] = 0  # the pixel of 2 x 2 that it lies in
    fading[2:4, 4:6] = 0  # and the one of 4 x 4, seen at 8 x 8
    assert torch.equal(batch(data, 8, 1.0)[1][0, 0], whole)
    for alpha in (0.0, 0.5, 0.99):
        assert torch.equal(batch(data, 8, alpha)[1][0, 0], fading)
    assert torch.equal(batch(data, 4, 1.0)[1][0, 0], smallest(fading[None, None], 2)[0, 0])


SIDE = 16
EIGHT_BITS = arrays(np.uint8, (1, SIDE, SIDE, 2))
FLOATING = arrays(np.float32, (1, SIDE, SIDE, 2), elements=st.floats(-1, 1, width=32))


@settings(max_examples=60)
@given(
    st.one_of(st.tuples(EIGHT_BITS, EIGHT_BITS), st.tuples(FLOATING, FLOATING)),
    arrays(bool, (1, SIDE, SIDE)),
    st.sampled_from([4, 8, 16]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_nothing_hidden_is_ever_seen(pixels, valid, resolution, alpha):
    valid[0, 0, 0] = True
    before, anything = pixels
    after = np.where(valid[..., None], before, anything)
    seen = []
    for content in (before, after):
        images, masks = batch(Images(content, valid), resolution, alpha)
        seen.append(apply_mask(images, masks))
    assert torch.equal(*seen)


@settings(max_examples=40)
@given(
    arrays(bool, (1, SIDE, SIDE)),
    st.sampled_from([4, 8, 16]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_what_is_far_from_all_damage_is_seen(valid, resolution, alpha):
    """A pixel is hidden only if one of the full image that it, or its level below, covers is."""
    valid[0, 0, 0] = True
    _, masks = batch(Images(np.zeros((1, SIDE, SIDE, 1), np.uint8), valid), resolution, alpha)
    side = SIDE // resolution * (2 if alpha < 1 else 1)
    n = SIDE // side
    covered = valid[0].reshape(n, side, n, side).all((1, 3))
    repeat = resolution // n
    np.testing.assert_array_equal(masks[0, 0] > 0, np.kron(covered, np.ones((repeat, repeat))) > 0)


def test_some_channels_stay_whole():
    images = torch.arange(1.0, 13).reshape(1, 3, 2, 2)
    masks = torch.tensor([[[[1.0, 0], [0, 1]]]])
    masked = apply_mask(images, masks, hidden=2)
    torch.testing.assert_close(masked[:, :2], images[:, :2] * masks)
    torch.testing.assert_close(masked[:, 2], images[:, 2])
    torch.testing.assert_close(masked[:, 3:], masks)
    torch.testing.assert_close(apply_mask(images, masks, 3), apply_mask(images, masks))


def test_apply_mask_by_hand():
    images = torch.tensor([[[[1.0, -2], [3, 4]], [[5, 6], [7, -8]]]])
    masks = torch.tensor([[[[1.0, 0], [0, 1]]]])
    expected = torch.tensor([[[[1.0, 0], [0, 4]], [[5, 0], [0, -8]], [[1, 0], [0, 1]]]])
    torch.testing.assert_close(apply_mask(images, masks), expected)


def test_real_and_fake_get_the_same_masks():
    source = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 4, 3, 8, 8, generator=source)
    masks = (torch.rand(4, 1, 8, 8, generator=source) > 0.4).float()
    seen = apply_mask(real, masks), apply_mask(fake, masks)
    assert torch.equal(seen[0][:, 3:], masks)
    assert torch.equal(seen[1][:, 3:], masks)
    for masked in seen:
        assert (masked[:, :3][masks.expand(4, 3, 8, 8) == 0] == 0).all()


def test_masks_may_be_truth_values():
    masks = torch.tensor([[[[True, False], [True, True]]]])
    out = apply_mask(torch.full((1, 2, 2, 2), 5.0), masks)
    assert torch.equal(out, apply_mask(torch.full((1, 2, 2, 2), 5.0), masks.float()))


@pytest.mark.parametrize(
    "shape", [(2, 1, 4, 4), (1, 1, 8, 4), (4, 4), (2, 8, 8), (2, 3, 8, 8), (1, 1, 8, 8)]
)
def test_masks_that_do_not_match_are_named(shape):
    with pytest.raises(ValueError, match=r"masks of shape .* must be \(2, 1, 8, 8\)") as error:
        apply_mask(torch.zeros(2, 3, 8, 8), torch.ones(shape))
    assert str(shape) in str(error.value)


# -- what cannot be learned from


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), ImageSizeError, r"\(n, R, R, c\), got \(3, 8, 8\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), NoImagesError, "no images"),
        (np.zeros((2, 8, 8, 0), np.uint8), ImagesError, "at least 1 channel, got 0"),
        (np.zeros((2, 8, 4, 3), np.uint8), ImageSizeError, "square, got 4 x 8"),
        (np.zeros((2, 12, 12, 3), np.uint8), ImageSizeError, "power of two .* 12; resize"),
        (np.zeros((2, 2, 2, 3), np.uint8), ImageSizeError, "at least 4, got 2; resize"),
        (np.zeros((2, 8, 8, 3), np.int64), ImagesError, "uint8, or floating .* got int64"),
        (np.zeros((2, 8, 8, 3), np.uint16), ImagesError, "got uint16"),
        (np.zeros((2, 8, 8, 3), bool), ImagesError, "got bool"),
    ],
)
def test_images_that_no_gan_can_learn_from_are_named(pixels, error, message):
    with pytest.raises(error, match=message):
        Images(pixels)
    assert issubclass(error, ImagesError)


def test_masks_that_leave_nothing_or_do_not_match_are_named():
    pixels = np.zeros((8, 4, 4, 3), np.uint8)
    masks = np.ones((8, 4, 4), bool)
    masks[1:8] = False
    with pytest.raises(MaskError, match=r"7 of 8 .* \(number 1, 2, 3, 4, 5, \.\.\.\): leave out"):
        Images(pixels, masks)
    masks[1:8, 2, 2] = True  # one pixel is enough
    masks[6] = False
    with pytest.raises(MaskError, match=r"1 of 8 masks .* \(number 6\)"):
        Images(pixels, masks)
    for shape in ((7, 4, 4), (8, 8, 8), (8, 4, 4, 1)):
        with pytest.raises(MaskError, match=r"they must be \(8, 4, 4\)"):
            Images(pixels, np.ones(shape, bool))
    with pytest.raises(MaskError, match=r"must be bool, .* got uint8"):
        Images(pixels, np.ones((8, 4, 4), np.uint8))


# -- folders


def test_a_folder_is_read_in_the_order_of_its_names(folder):
    rng = np.random.default_rng(0)
    files = {
        f"{name}.png": rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for name in ("b", "a", "c")
    }
    path = folder("images", files)
    (path / "notes.txt").write_text("no image")
    images = Images.from_folder(path)
    np.testing.assert_array_equal(images.pixels, [files[f"{name}.png"] for name in "abc"])
    assert images.masks is None
    assert batch(images, 8)[0].shape == (3, 3, 8, 8)


def test_masks_go_by_name_and_may_be_of_another_format(folder):
    images = folder("images", {"a.png": flat(9), "b.png": flat(7)})
    half = flat(128)
    half[:, 4:] = 127
    masks = folder("masks", {"b.png": half, "unused.png": flat(0)})
    write_jpeg(torch.full((3, 8, 8), 255, dtype=torch.uint8), str(masks / "a.jpg"))
    read = Images.from_folder(images, masks)
    assert read.masks.dtype == bool
    assert read.masks[0].all()
    np.testing.assert_array_equal(read.masks[1], half == 128)  # white is valid, from 128 on
    np.testing.assert_array_equal(read.pixels[:, 0, 0], [[9, 9, 9], [7, 7, 7]])  # grey is RGB


def test_what_is_no_folder_or_an_empty_one_is_named(tmp_path):
    with pytest.raises(NoImagesError, match=r"there is no folder .*missing"):
        Images.from_folder(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").write_text("")
    with pytest.raises(NoImagesError, match=r"no images \(\.png.* in .*empty"):
        Images.from_folder(tmp_path / "empty")


def test_images_of_unequal_size_are_named(folder):
    path = folder("images", {"a.png": flat(0), "b.png": flat(0), "c.png": flat(0, 16)})
    with pytest.raises(ImageSizeError, match=r"c\.png is 16 x 16 .* a\.png is 8 x 8"):
        Images.from_folder(path)


@pytest.mark.parametrize(
    ("shape", "message"), [((12, 12), "power of two .* got 12; resize"), ((8, 4), "got 4 x 8")]
)
def test_a_folder_of_images_of_a_wrong_size_is_named(folder, shape, message):
    with pytest.raises(ImageSizeError, match=message):
        Images.from_folder(folder("images", {"a.png": np.zeros(shape)}))


@pytest.mark.parametrize("size", [0, 20, 100])
def test_a_damaged_image_is_named(folder, size):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    path = folder("images", {"a.png": noise, "b.png": noise})
    whole = (path / "b.png").read_bytes()
    assert len(whole) > 150
    (path / "b.png").write_bytes(whole[:size])
    with pytest.raises(NoImagesError, match=r"cannot read .*b\.png"):
        Images.from_folder(path)


SHADES = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
RGB = np.stack([SHADES, SHADES[::-1], 255 - SHADES], 2)
AS_GREY = np.dstack([SHADES] * 3)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.fromarray(RGB).quantize(64), "png", RGB),  # with a palette
        (Image.fromarray(SHADES), "png", AS_GREY),
        (Image.fromarray(SHADES).convert("LA"), "png", AS_GREY),
        (Image.fromarray(RGB).convert("RGBA"), "webp", RGB),
        (Image.fromarray(SHADES.astype(np.uint16) * 257), "png", AS_GREY),
        (Image.fromarray(RGB).convert("CMYK"), "jpg", RGB),
        (Image.fromarray(SHADES > 100), "png", np.dstack([(SHADES > 100) * 255] * 3)),
    ],
)
def test_images_of_every_kind_are_read(image, suffix, expected, tmp_path):
    exact = {"jpg": {"quality": 100}, "webp": {"lossless": True}, "png": {}}[suffix]
    image.save(tmp_path / f"a.{suffix}", **exact)
    read = Images.from_folder(str(tmp_path), str(tmp_path))
    np.testing.assert_allclose(read.pixels[0].astype(int), expected, atol=4 if exact else 0)
    clear = np.abs(expected @ [0.299, 0.587, 0.114] - 127.5) > 4
    white = expected @ [0.299, 0.587, 0.114] > 127.5
    np.testing.assert_array_equal(read.masks[0][clear], white[clear])


def test_an_image_that_a_camera_turned_is_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=turned)
    np.testing.assert_array_equal(Images.from_folder(tmp_path).pixels[0], np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (Image.fromarray(np.dstack([RGB, SHADES])), {}),
        (Image.fromarray(np.dstack([SHADES, SHADES]), "LA"), {}),
        (Image.fromarray(RGB).quantize(64), {"transparency": 3}),
        (Image.fromarray(SHADES), {"transparency": 4}),
    ],
)
def test_an_image_that_is_transparent_in_places_is_named(image, options, tmp_path):
    image.save(tmp_path / "a.png", **options)
    with pytest.raises(NoImagesError, match=r"a\.png is transparent in places"):
        Images.from_folder(tmp_path)


def test_an_image_of_sixteen_bits_is_read_as_eight(folder):
    """Not by its lower eight bits."""
    path = folder("images", {"a.png": flat(0)})
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path / "b.png")
    pixels = Images.from_folder(path).pixels
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[1].astype(float), 40_000 / 257, atol=1)


def test_a_missing_mask_is_named(folder):
    images = folder("images", {f"{name}.png": flat(0) for name in "abc"})
    masks = folder("masks", {"a.png": flat(255), "c.png": flat(255)})
    with pytest.raises(MaskError, match=r"1 images have no mask in .*masks, the first is b\.png"):
        Images.from_folder(images, masks)
    with pytest.raises(NoImagesError, match=r"there is no folder .*nowhere"):
        Images.from_folder(images, masks.with_name("nowhere"))


def test_a_mask_of_another_size_is_named(folder):
    images = folder("images", {"a.png": flat(0), "b.png": flat(0)})
    masks = folder("masks", {"a.png": flat(255), "b.png": flat(255, 16)})
    with pytest.raises(ImagesError, match=r"b\.png is 16 x 16"):
        Images.from_folder(images, masks)
    masks = folder("masks", {"a.png": flat(255, 16)})
    with pytest.raises(MaskError, match="16, 16"):
        Images.from_folder(images, masks)


def test_a_mask_that_is_all_black_is_named(folder):
    images = folder("images", {f"{name}.png": flat(0) for name in "abc"})
    masks = folder("masks", {"a.png": flat(255), "b.png": flat(127), "c.png": flat(255)})
    with pytest.raises(MaskError, match=r"number 1\): leave out those images"):
        Images.from_folder(images, masks)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "1 of 3 images have NaN .* number 1"), (np.inf, "NaN or infinite"), (255.0, "127.5")],
)
def test_floats_that_are_plainly_not_in_range_are_named(value, message):
    pixels = np.zeros((3, 8, 8, 3), np.float32)
    pixels[1, 2, 3, 0] = value
    with pytest.raises(PixelRangeError, match=message):
        Images(pixels)
    pixels[1, 2, 3, 0] = 4.5  # as geometry images may
    Images(pixels)


class Computed:
    """Images that are made when they are asked for."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.pixels[index]


def mapped(pixels, path):
    np.save(path / "pixels.npy", pixels)
    return np.load(path / "pixels.npy", mmap_mode="r")


@pytest.mark.parametrize("lazily", [lambda pixels, _: Computed(pixels), mapped])
@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "NaN .* number 3"), (np.inf, "NaN .* number 3"), (40, "from 0 to 40, .* number 3")],
)
def test_floats_that_are_read_later_are_checked_then(lazily, value, message, tmp_path):
    pixels = np.zeros((5, 8, 8, 3), np.float32)
    pixels[3, 2, 3, 0] = value
    data = Images(lazily(pixels, tmp_path))
    data.batch(np.array([4, 1]), 8, 1.0, CPU)
    with pytest.raises(PixelRangeError, match=message):
        data.batch(np.array([4, 3]), 8, 1.0, CPU)
    with pytest.raises(PixelRangeError, match=message):  # as `train` takes it, before it begins
        data.fingerprint()


GREY_LEVELS = arrays(np.float32, (2, 8, 8, 1), elements=st.integers(0, 16))


@given(GREY_LEVELS)
def test_dark_grey_levels_are_named_and_what_may_be_in_range_is_not(levels):
    levels[:, 0, 0] = [[0], [2]]
    with pytest.raises(PixelRangeError, match=r"whole numbers from 0 to .* 127\.5"):
        Images(levels)
    for legal in (levels / 16, levels / 8 - 1, levels - 1, np.minimum(levels, 1)):
        Images(legal)


# -- fingerprints


@given(st.integers(0, 2**32), st.booleans())
def test_any_change_of_a_pixel_or_a_mask_changes_the_fingerprint(seed, of_mask):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    masks = rng.random((5, 8, 8)) < 0.5
    masks[:, 0, :2] = True
    before = Images(pixels.copy(), masks.copy()).fingerprint()
    assert Images(pixels, masks).fingerprint() == before
    assert Images(pixels).fingerprint() != before
    assert Images(pixels[[1, 0, 2, 3, 4]], masks).fingerprint() != before
    if of_mask:
        masks[rng.integers(5), rng.integers(1, 8), rng.integers(8)] ^= True
    else:
        pixels[tuple(rng.integers(pixels.shape))] ^= 1
    assert Images(pixels, masks).fingerprint() != before


def test_a_fingerprint_is_the_digest_of_shapes_types_and_bytes():
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8), rng.random((5, 8, 8)) < 0.8
    content = b"(5, 8, 8, 3) |u1\n" + pixels.tobytes()
    assert Images(pixels).fingerprint() == hashlib.sha256(content).hexdigest()
    content += b"(5, 8, 8) |b1\n" + masks.tobytes()
    assert Images(pixels, masks).fingerprint() == hashlib.sha256(content).hexdigest()


def test_images_that_are_computed_on_demand_are_not_computed_all_at_once(monkeypatch):
    asked = []

    class Watched(Computed):
        def __getitem__(self, index):
            asked.append(index.tolist())
            return super().__getitem__(index)

    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    monkeypatch.setattr(images, "BLOCK", 7 * pixels[0].nbytes + 5)
    assert Images(Watched(pixels)).fingerprint() == Images(pixels).fingerprint()
    assert max(map(len, asked)) == 7
    assert [k for index in asked for k in index] == list(range(100))


def test_the_same_bytes_of_another_shape_or_type_have_another_fingerprint():
    alike = [
        np.zeros(shape, dtype)
        for shape, dtype in (
            ((4, 8, 8, 4), np.uint8),
            ((1, 16, 16, 4), np.uint8),
            ((16, 8, 8, 1), np.uint8),
            ((4, 8, 8, 2), np.float16),
            ((4, 8, 8, 1), np.float32),
        )
    ]
    assert len({pixels.nbytes for pixels in alike}) == 1
    assert len({Images(pixels).fingerprint() for pixels in alike}) == len(alike)


def test_a_memory_map_has_the_fingerprint_of_its_array_however_it_is_read(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    expected = Images(pixels).fingerprint()
    assert Images(mapped).fingerprint() == expected
    monkeypatch.setattr(images, "BLOCK", 2 * pixels[0].nbytes)
    assert Images(mapped).fingerprint() == expected
    assert Images(np.asfortranarray(pixels)).fingerprint() == expected
