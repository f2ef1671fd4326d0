"""Generated images beside scans: by hand, and by identities."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from facesynth.dataset.canonical import fill
from facesynth.evaluation import swd as evaluation
from facesynth.evaluation.scores import (
    _block,
    as_scanned,
    by_level,
    from_two,
    halves,
    largest_half,
    level_draws,
    mean,
    nearest,
    scores,
)
from facesynth.morphable_model import ComponentsError, MorphableModel

RNG = np.random.default_rng(0)


def smooth(n, seed, side=32):
    """Images of a few waves, with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = np.stack([np.sin(6 * x), np.cos(9 * y), np.sin(5 * (x + y))], -1)  # (R, R, 3)
    images = 128 + 30 * rng.standard_normal((n, 1, 1, 3)) * waves
    return np.clip(images + rng.normal(0, 4, images.shape), 0, 255).astype(np.uint8)


def test_what_a_mask_hides_is_filled_as_scans_are():
    images = smooth(2, 0)
    masks = RNG.random((2, 32, 32)) < 0.8
    filled = as_scanned(images, masks)
    np.testing.assert_array_equal(filled[masks], images[masks])
    expected = np.rint(fill(images[1].astype(np.float32), masks[1]))
    np.testing.assert_array_equal(filled[1], expected)
    assert (filled[~masks] != images[~masks]).any()


def test_rows_are_the_distances_that_they_say():
    real, made = smooth(40, 1), smooth(30, 2)
    rows = scores(real, made, components=(5,), seed=3)
    assert list(rows) == ["real", "generated", "pca 5"]
    half, other = halves(np.arange(40), 20, np.random.default_rng(3))
    assert rows["real"] == evaluation.sliced_wasserstein(real[half], real[other], 3)
    assert rows["generated"] == evaluation.sliced_wasserstein(real[half], made[:20], 3)
    assert mean(rows["real"]) == pytest.approx((rows["real"][32] + rows["real"][16]) / 2)


def test_the_other_half_are_other_people():
    """Scans of few people: who is in both halves is nearer to himself than strangers are."""
    each = smooth(8, 1)
    real = np.repeat(each, 5, axis=0)
    rows = scores(real, real, components=(), subjects=np.repeat(np.arange(8), 5))
    mixed = scores(real, real, components=())
    assert mean(rows["real"]) > 1.3 * mean(mixed["real"])


def test_draws_of_a_table_are_paired():
    """Two rows of the same images differ by which of them are drawn, and by nothing else."""
    sets = {"real": smooth(40, 1), "made": smooth(20, 2), "worse": smooth(20, 2) // 2 + 90}
    drawn = level_draws(sets, 16, 3, seed=1)
    assert list(drawn) == ["real", "made", "worse"]
    assert [*drawn["made"]] == ["32", "16", "mean"]
    np.testing.assert_allclose(
        drawn["made"]["mean"], (drawn["made"]["32"] + drawn["made"]["16"]) / 2
    )
    table = by_level(sets, 16, 3, seed=1)
    x = drawn["made"]["32"]
    assert table["made"]["32"].value == pytest.approx(x.mean())
    error = 4.3027 * x.std(ddof=1) / np.sqrt(3)  # t of two degrees of freedom
    assert table["made"]["32"].high - x.mean() == pytest.approx(error, rel=1e-4)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12), st.integers(0, 99))
def test_halves_are_of_different_people(counts, seed):
    subjects = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    n = largest_half(subjects)
    assume(n > 0)
    first, second = halves(subjects, n, np.random.default_rng(seed))
    assert len(set(first)) == len(set(second)) == n
    assert not {*subjects[first]} & {*subjects[second]}
    with pytest.raises(evaluation.TooFewImagesError, match=f"{n} is the most"):
        halves(subjects, n + 1, np.random.default_rng(seed))


def test_no_generated_image_is_drawn_twice_where_there_are_enough():
    blocks = [_block(41, 10, repeat, 4, seed=3) for repeat in range(4)]
    assert len(set(np.concatenate(blocks))) == 40
    few = [_block(12, 10, repeat, 4, seed=3) for repeat in range(4)]
    assert all(len(set(rows)) == 10 for rows in few)


def test_what_masks_hide_does_not_count():
    real, made = smooth(40, 1), smooth(20, 2)
    masks = np.ones((40, 32, 32), bool)
    masks[:, 8:16, 8:16] = False
    spoilt = made.copy()
    spoilt[:, 8:16, 8:16] = 255 * (RNG.random((20, 8, 8, 3)) < 0.5)
    assert scores(real, spoilt, masks, ()) == scores(real, made, masks, ())
    assert mean(scores(real, spoilt, components=())["generated"]) > 1.5 * mean(
        scores(real, made, components=())["generated"]
    )


def test_another_source_is_farther_than_real_images():
    real = smooth(60, 1)
    noise = RNG.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    rows = scores(real, noise, components=())
    assert all(rows["generated"][level] > rows["real"][level] for level in (32, 16))


def test_floating_images_are_compared_as_they_are():
    real = smooth(40, 1).astype(np.float32) / 1000
    rows = scores(real, real[:20], components=(5, None))
    assert set(rows) == {"real", "generated", "pca 5", "pca all"}


def test_fewer_components_are_those_of_a_smaller_model():
    real = smooth(40, 1)
    rows = scores(real, real[:20], components=(5, None))
    model = MorphableModel(5).fit(real.reshape(40, -1).astype(np.float32))
    # The same normal numbers, of which the larger model draws more.
    c = np.random.RandomState(0).standard_normal((20, 39))[:, :5] * model.explained_variance_**0.5
    drawn = np.rint(np.clip(model.inverse_transform(c), 0, 255)).reshape(20, 32, 32, 3)
    half, _ = halves(np.arange(40), 20, np.random.default_rng(0))
    expected = evaluation.sliced_wasserstein(real[half], drawn.astype(np.uint8), 0)
    assert rows["pca 5"] == pytest.approx(expected, rel=1e-3)
    assert rows["pca all"] != rows["pca 5"]
    with pytest.raises(ComponentsError, match="40 scans have 39 components, not 40"):
        scores(real, real[:20], components=(40,))


def test_the_nearest_image_is_found():
    others = smooth(10, 4)
    some = others[[7, 2]].copy()
    some[0] = np.clip(some[0].astype(int) + 3, 0, 255)
    which, near = nearest(some, others, 16)
    assert which.tolist() == [7, 2]
    assert near[1] == 0
    assert near[0] == pytest.approx(3, abs=0.2)  # some pixels are white already


def test_an_image_put_together_of_two_people_is_known_as_such():
    scans = smooth(6, 1)
    subjects = np.array([0, 0, 1, 1, 2, 2])
    both = np.concatenate([scans[:1, :16], scans[2:3, 16:]], axis=1)  # upper half, lower half
    alike = np.concatenate([scans[:1, :16], scans[1:2, 16:]], axis=1)  # two scans of one subject
    images = np.concatenate([both, alike, scans[4:5]])
    assert from_two(images, scans, subjects).tolist() == [True, False, False]
