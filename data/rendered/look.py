"""Look: the material parameters of one image, that is skin, make-up, beard, eyes and clothes."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.colours import HAIR, Colours, linear
from arcface_mx.data.rendered.hair import Hair
from arcface_mx.data.rendered.identity import Identity
from arcface_mx.data.rendered.sampling import Stream, clipped, log_uniform, weighted_choice

RGB = Tuple[float, float, float]
LIPSTICK = 0.35  # share of women's images; it is not tied to an identity
# Shares of the full growth on jaw and upper lip, and the frequency of each style. Most men shave,
# and every man wears every style, so a beard does not give an identity away. The identity's own
# density multiplies the growth.
BEARDS = (
    ((0.06, 0.08), 0.60),  # shaved
    ((0.28, 0.32), 0.19),  # stubble
    ((0.90, 0.92), 0.11),  # full
    ((0.08, 0.92), 0.06),  # moustache
    ((0.70, 0.15), 0.04),  # chin curtain
)
CLOTHS = tuple(  # suits and shirts come first
    linear(tone)
    for tone in ((20, 20, 24), (30, 36, 60), (70, 72, 78), (225, 225, 225))
    + ((150, 160, 180), (120, 35, 40), (60, 75, 60), (140, 110, 80))
)


class Grooming(NamedTuple):
    """Beard and lipstick of one image."""

    jaw: float  # beard's growth on the jaw, 0…1
    upper_lip: float  # the same on the upper lip
    lips: np.ndarray  # linear RGB
    made_up: bool


class Clothes(NamedTuple):
    collar: float  # height of the collar, dm of the template
    neckline: float  # depth of the neckline in front, dm
    colour: np.ndarray  # linear RGB


class Palette(NamedTuple):
    """Colours of one image, each three np.float32 of linear RGB."""

    lips: RGB
    beard: RGB
    brow: RGB
    hair: RGB
    iris: RGB
    sclera: RGB
    cloth: RGB


class Look(NamedTuple):
    """Material parameters of one image. Shares run from 0 to 1 unless a comment says otherwise.

    There are no arrays here: in a compiled loop, each use of an array in a tuple counts references.
    """

    palette: Palette
    wrinkles: float  # factor of the relief
    brow: float
    beard: float
    moustache: float
    lips: float
    lash: float
    spots: float
    blush: float  # may be negative
    gloss: float  # specular reflectance of the skin
    gloss_power: float  # exponent of the highlight
    scalp_soft: float  # width of the hairline, dm
    scalp_cover: float
    strand_contrast: float
    strand_shift: int  # of the strand texture along u, texels
    iris: float  # radius, angle on the eyeball, rad
    pupil: float  # the same


def draw_grooming(identity: Identity, rng: Stream) -> Grooming:
    man = identity.shape.male > 0.5
    jaw, upper_lip = weighted_choice(rng, BEARDS) if man else (0.0, 0.0)
    lips = identity.colours.lips * np.exp(rng.normal(0, 0.08))
    made_up = not man and rng.random() <= LIPSTICK
    if made_up:
        stick = linear((rng.uniform(120, 185), rng.uniform(35, 85), rng.uniform(45, 90)))
        lips = 0.65 * lips + 0.35 * stick
    return Grooming(jaw * identity.beard, upper_lip * identity.beard, lips, made_up)


def draw_look(
    identity: Identity, age: float, grey: float, hair: Hair, grooming: Grooming, rng: Stream
) -> Tuple[Look, Clothes]:
    """Draw look and clothes. `age` is in years, `grey` is the share of grey hair."""
    blush = clipped(rng, 0.15, 0.30, -0.2, 0.9)  # warmth and effort: usually slightly red
    gloss = identity.colours.gloss * float(np.exp(rng.normal(0, 0.4)))
    gloss_power = log_uniform(rng, 8, 26)  # dry to sweaty skin: a highlight 47° to 26° wide
    pupil = float(rng.uniform(0.14, 0.26))  # 3 to 6 mm across on a 12 mm iris
    clothes = Clothes(
        collar=float(rng.normal(5.92, 0.08)),  # at the base of the template's neck
        neckline=float(abs(rng.normal(0.10, 0.20))),  # round to a deep V
        colour=CLOTHS[int(rng.integers(len(CLOTHS)))] * np.exp(rng.normal(0, 0.35)) * np.exp(rng.normal(0, 0.12, 3)),
    )
    look = Look(
        palette=_palette(identity.colours, grey, grooming.lips, hair.colour, clothes.colour),
        wrinkles=float(0.25 + np.clip((age - 28) / 40, 0, 1.4) * identity.ageing),
        brow=1 - 0.25 * grey,
        beard=grooming.jaw,
        moustache=grooming.upper_lip,
        lips=0.95 if grooming.made_up else 0.8,  # bare lips let the skin's texture through
        lash=identity.lash * (1.5 if grooming.made_up else 1.0),
        spots=float(np.clip((age - 35) / 35, 0, 1.2)),
        blush=blush,
        gloss=gloss,
        gloss_power=gloss_power,
        scalp_soft=hair.soft,
        scalp_cover=hair.cover,
        strand_contrast=hair.contrast,
        strand_shift=hair.shift,
        iris=identity.colours.iris_radius,
        pupil=pupil,
    )
    return look, clothes


def _palette(colours: Colours, grey: float, lips: np.ndarray, hair: np.ndarray, cloth: np.ndarray) -> Palette:
    beard = _greyed(colours.brows * [1.15, 1.0, 0.95], 0.9 * grey)
    brow = _greyed(colours.brows, 0.6 * grey)
    return Palette(
        *(tuple(colour.astype(np.float32)) for colour in (lips, beard, brow, hair, colours.iris, colours.sclera, cloth))
    )


def _greyed(colour: np.ndarray, share: float) -> np.ndarray:
    return colour * (1 - share) + HAIR["grey"] * share
