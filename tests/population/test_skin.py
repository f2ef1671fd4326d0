"""Skin colour against facts about its pigments and against measured skin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesynth.population import skin

melanin = st.floats(*skin.MELANIN_RANGE)
blood = st.floats(*skin.BLOOD_RANGE)


def colour(m, b):
    return skin.linear_rgb(skin.reflectance(m, b))


def luminance(rgb):
    return float(np.dot(rgb, [0.2126, 0.7152, 0.0722]))


def lab(rgb):
    """CIELAB (D65) of linear sRGB."""
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    t = np.asarray(rgb) @ np.transpose(to_xyz) / [0.95047, 1.0, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def at(spectrum, nm):
    return float(np.interp(nm, skin.WAVELENGTHS, spectrum))


@pytest.mark.parametrize("nm", [390, 500])
def test_haemoglobin_absorbs_the_same_with_and_without_oxygen_at_isosbestic_points(nm):
    assert at(skin.blood_absorption(1.0), nm) == pytest.approx(
        at(skin.blood_absorption(0.0), nm), rel=0.01
    )


@pytest.mark.parametrize(("low", "high"), [(500, 510), (510, 550), (560, 580), (580, 590)])
def test_oxygenated_and_deoxygenated_spectra_cross(low, high):
    """Prahl's curves cross near 500, 529 or 545, 570 and 584 nm."""
    wavelengths = np.linspace(low, high, 200)
    difference = np.interp(
        wavelengths, skin.WAVELENGTHS, skin.blood_absorption(1.0) - skin.blood_absorption(0.0)
    )
    assert difference.min() < 0 < difference.max()


def test_bands_of_haemoglobin():
    oxygenated, deoxygenated = skin.blood_absorption(1.0), skin.blood_absorption(0.0)
    nm = skin.WAVELENGTHS
    green = (nm >= 520) & (nm <= 600)
    assert nm[oxygenated.argmax()] == 420  # Soret band: 415 nm, 10 nm steps
    assert nm[deoxygenated.argmax()] == 430
    assert nm[green][deoxygenated[green].argmax()] == 560  # one band, at 555 nm
    peaks = [w for w in (530, 540, 550, 560, 570, 580, 590) if _is_peak(oxygenated, w)]
    assert peaks == [540, 580]  # two bands, at 542 and 576 nm
    assert at(deoxygenated, 660) / at(oxygenated, 660) == pytest.approx(10.1, abs=0.1)


def _is_peak(spectrum, nm):
    return at(spectrum, nm) > max(at(spectrum, nm - 10), at(spectrum, nm + 10))


def test_whole_blood_worked_by_hand():
    # 600 nm: 3200 cm⁻¹/(mol/l) at 150 g/l and 64500 g/mol, times ln 10, in mm⁻¹
    assert at(skin.blood_absorption(1.0), 600) == pytest.approx(1.7136, rel=1e-3)


def test_melanin_worked_by_hand():
    # eumelanin 6.6e10 · 500^-3.33 = 67.98, pheomelanin 2.9e14 · 500^-4.75 = 43.83 mm⁻¹
    assert skin.melanin_absorption(500) == pytest.approx(0.74 * 67.93 + 0.26 * 43.88, rel=2e-3)
    assert (np.diff(skin.melanin_absorption(skin.WAVELENGTHS)) < 0).all()


def test_perfect_reflector_is_white_and_absorber_is_black():
    assert skin.linear_rgb(np.ones(35)) == pytest.approx(np.ones(3), abs=2e-3)
    assert skin.linear_rgb(np.zeros(35)) == pytest.approx(np.zeros(3))


@given(melanin, melanin, blood)
def test_more_melanin_is_darker(m, other, b):
    low, high = sorted((m, other))
    assert (skin.reflectance(high, b) <= skin.reflectance(low, b)).all()
    assert luminance(colour(high, b)) <= luminance(colour(low, b)) + 1e-4


@given(
    st.floats(skin.MELANIN_RANGE[0], 0.2), st.floats(skin.BLOOD_RANGE[0], 0.04), st.floats(1, 1.5)
)
def test_more_blood_is_darker_and_redder(m, b, factor):
    """Up to a fifth of melanin: darker skin hides its blood."""
    assert (skin.reflectance(m, b * factor) <= skin.reflectance(m, b)).all()
    pale, flushed = colour(m, b), colour(m, b * factor)
    assert luminance(flushed) <= luminance(pale) + 1e-4
    assert flushed[0] / flushed[1] >= pale[0] / pale[1]


@given(melanin, blood)
def test_reflectance_is_physical(m, b):
    spectrum = skin.reflectance(m, b)
    assert spectrum.shape == (35,)
    assert ((spectrum >= skin.SURFACE_REFLECTANCE) & (spectrum < 1)).all()


@given(melanin, blood)
def test_table_agrees_with_the_spectrum(m, b):
    found = skin.skin_colour(np.log([m]), np.log([b]))
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(colour(m, b), abs=2e-3)


def test_table_takes_the_nearest_end_outside_its_range():
    ends = skin.skin_colour(np.log([0.6, 0.004]), np.log([0.25, 0.001]))
    beyond = skin.skin_colour(np.array([5.0, -20.0]), np.array([5.0, -20.0]))
    assert beyond == pytest.approx(ends, abs=1e-6)


# CIELAB of skin: means of Xiao et al. 2017 (cheek; Caucasian, Chinese, Thai) and of Alaluf et al.
# 2002 (upper arm; European, African; forearm; Indian, African).
MEASURED = [
    (59.6, 11.8, 14.6),
    (58.9, 11.4, 14.2),
    (60.7, 10.5, 17.2),
    (65.0, 7.1, 13.3),
    (49.2, 10.2, 18.4),
    (43.7, 12.9, 17.2),
    (38.1, 12.7, 15.0),
]


@pytest.mark.parametrize("measured", MEASURED)
def test_measured_skin_is_within_reach_of_the_two_pigments(measured):
    m, b = np.geomspace(*skin.MELANIN_RANGE, 80), np.geomspace(*skin.BLOOD_RANGE, 80)
    reached = lab(colour(m[:, None], b[None, :]))
    assert np.linalg.norm(reached - measured, axis=-1).min() < 5  # ΔE*ab
