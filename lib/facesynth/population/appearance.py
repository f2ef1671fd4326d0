"""What a face's photometry depends on besides its shape: pigments, hair, eyes, marks of age.

`sample_appearance` draws an `Appearance` given the labels that also shape the geometry (gender,
ancestry, age, weight, muscle). Beyond these labels appearance is independent of shape.

Skin pigments are set so that the average faces have the colours measured by Xiao et al. 2017 and
Alaluf et al. 2002; their spread was set beside photographs (`people.realism`). The other numbers
were chosen by eye.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from facesynth.population.tables import table

COMPLEXIONS = 16  # components by which the complexions of people differ
_MOST_MELANIN = 0.44  # volume fraction
_IRISES = table("irises.toml")
IRIS_COLOURS = {name: iris["rgb"] for name, iris in _IRISES.items()}  # linear, light to dark
COMBED = ("back", "left", "right", "forward")
# Melanin of Caucasian hair, from blond to black, and how often: fractions of black hair's.
_HAIR_MELANIN = (0.12, 0.30, 0.50, 0.70, 0.85)
_HAIR_SHARE = (0.10, 0.17, 0.28, 0.26, 0.19)


@dataclass(frozen=True)
class Appearance:
    """One subject's appearance. "Log units" are natural logarithms of a pigment's concentration."""

    # Skin
    melanin: float  # volume fraction of melanosomes in the epidermis, away from the sun
    blood: float  # volume fraction of blood in the dermis
    yellow: float  # log units of blue light that carotenoids take, against the average
    tan: float  # log units of melanin that the sun has added, most on forehead and nose
    cheek_flush: float  # log units of blood
    nose_flush: float  # log units of blood
    under_eye: float  # strength of the rings under the eyes, 0 to about 1
    mottling: float  # contrast of blotches in colour, 1 on light skin
    freckles: float  # 0 to about 1.3
    age_spots: float  # 0 to about 0.7
    moles: int  # number
    wrinkles: float  # 0 (none) to about 1.6
    pores: float  # depth, 1 is common
    lid_crease: float  # darkness of the crease above the eye, 0 to 0.55
    male: float  # 0 to 1, and
    european: float  # share of ancestry: whose complexion it is
    complexion: tuple[float, ...]  # of its COMPLEXIONS components, in standard deviations
    # Lips
    lip_melanin: float  # log units against the skin's
    lip_blood: float  # volume fraction
    makeup: float  # strength of lipstick and mascara, 0 to about 1
    # Hair
    hair_melanin: float  # fraction of black hair's
    hair_red: float  # pheomelanin, 0 to about 0.5
    grey: float  # share of hairs that have turned grey
    brow_thickness: float  # against the average
    brow_density: float  # against the average
    brow_height: float  # mm above the average
    brow_arch: float  # 0 (straight) to about 1.8
    brow_length: float  # against the average
    brow_tilt: float  # mm that the outer end lies higher than the average
    lashes: float  # length against the average
    stubble: float  # density of a shaven beard's hairs, 0 to 1
    beard: float  # density of a grown beard's hairs, 0 to 1
    moustache: float  # density of its hairs, 0 to 1
    hairline: float  # mm above the average
    combed: str  # how the scalp's hair lies: one of COMBED
    fringe: float  # mm that hair hangs over the forehead
    frame: float  # mm that long hair reaches in front of the face's sides
    # Eyes
    iris: str  # a key of IRIS_COLOURS
    iris_shade: float  # factor of the iris' colour
    iris_radius: float  # mm


def sample_appearance(
    rng: np.random.Generator,
    gender: float,
    ancestry: ArrayLike,
    age: float,
    weight: float = 0.5,
    muscle: float = 0.5,
) -> Appearance:
    """Draw an appearance for the given labels.

    rng             source of everything that the labels leave open
    gender          in [0, 1]: 0 is female, 1 male; beards grow above 0.5
    ancestry        (3,) shares of African, Asian and Caucasian ancestry, adding up to 1
    age             years, 18 to 75
    weight, muscle  in [0, 1]: 0.5 is the average

    Raises ValueError for other shares, or a value out of its range.
    """
    african, asian, caucasian = _check_labels(gender, ancestry, age, weight, muscle)
    male = float(gender)

    def normal(mean: float, deviation: float, least: float = -np.inf) -> float:
        return float(max(least, rng.normal(mean, deviation)))

    tan = normal(0.10, 0.36, 0) * (1 - 0.6 * african)
    log_melanin = african * np.log(0.33) + asian * np.log(0.0185) + caucasian * np.log(0.0098)
    melanin = min(
        _MOST_MELANIN, float(np.exp(log_melanin + normal(0.60 * male, 0.80 - 0.16 * african)))
    )
    log_blood = african * np.log(0.0115) + (1 - african) * np.log(0.0080)
    hair = 0.9 * (1 - caucasian) + caucasian * rng.choice(_HAIR_MELANIN, p=_HAIR_SHARE)
    hair_melanin = float(np.clip(hair + rng.normal(0, 0.05), 0.07, 1))
    grey = float(np.clip(rng.normal((age - 46) / 30, 0.25), 0, 1))
    beard_kind, beard_density = rng.random(), rng.uniform(0.55, 1.0)
    grows_beard = gender > 0.5
    combed = str(rng.choice(COMBED, p=(0.45, 0.15, 0.15, 0.25)))
    return Appearance(
        melanin=melanin,
        blood=float(np.exp(log_blood + normal(0.30 * male + 0.3 * (weight - 0.5), 0.33))),
        yellow=normal(-0.16 + 0.3 * max(0.0, np.log(melanin / 0.12)), 0.07),
        tan=tan,
        cheek_flush=normal(0.30 + 0.4 * (weight - 0.5) + 0.1 * (1 - male), 0.20, 0),
        nose_flush=normal(0.36 + 0.006 * max(0.0, age - 40), 0.18, 0),
        under_eye=normal(0.28 + 0.004 * max(0.0, age - 30) + 0.07 * asian, 0.15, 0),
        mottling=(1 - 0.4 * african) * float(np.exp(rng.normal(-0.35, 0.25))),
        freckles=normal(-0.6, 0.8, 0) * caucasian * 1.2 * float(np.exp(-0.02 * (age - 20))),
        age_spots=max(0.0, (age - 45) / 30) * rng.random() * (caucasian + 0.3 * asian) * 0.7,
        moles=int(rng.poisson(3)),
        wrinkles=float(np.clip((age - 28) / 40, 0, 1.3) * normal(1, 0.25, 0)),
        pores=0.6 + 0.5 * rng.random() + 0.3 * male,
        lid_crease=normal(0.55 * (1 - 0.6 * asian), 0.2, 0),
        lip_melanin=normal(0.15 - 0.40 * (1 - african) * (1 - 0.4 * male), 0.26),
        lip_blood=float(np.exp(np.log(0.115 - 0.045 * african) + normal(0.15 * (1 - male), 0.3))),
        makeup=normal(0.25, 0.6, 0) * float(not grows_beard),
        hair_melanin=hair_melanin,
        hair_red=normal(-0.1, 0.25, 0) * caucasian,
        grey=grey,
        brow_thickness=normal(0.76 + 0.32 * male + 0.15 * (muscle - 0.5), 0.32, 0.4),
        brow_density=float(
            np.clip(rng.normal(0.9 + 0.25 * male - 0.004 * max(0, age - 50), 0.35), 0.35, 1.8)
        ),
        brow_height=normal(-0.6 - 1.2 * male, 1.4 + 0.5 * male),
        brow_arch=normal(0.05 + 0.35 * (1 - male), 0.30, -0.5),
        brow_length=normal(1.07, 0.07),
        brow_tilt=normal(-1.2, 2.4),
        lashes=normal(0.8 + 0.35 * (1 - male), 0.12, 0.4),
        stubble=grows_beard * float(np.clip(rng.normal(0.45 - 0.2 * asian, 0.28), 0.03, 1)),
        beard=grows_beard * beard_density * (beard_kind < 0.22),
        moustache=grows_beard * beard_density * (beard_kind < 0.28),
        hairline=normal(0, 5) + 12 * male * max(0.0, (age - 35) / 40) * rng.random(),
        combed=combed,
        fringe=float(rng.uniform(14, 34)) * (combed == "forward") * (rng.random() < 0.75),
        frame=float(rng.uniform(5, 18)) * (not grows_beard and rng.random() < 0.65),
        iris=_iris(rng, african, asian, caucasian),
        iris_shade=float(np.exp(rng.normal(0, 0.2))),
        iris_radius=normal(5.8, 0.12),
        male=male,
        european=caucasian,
        complexion=tuple(np.clip(rng.standard_normal(COMPLEXIONS), -2.5, 2.5).tolist()),
    )


def _check_labels(
    gender: float, ancestry: ArrayLike, age: float, weight: float, muscle: float
) -> tuple[float, float, float]:
    shares = np.asarray(ancestry, dtype=float)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            "ancestry must be the shares of African, Asian and Caucasian ancestry, three numbers "
            f"of at least 0 that add up to 1, not {ancestry!r}"
        )
    for name, value in (("gender", gender), ("weight", weight), ("muscle", muscle)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not {value}")
    if not 18 <= age <= 100:
        raise ValueError(f"age must lie between 18 and 100 years, not {age}: adults only")
    african, asian, caucasian = shares.tolist()
    return african, asian, caucasian


def _iris(rng: np.random.Generator, african: float, asian: float, caucasian: float) -> str:
    of = {"caucasian": caucasian, "asian": asian, "african": african}
    shares = [sum(iris.get(k, 0) * of[k] for k in of) for iris in _IRISES.values()]
    return str(rng.choice(list(_IRISES), p=shares))
