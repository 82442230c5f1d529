"""Hair: drawn for every photo from many styles, so that it does not give a identity away.

What belongs to the identity is the natural colour (worn in about half of the photos), greying,
balding and a leaning of the styles by sex. The style, hairline, parting, volume, strands and
length are the photo's. Hats and head scarves are hair of cloth.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import numpy as np

from arcface_mx.data.rendered.colours import DARK_HAIR, FAIR_HAIR, HAIR, linear
from arcface_mx.data.rendered.identity import Identity
from arcface_mx.data.rendered.sampling import Stream, log_uniform, weighted_choice

# Strand textures, see `hair_mesh.strand_textures`.
FINE, COARSE, WAVY, CURLY, CLOTH, KNIT = range(6)

# Styles and how often they are worn: (name, weight for women, weight for men). Leanings are kept
# weak, for sex alone would tell three in four pairs of different identities apart.
STYLES = (
    ("shaved", 0.03, 0.08),
    ("buzz", 0.03, 0.11),
    ("receding", 0.01, 0.09),
    ("crop", 0.12, 0.24),
    ("full", 0.12, 0.17),
    ("curls", 0.10, 0.08),
    ("fringe", 0.10, 0.07),
    ("tied", 0.12, 0.02),
    ("bob", 0.14, 0.03),
    ("long", 0.18, 0.05),
    ("cap", 0.03, 0.05),
    ("scarf", 0.02, 0.01),
)
# Share of photos in the identity's natural colour, the others dyed. In real life it is more; with
# hair that stays the same, networks reach 83 to 88 % on the LFW-like set without the inner face.
OWN_COLOUR = 0.5
CLOTHS = ((200, 200, 200), (30, 30, 34), (40, 50, 90), (130, 30, 35), (90, 95, 100), (170, 150, 120), (60, 80, 60))


class Hair(NamedTuple):
    """One photo's hair. Angles in rad around the head's axis, heights and depths in dm."""

    cover: float  # how opaque the scalp is painted, 0…1
    volume: float  # thickness over the scalp
    lumps: float  # uneven thickness, share of volume
    top: float  # hairline in front, y
    temple: float  # lowers the hairline at the temples
    peak: float  # widow's peak
    side: float  # end of the sideburns, y
    fringe: float  # how far hair falls over the forehead
    sweep: float  # the fringe's tilt
    curtain: float  # 0: none; else the angle at which long hair opens
    length: float  # y at which long hair ends
    flare: float  # widening of long hair downwards, share
    parting: float  # where long hair parts
    waves: float  # of long hair, share of its radius
    seed: float  # phase of lumps and waves
    strands: int  # texture
    shift: int  # of the texture, texels
    soft: float  # width of the hairline
    colour: np.ndarray  # linear RGB
    contrast: float  # between strands
    cloth: bool


def draw_hair(identity: Identity, age: float, grey: float, rng: Stream) -> Hair:
    """`grey`: share of grey hair at this age, 0…1."""
    male = identity.shape.male
    style = weighted_choice(rng, [(name, (1 - male) * her + male * his) for name, her, his in STYLES])
    loss = identity.balding * max(0.0, age - 25) / 40  # 0 … about 1
    if style in ("crop", "full", "fringe") and rng.random() < 0.5 * loss:
        style = "receding"
    values: Dict[str, Any] = dict(
        cover=1.0,
        volume=rng.uniform(0.03, 0.10),
        lumps=rng.uniform(0.05, 0.25),
        top=rng.normal(7.98, 0.06) + 0.12 * loss,
        temple=rng.normal(0.0, 0.05) - 0.10 * loss,
        peak=max(0.0, rng.normal(0, 0.04)),
        side=rng.normal(7.0, 0.12),
        fringe=0.0,
        sweep=rng.normal(0, 0.25),
        curtain=0.0,
        length=rng.uniform(5.5, 6.6),
        flare=rng.normal(0.08, 0.10),
        parting=rng.normal(0, 0.25),
        waves=abs(rng.normal(0, 0.03)),
        seed=rng.uniform(0, 6.28),
        strands=int(rng.choice([FINE, COARSE, WAVY])),
        shift=int(rng.integers(0, 320)),
        soft=rng.uniform(0.03, 0.09),
        colour=_colour(identity, grey, rng),
        contrast=rng.uniform(0.5, 1.0),
        cloth=False,
    )
    values.update(_style(style, rng))
    if values["cloth"]:
        cloth = linear(CLOTHS[int(rng.integers(len(CLOTHS)))])
        values["colour"] = cloth * np.exp(rng.normal(0, 0.4)) * np.exp(rng.normal(0, 0.1, 3))
    return Hair(**values)


def _style(style: str, rng: Stream) -> dict:
    """What a style sets otherwise than the common draw."""
    if style in ("cap", "scarf"):
        return _headwear(style, rng)
    if style in ("bob", "long"):
        return _long_hair(style, rng)
    if style == "shaved":
        return dict(cover=rng.uniform(0.0, 0.45), volume=0.0, strands=FINE, soft=0.12, contrast=0.2)
    if style == "buzz":
        return dict(cover=rng.uniform(0.5, 0.9), volume=0.02, soft=0.10, contrast=0.4)
    if style == "receding":
        top, temple = rng.uniform(8.2, 8.8), rng.uniform(-0.4, 0.0)
        return dict(top=top, temple=temple, volume=rng.uniform(0.02, 0.07), cover=rng.uniform(0.6, 1), soft=0.12)
    if style == "full":
        return dict(volume=rng.uniform(0.10, 0.22), lumps=rng.uniform(0.1, 0.4), fringe=rng.uniform(0, 0.12))
    if style == "curls":
        volume, lumps = log_uniform(rng, 0.08, 0.38), rng.uniform(0.2, 0.5)
        return dict(volume=volume, lumps=lumps, strands=CURLY, soft=0.10, side=rng.uniform(6.7, 7.1))
    if style == "fringe":
        return dict(
            fringe=rng.uniform(0.15, 0.45), volume=rng.uniform(0.06, 0.15), side=rng.uniform(6.7, 7.0), soft=0.12
        )
    if style == "tied":
        return dict(volume=rng.uniform(0.01, 0.05), lumps=0.05, side=rng.uniform(7.0, 7.3), top=rng.normal(8.02, 0.05))
    return {}


def _long_hair(style: str, rng: Stream) -> dict:
    length = rng.uniform(6.2, 6.9) if style == "bob" else rng.uniform(5.3, 6.0)
    fringe = rng.uniform(0.15, 0.45) if rng.random() < 0.3 else 0.0
    curly = rng.random() < 0.25
    return dict(
        curtain=rng.uniform(0.75, 1.35),
        length=length,
        fringe=fringe,
        volume=rng.uniform(0.05, 0.16),
        strands=CURLY if curly else int(rng.choice([FINE, COARSE, WAVY])),
        waves=rng.uniform(0.05, 0.12) if curly else abs(rng.normal(0, 0.04)),
        flare=rng.normal(0.15 if curly else 0.05, 0.10),
    )


def _headwear(style: str, rng: Stream) -> dict:
    common = dict(cloth=True, contrast=0.4, peak=0.0)
    if style == "cap":
        return dict(
            common,
            volume=rng.uniform(0.08, 0.16),
            lumps=0.02,
            top=rng.uniform(7.65, 7.95),
            temple=0.1,
            side=rng.uniform(7.3, 7.55),
            strands=int(rng.choice([CLOTH, KNIT])),
            soft=0.015,
        )
    return dict(
        common,
        volume=rng.uniform(0.06, 0.12),
        lumps=0.05,
        top=rng.uniform(7.7, 8.0),
        strands=CLOTH,
        soft=0.02,
        curtain=rng.uniform(0.7, 1.0),
        length=rng.uniform(5.3, 5.8),
        flare=rng.uniform(-0.1, 0.15),
        parting=0.0,
    )


def _colour(identity: Identity, grey: float, rng: Stream) -> np.ndarray:
    colour = identity.colours.hair
    if rng.random() > OWN_COLOUR:
        dark = rng.random() < 0.3 + 0.4 * float(identity.shape.ancestry[:2].sum())
        colour = HAIR[str(rng.choice(DARK_HAIR if dark else FAIR_HAIR))]
        grey = grey * rng.random()
    colour = colour * np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.05, 3))
    silver = HAIR["grey"] if rng.random() < 0.7 else HAIR["white"]
    return colour * (1 - grey) + silver * grey
