"""Skin colour from its two pigments: melanin in the epidermis, haemoglobin in the dermis.

Part of the light returns from the surface, F; the rest crosses the epidermis, is scattered back by
the dermis and crosses the epidermis again:

    R(λ) = F + (1 - F) exp(-2 d σ_epi(λ)) R_dermis(λ)

with the absorption coefficients of Jacques, "Skin optics" (OMLC News, 1998) in the form of Donner
and Jensen, "A spectral BSSRDF for shading human skin" (EGSR 2006), and the diffuse reflectance of
a semi-infinite medium of Jensen et al., "A practical model for subsurface light transport"
(SIGGRAPH 2001). The spectrum becomes linear sRGB by the colour matching functions of Wyman, Sloan
and Shirley, "Simple analytic approximations to the CIE XYZ color matching functions" (JCGT 2013).

A texture asks for the colour of a million pixels: a table over the logarithms of the two
concentrations, built on first use, answers by bilinear interpolation.
"""

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesynth.population.lookup import LookUp

# Molar extinction coefficients of haemoglobin (35, 3): nm, with oxygen, without, in cm⁻¹/(mol/l).
with (resources.files("facesynth.population") / "haemoglobin.csv").open(encoding="utf-8") as _file:
    _HAEMOGLOBIN = np.loadtxt(_file, delimiter=",")
WAVELENGTHS = _HAEMOGLOBIN[:, 0]  # nm

OXYGEN_SATURATION = 0.75  # of the blood in the dermis, arterial and venous together
HAEMOGLOBIN_IN_BLOOD = 150.0  # g/l, whole blood
HAEMOGLOBIN_MOLAR_MASS = 64500.0  # g/mol, the value that belongs to Prahl's table
EUMELANIN_SHARE = 0.74  # of epidermal melanin, whatever its amount (Del Bino et al. 2015)
EPIDERMIS_THICKNESS = 0.085  # mm
REFRACTIVE_INDEX = 1.4
# Light that comes back without having met a pigment: 0.028 by Fresnel's equations, the rest by the
# horny layer. The model's only fitted number: with it the eleven measured skin colours of
# Xiao et al. 2017 and Alaluf et al. 2002 are met to 1.8 CIELAB units (rms of a coordinate).
SURFACE_REFLECTANCE = 0.075

MELANIN_RANGE = (0.004, 0.60)  # volume fraction of the epidermis
BLOOD_RANGE = (0.001, 0.25)  # volume fraction of the dermis
_TABLE_SHAPE = (128, 96)


def melanin_absorption(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Absorption (mm⁻¹) of pure melanosomes at wavelengths in nm (Donner and Jensen 2006)."""
    nm = np.asarray(wavelength, dtype=float)
    eumelanin = 6.6e10 * nm**-3.33
    pheomelanin = 2.9e14 * nm**-4.75
    return EUMELANIN_SHARE * eumelanin + (1 - EUMELANIN_SHARE) * pheomelanin


def blood_absorption(saturation: float = OXYGEN_SATURATION) -> NDArray[np.float64]:
    """Absorption (mm⁻¹) of whole blood at `WAVELENGTHS`, for an oxygen saturation in [0, 1]."""
    _, oxygenated, deoxygenated = _HAEMOGLOBIN.T
    extinction = saturation * oxygenated + (1 - saturation) * deoxygenated  # cm⁻¹/(mol/l)
    concentration = HAEMOGLOBIN_IN_BLOOD / HAEMOGLOBIN_MOLAR_MASS  # mol/l
    return np.log(10) * extinction * concentration / 10  # cm⁻¹ to mm⁻¹


def baseline_absorption(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Absorption (mm⁻¹) of skin without melanin and blood at wavelengths in nm (Jacques 1998)."""
    return 0.0244 + 8.53 * np.exp(-(np.asarray(wavelength, dtype=float) - 154) / 66.2)


def reflectance(melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float64]:
    """Diffuse reflectance spectrum (..., 35) in [0, 1] at `WAVELENGTHS`.

    melanin, blood : (...) volume fractions of the epidermis that melanosomes fill, and of the
    dermis that blood fills.
    """
    c_m = np.asarray(melanin, dtype=float)[..., None]
    c_h = np.asarray(blood, dtype=float)[..., None]
    baseline = baseline_absorption(WAVELENGTHS)
    epidermis = c_m * melanin_absorption(WAVELENGTHS) + (1 - c_m) * baseline
    dermis = c_h * blood_absorption() + (1 - c_h) * baseline

    # Reduced scattering of the dermis is half of the epidermis' (Donner and Jensen 2006), mm⁻¹.
    scattering = 0.5 * (14.74 * WAVELENGTHS**-0.22 + 2.2e11 * WAVELENGTHS**-4)
    albedo = scattering / (scattering + dermis)

    # Jensen et al. 2001: the dipole integrated over the surface.
    n = REFRACTIVE_INDEX
    internal = -1.440 / n**2 + 0.710 / n + 0.668 + 0.0636 * n
    mismatch = (1 + internal) / (1 - internal)
    decay = np.sqrt(3 * (1 - albedo))
    diffuse = albedo / 2 * (1 + np.exp(-4 / 3 * mismatch * decay)) * np.exp(-decay)

    passed = np.exp(-2 * EPIDERMIS_THICKNESS * epidermis)
    return SURFACE_REFLECTANCE + (1 - SURFACE_REFLECTANCE) * passed * diffuse


def linear_rgb(spectrum: ArrayLike) -> NDArray[np.float64]:
    """Linear sRGB (..., 3) in [0, 1] of reflectance spectra (..., 35) at `WAVELENGTHS`.

    The light has equal energy at all wavelengths and its white is adapted to D65, the white of
    sRGB, by scaling in XYZ: a perfect reflector is (1, 1, 1).
    """
    matching = _colour_matching()  # (35, 3)
    xyz = np.asarray(spectrum) @ (matching / matching.sum(axis=0)) * [0.95047, 1.0, 1.08883]
    return np.clip(xyz @ _XYZ_TO_SRGB.T, 0, 1)


def skin_colour(log_melanin: NDArray, log_blood: NDArray) -> NDArray[np.float32]:
    """Linear RGB (..., 3) of skin, from the table.

    log_melanin, log_blood : (...) natural logarithms of what `reflectance` takes. Values outside
    `MELANIN_RANGE` and `BLOOD_RANGE` are taken as the nearest end.
    """
    melanin = _position(log_melanin, MELANIN_RANGE, _TABLE_SHAPE[0])
    at = np.stack([melanin, _position(log_blood, BLOOD_RANGE, _TABLE_SHAPE[1])])
    look_up = LookUp(at.reshape(2, -1), _TABLE_SHAPE)
    channels = [look_up(table) for table in _colour_table()]
    return np.stack(channels, axis=-1).reshape(*at.shape[1:], 3)


@cache
def _colour_table() -> NDArray[np.float32]:
    """Linear RGB (3, melanin, blood) on a grid that is even in the logarithms."""
    melanin = np.geomspace(*MELANIN_RANGE, _TABLE_SHAPE[0])
    blood = np.geomspace(*BLOOD_RANGE, _TABLE_SHAPE[1])
    colours = linear_rgb(reflectance(melanin[:, None], blood[None, :]))
    return np.ascontiguousarray(np.moveaxis(colours, -1, 0), dtype=np.float32)


def _position(log_value: NDArray, bounds: tuple[float, float], size: int) -> NDArray[np.float32]:
    low, high = np.log(bounds)
    return np.asarray((log_value - low) * ((size - 1) / (high - low)), dtype=np.float32)


def _colour_matching() -> NDArray[np.float64]:
    """CIE 1931 colour matching functions (35, 3) at `WAVELENGTHS` (Wyman et al. 2013)."""

    def lobe(peak: float, left: float, right: float) -> NDArray[np.float64]:
        width = np.where(peak > WAVELENGTHS, left, right)
        return np.exp(-0.5 * ((WAVELENGTHS - peak) / width) ** 2)

    x = (
        1.056 * lobe(599.8, 37.9, 31.0)
        + 0.362 * lobe(442.0, 16.0, 26.7)
        - 0.065 * lobe(501.1, 20.4, 26.2)
    )
    y = 0.821 * lobe(568.8, 46.9, 40.5) + 0.286 * lobe(530.9, 16.3, 31.1)
    z = 1.217 * lobe(437.0, 11.8, 36.0) + 0.681 * lobe(459.0, 26.0, 13.8)
    return np.stack([x, y, z], axis=-1)


_XYZ_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
