"""The photometry model: what a texture must be, whoever's it is."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth import population
from facesynth.mapping.image_mapping import bilinear
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.anatomy import skin
from facesynth.population.appearance import COMBED, IRIS_COLOURS, sample_appearance
from facesynth.population.hair import hair_colour
from facesynth.population.head import face_operator, head
from facesynth.population.noise import SolidNoise, smoothstep
from facesynth.population.occlusion import ambient_occlusion, neighbour_mean
from facesynth.population.photometry import Photometry
from facesynth.population.skin import skin_colour
from facesynth.population.strokes import line, scatter
from facesynth.rendering.colour import srgb
from facesynth.surface.mesh import MeshArrayError, NonFiniteVertexError
from facesynth.template import standard

AFRICAN, ASIAN, CAUCASIAN = np.eye(3)


@cache
def photometry(resolution=128):
    return Photometry(standard(), resolution)


def subject(seed=3, gender=0.9, ancestry=CAUCASIAN, age=40):
    return sample_appearance(np.random.default_rng(seed), gender, ancestry, age)


def paint(look, resolution=128, vertices=None, seed=7):
    painter = photometry(resolution)
    shape = standard().vertices if vertices is None else vertices
    texture, _ = painter.paint(painter.subject(look, seed), shape)
    return texture


def plain(**changes):
    """A hairless-cheeked young woman without marks, in whom one thing is changed at a time."""
    look = subject(gender=0.05, age=22)
    marks = {"freckles": 0.0, "age_spots": 0.0, "moles": 0, "wrinkles": 0.0, "grey": 0.0}
    return replace(look, **(marks | {"makeup": 0.0} | changes))


def on(resolution, **limits):
    """Mask (R, R) of the pixels whose place on the template lies within limits, mm."""
    anatomy = photometry(resolution).anatomy
    inside = np.ones(resolution**2, dtype=bool)
    for axis, (low, high) in limits.items():
        value = getattr(anatomy, axis)
        inside &= (value >= low) & (value <= high)
    return inside.reshape(resolution, resolution)


# What a texture must be


@pytest.mark.parametrize("resolution", [64, 97, 128])
@pytest.mark.parametrize("ancestry", [AFRICAN, ASIAN, CAUCASIAN])
def test_textures_are_colours(resolution, ancestry):
    texture = paint(subject(ancestry=ancestry, age=60), resolution)
    assert texture.shape == (resolution, resolution, 3)
    assert texture.dtype == np.float32
    assert np.isfinite(texture).all()
    assert texture.min() >= 0
    assert texture.max() <= 1


def test_same_seed_same_bytes():
    look = subject()
    first = paint(look, seed=7)
    paint(subject(seed=4), seed=8)  # nothing is left behind between subjects
    assert paint(look, seed=7).tobytes() == first.tobytes()
    assert paint(look, seed=np.random.default_rng(7)).tobytes() == first.tobytes()
    painter = Photometry(standard(), 128)
    person = painter.subject(look, 7)
    for _ in range(2):  # a subject can be painted again
        anew, _ = painter.paint(person, standard().vertices)
        assert anew.tobytes() == first.tobytes()
    assert np.abs(paint(look, seed=8) - first).max() > 0.05


@pytest.mark.parametrize("age", [22, 70])
def test_the_same_face_at_any_resolution(age):
    look = replace(subject(age=age), beard=0.9, moustache=0.9, freckles=0.8)
    fine = paint(look, 256)
    for resolution in (64, 128):
        k = 256 // resolution
        mean = fine.reshape(resolution, k, resolution, k, 3).mean(axis=(1, 3))
        difference = srgb(mean) - srgb(paint(look, resolution))
        assert np.abs(difference).mean() < 0.012  # 3 of 255
        assert np.percentile(np.abs(difference), 99) < 0.06
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.003  # no shift in colour


def test_static_maps_are_mirror_symmetric():
    anatomy, inside = photometry().anatomy, photometry().mapping.mask
    inside = inside & inside[:, ::-1]  # beyond lies a copy of the nearest pixel, left or right
    for name in ("x", "y", "z", "s", "t", "texel", "lips", "eye", "mouth", "upper_lid", "contact"):
        image = getattr(anatomy, name).reshape(128, 128)
        mirrored = image[:, ::-1] * (-1 if name in ("x", "s") else 1)
        difference = np.abs(image - mirrored)[inside]
        assert difference.max() < 1e-3 * max(1, np.abs(image).max()), name


def test_texel_is_the_distance_between_neighbouring_pixels():
    a = photometry().anatomy
    place = np.stack([a.x, a.y, a.z], axis=-1).reshape(128, 128, 3)
    across = np.linalg.norm(np.diff(place, axis=1), axis=-1)[1:-1]
    down = np.linalg.norm(np.diff(place, axis=0), axis=-1)[:, 1:-1]
    measured = np.sqrt(across[:, :126] * down[:126])
    texel = a.texel.reshape(128, 128)[1:-1, :126]
    assert np.median(measured / texel) == pytest.approx(1, abs=0.15)


# Mouth


def opened(mm):
    """The template with the lower lip drawn down."""
    vertices = standard().vertices.copy()
    vertices[standard().curves["lower_lip"], 1] -= mm
    return vertices


def mouth_brightness(vertices):
    patch = photometry(256).anatomy.mouth.reshape(256, 256) > 0.9
    assert patch.sum() > 5
    return paint(plain(), 256, vertices)[patch].mean(axis=-1)


def test_a_closed_mouth_is_a_dark_line():
    assert mouth_brightness(standard().vertices).max() < 0.1


def test_an_open_mouth_shows_its_teeth():
    assert mouth_brightness(opened(14)).max() > 0.25


def test_teeth_show_in_proportion_to_the_opening():
    brightness = [mouth_brightness(opened(mm)).mean() for mm in (0, 2.5, 4, 6)]
    assert brightness[1] < brightness[0]  # lips that touch are lighter than the dark behind them
    assert np.diff(brightness[1:]).min() > 0
    assert brightness[-1] > brightness[0] + 0.05


def test_only_the_mouth_changes_with_its_opening():
    closed, open_ = paint(plain()), paint(plain(), vertices=opened(14))
    away = on(128, y=(-20, 200))
    assert np.abs(closed - open_)[away].max() < 0.05


# Skin, hair and eyes


def test_more_melanin_is_darker_and_more_blood_is_redder():
    skin = on(128, x=(-25, 25), y=(32, 50))  # forehead
    base = paint(plain())[skin].mean(axis=0)
    darker = paint(plain(melanin=0.3))[skin].mean(axis=0)
    redder = paint(plain(blood=0.08))[skin].mean(axis=0)
    assert (darker < 0.8 * base).all()
    assert redder[0] / redder[1] > base[0] / base[1] * 1.05


def test_marks_appear_where_they_belong():
    # The lower cheeks and the jaw; the forehead stays as it is.
    jaw, forehead = on(128, y=(-90, -65), z=(-30, 50)), on(128, x=(-20, 20), y=(32, 50))
    clean, bearded = paint(plain(stubble=0.0)), paint(plain(stubble=0.5, beard=1.0, moustache=1.0))
    assert bearded[jaw].mean() < 0.7 * clean[jaw].mean()
    assert bearded[forehead] == pytest.approx(clean[forehead], abs=1e-6)


def test_freckles_are_small_dark_spots_on_the_cheeks():
    cheeks = on(256, side_x=(15, 35), y=(-30, -12))
    light = plain(melanin=0.01)
    ratio = paint(replace(light, freckles=1.3), 256)[cheeks] / paint(light, 256)[cheeks]
    assert ratio.max() < 1.001
    assert 0.85 < np.median(ratio) < 1
    assert np.percentile(ratio, 1) < 0.8


def test_wrinkles_are_relief_on_the_forehead():
    forehead = on(256, x=(-20, 20), y=(34, 60))
    smooth, old = paint(plain(), 256), paint(replace(plain(), wrinkles=1.3), 256)
    ratio = old[forehead] / smooth[forehead]
    assert ratio.min() < 0.85  # furrows
    assert ratio.max() > 1.02  # and shoulders
    assert ratio.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("red", [0, 0.3])
def test_no_hair_is_green(red):
    colours = np.array([hair_colour(m, red) for m in np.linspace(0.07, 1, 50)])
    red_, green, blue = colours.T
    assert (np.diff(colours.sum(axis=1)) < 0).all()  # darker with melanin
    assert (green < 0.95 * red_ + 1e-3).all()
    assert (blue <= green).all()


def test_blond_brows_are_not_green():
    blond = plain(hair_melanin=0.12, brow_density=1.2, brow_thickness=1.3)
    brows = on(256, side_x=(12, 48), y=(8, 26))
    texture = paint(blond, 256)[brows]
    assert (texture[:, 1] < texture[:, 0]).all()
    without = paint(replace(blond, brow_density=0.0), 256)[brows]
    assert texture.mean() < without.mean()  # they are there


@pytest.mark.parametrize("iris", IRIS_COLOURS)
def test_irises_have_their_colour(iris):
    look = plain(iris=iris, iris_shade=1.0)
    anatomy = photometry(256).anatomy
    t = standard()
    centre = (
        photometry(256)._eyes._iris_centre(t.vertices, "left", look.iris_radius)
        - anatomy.origin[:2]
    )
    r = np.hypot(anatomy.x - centre[0], anatomy.y - centre[1]).reshape(256, 256)
    ring = (r > 2.9) & (r < 3.6) & (anatomy.eye.reshape(256, 256) > 0.9)
    lower = ring & (anatomy.y.reshape(256, 256) < centre[1])  # away from lid's shadow and lamp
    seen = np.median(paint(look, 256)[lower], axis=0)
    wanted = np.array(IRIS_COLOURS[iris])
    assert seen / seen.sum() == pytest.approx(wanted / wanted.sum(), abs=0.06)


def test_the_irises_look_straight_ahead_in_every_subject():
    """Moved with the eyes: the pupils stay between the lids of another geometry."""
    vertices = standard().vertices * [1.1, 1.0, 1.0]
    eyes = photometry(256)._eyes
    for side in ("left", "right"):
        lids = vertices[standard().curves[f"{side}_lower_lid"]]
        x, y = eyes._iris_centre(vertices, side, 5.8)
        assert lids[:, 0].min() < x < lids[:, 0].max()
        assert y > lids[:, 1].min()


# Labels


labels = st.tuples(
    st.floats(0, 1),
    st.floats(18, 75),
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    st.integers(0, 2**31),
)


@given(labels)
def test_appearances_are_within_their_ranges(drawn):
    gender, age, weight, muscle, shares, seed = drawn
    ancestry = np.array(shares) / np.sum(shares)
    look = sample_appearance(np.random.default_rng(seed), gender, ancestry, age, weight, muscle)
    assert look == sample_appearance(
        np.random.default_rng(seed), gender, ancestry, age, weight, muscle
    )
    assert 0 < look.melanin < 1
    assert 0 < look.blood < 0.2
    for name in ("grey", "stubble", "beard", "moustache", "hair_melanin"):
        assert 0 <= getattr(look, name) <= 1
    for name in ("tan", "freckles", "moles", "wrinkles", "makeup", "lashes", "brow_density"):
        assert getattr(look, name) >= 0
    assert look.iris in IRIS_COLOURS
    assert look.combed in COMBED
    assert min(look.fringe, look.frame) >= 0
    if gender <= 0.5:
        assert look.stubble == look.beard == look.moustache == 0


# Lightness L* of faces: cheeks of Xiao et al. 2017 for Chinese and Caucasians; for African faces
# between the exposed and the unexposed skin of Alaluf et al. 2002.
@pytest.mark.parametrize(
    ("ancestry", "low", "high"), [(AFRICAN, 37, 50), (ASIAN, 55, 62), (CAUCASIAN, 57, 64)]
)
def test_average_skin_is_as_light_as_measured(ancestry, low, high):
    looks = [subject(seed, ancestry=ancestry) for seed in range(300)]
    melanin = np.log([look.melanin for look in looks]) + [look.tan for look in looks]
    blood = np.log([look.blood for look in looks]) + [1.5 * look.cheek_flush for look in looks]
    rgb = skin_colour(melanin, blood)
    luminance = rgb @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    assert low < lightness.mean() < high


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ancestry": [0.5, 0.6, 0.2]}, "add up to 1"),
        ({"ancestry": [1.2, -0.2, 0]}, "ancestry"),
        ({"ancestry": [np.nan, 0.5, 0.5]}, "ancestry"),
        ({"gender": 2.0}, "gender"),
        ({"weight": float("nan")}, "weight"),
        ({"age": 12}, "adults only"),
    ],
)
def test_impossible_labels_are_named(changes, message):
    good = {"gender": 0.1, "ancestry": CAUCASIAN, "age": 30}
    with pytest.raises(ValueError, match=message):
        sample_appearance(np.random.default_rng(0), **(good | changes))


def test_bad_input_to_the_painter_is_named():
    with pytest.raises(MeshArrayError, match=r"\(3, 3\)"):
        photometry().paint(photometry().subject(subject(), 0), np.zeros((3, 3)))
    broken = standard().vertices.copy()
    broken[11, 1] = np.nan
    with pytest.raises(NonFiniteVertexError, match="11"):
        photometry().paint(photometry().subject(subject(), 0), broken)
    for resolution in (32, 2048):
        with pytest.raises(ValueError, match="between 64 and 1024"):
            Photometry(standard(), resolution)


# Building blocks


def test_a_flat_plate_sees_the_whole_sky():
    x, y = np.meshgrid(np.arange(6.0), np.arange(6.0))
    plate = np.stack([x.ravel(), y.ravel(), np.zeros(36)], axis=1)
    corner = np.arange(30).reshape(5, 6)[:, :5].ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 7], axis=1),
            np.stack([corner, corner + 7, corner + 6], axis=1),
        ]
    )
    assert ambient_occlusion(plate, faces) == pytest.approx(np.ones(36))


def test_a_wall_hides_half_the_sky_at_its_foot():
    far = 1e4
    ground = [[-1, -1, 0], [1, -1, 0], [0, 1, 0]]
    wall = [[1.5, -far, -far], [1.5, far, -far], [1.5, 0, far]]
    sky = ambient_occlusion(np.array(ground + wall, dtype=float), [[0, 1, 2], [3, 4, 5]], rays=2000)
    assert sky[1] == pytest.approx(0.5, abs=0.02)


def test_vertices_that_take_turns_see_what_each_sees_alone():
    face = standard()
    beside = neighbour_mean(face.faces, len(face.vertices))
    exact = beside @ (beside @ ambient_occlusion(face.vertices, face.faces, rays=1000))
    shared = ambient_occlusion(face.vertices, face.faces, rays=128, over=beside @ beside)
    assert np.sqrt(np.mean((shared - exact) ** 2)) < 0.02 < exact.std() / 3


def test_noise_has_unit_variance_and_fades_below_the_pixels():
    points = np.random.default_rng(1).uniform(-100, 100, (40_000, 3))
    rng = np.random.default_rng(2)
    coarse = SolidNoise(points, 5.0, np.full(40_000, 1.0)).sample(rng)
    assert coarse.mean() == pytest.approx(0, abs=0.02)
    assert coarse.std() == pytest.approx(1, abs=0.03)
    assert not SolidNoise(points, 0.5, np.full(40_000, 1.0)).sample(rng).any()


def test_noise_draws_as_much_whether_it_is_seen_or_not():
    points, texel = np.zeros((1, 3)), np.ones(1)
    states = []
    for cell in (0.1, 10.0):
        rng = np.random.default_rng(5)
        SolidNoise(points, cell, texel).sample(rng)
        states.append(rng.random())
    assert states[0] == states[1]


@given(st.floats(0.2, 3), st.floats(0.01, 5))
def test_lines_keep_their_amount_of_ink(width, texel):
    d = np.linspace(-60, 60, 20_001, dtype=np.float32)
    ink = line(d, width, texel).sum() * (d[1] - d[0])
    assert ink == pytest.approx(width * np.sqrt(np.pi), rel=1e-3)


def test_hairs_are_scattered_by_area_and_density():
    left = (skin().places[:, 0] > 0).astype(np.float32)
    places = scatter(left, 4000, np.random.default_rng(0))
    assert (places[:, 0] > -6).all()  # a triangle's width from the midline
    high = scatter(np.ones_like(left), 4000, np.random.default_rng(0))
    assert (high[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("number", [0, 3, 5])
def test_a_face_is_painted_as_its_head_is(number):
    """Hairs and spots too: they grow on the head, whatever part of it an image shows."""
    face, _ = population.paint(0, number, 256)
    whole, _ = population.paint(0, number, 256, whole=True)
    places = face_operator() @ UniversalMapping(head(), 256).uv
    uv = UniversalMapping(standard(), 256).barycentric @ places
    seen = bilinear(uv, 256) @ whole.reshape(-1, 3).astype(float)
    away = np.abs(seen - face.reshape(-1, 3)).max(axis=1)
    assert np.median(away) < 4
    assert np.percentile(away, 98) < 40  # edges, at the two images' resolutions


def test_smoothstep_goes_both_ways():
    assert smoothstep(2, 4, [1, 2, 3, 4, 5]) == pytest.approx([0, 0, 0.5, 1, 1])
    assert smoothstep(4, 2, [1, 2, 3, 4, 5]) == pytest.approx([1, 1, 0.5, 0, 0])
