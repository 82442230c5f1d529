"""Hair: drawn for every image from many styles, so that it does not give an identity away.

To the identity belong the natural colour (in about half of the images), greying, balding, and a
preference of styles by sex. Style, hairline, parting, volume, strands and length belong to the
image. Hats and head scarves are hair of cloth.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import numpy as np

from arcface_mx.data.rendered.colours import DARK_HAIR, FAIR_HAIR, HAIR, linear
from arcface_mx.data.rendered.identity import Identity
from arcface_mx.data.rendered.sampling import Stream, log_uniform, weighted_choice

# Strand textures, see `hair_mesh.strand_textures`.
FINE, COARSE, WAVY, CURLY, CLOTH, KNIT = range(6)

# Share of images in the natural colour; in the others the hair is dyed. In real life the share is
# larger, but with constant hair, networks reach 83 to 88 % on the LFW-like set without seeing the
# inner face.
NATURAL_COLOUR = 0.5
CLOTHS = ((200, 200, 200), (30, 30, 34), (40, 50, 90), (130, 30, 35), (90, 95, 100), (170, 150, 120), (60, 80, 60))


class Style(NamedTuple):
    """Frequencies of a style, and the fields of `Hair` that it changes.

    A change is a value, the limits of a uniform distribution, or a function that draws a value.
    """

    women: float
    men: float
    changes: Dict[str, Any]


def _style(women: float, men: float, **changes: Any) -> Style:
    return Style(women, men, changes)


def _curl_volume(rng: Stream) -> float:
    return log_uniform(rng, 0.08, 0.38)


def _tied_top(rng: Stream) -> float:
    return rng.normal(8.02, 0.05)


_HAT = dict(contrast=0.4, peak=0.0)
_VEIL = dict(curtain=(0.7, 1.0), length=(5.3, 5.8), flare=(-0.1, 0.15), parting=0.0)
# The frequencies of women and men differ little, because sex alone would tell three in four pairs
# of different identities apart.
STYLES = {
    "shaved": _style(0.03, 0.08, cover=(0.0, 0.45), volume=0.0, strands=FINE, soft=0.12, contrast=0.2),
    "buzz": _style(0.03, 0.11, cover=(0.5, 0.9), volume=0.02, soft=0.10, contrast=0.4),
    "receding": _style(0.01, 0.09, top=(8.2, 8.8), temple=(-0.4, 0.0), volume=(0.02, 0.07), cover=(0.6, 1), soft=0.12),
    "crop": _style(0.12, 0.24),
    "full": _style(0.12, 0.17, volume=(0.10, 0.22), lumps=(0.1, 0.4), fringe=(0, 0.12)),
    "curls": _style(0.10, 0.08, volume=_curl_volume, lumps=(0.2, 0.5), strands=CURLY, soft=0.10, side=(6.7, 7.1)),
    "fringe": _style(0.10, 0.07, fringe=(0.15, 0.45), volume=(0.06, 0.15), side=(6.7, 7.0), soft=0.12),
    "tied": _style(0.12, 0.02, volume=(0.01, 0.05), lumps=0.05, side=(7.0, 7.3), top=_tied_top),
    "bob": _style(0.14, 0.03, length=(6.2, 6.9)),
    "long": _style(0.18, 0.05, length=(5.3, 6.0)),
    "cap": _style(
        0.03, 0.05, **_HAT, volume=(0.08, 0.16), lumps=0.02, top=(7.65, 7.95), temple=0.1, side=(7.3, 7.55), soft=0.015
    ),
    "scarf": _style(0.02, 0.01, **_HAT, volume=(0.06, 0.12), lumps=0.05, top=(7.7, 8.0), soft=0.02, **_VEIL),
}


class Hair(NamedTuple):
    """Hair of one image. Angles are in rad around the head's axis, heights and depths in dm."""

    cover: float  # opacity of the painted scalp, 0…1
    volume: float  # thickness over the scalp
    lumps: float  # unevenness of the thickness, share of volume
    top: float  # hairline in front, y
    temple: float  # lowers the hairline at the temples
    peak: float  # widow's peak
    side: float  # end of the sideburns, y
    fringe: float  # length of the hair over the forehead
    sweep: float  # tilt of the fringe
    curtain: float  # angle at which long hair opens; 0: no long hair
    length: float  # y at which long hair ends
    flare: float  # widening of long hair downwards, share
    parting: float  # angle of the parting of long hair
    waves: float  # of long hair, share of its radius
    seed: float  # phase of lumps and waves
    strands: int  # texture
    shift: int  # of the texture, texels
    soft: float  # width of the hairline
    colour: np.ndarray  # linear RGB
    contrast: float  # between strands


def draw_hair(identity: Identity, age: float, grey: float, rng: Stream) -> Hair:
    """Draw the hair of an identity at `age` years with a share `grey` of grey hair."""
    male = identity.shape.male
    name = weighted_choice(rng, [(name, (1 - male) * style.women + male * style.men) for name, style in STYLES.items()])
    loss = identity.balding * max(0.0, age - 25) / 40  # from 0 to about 1
    if name in ("crop", "full", "fringe") and rng.random() < 0.5 * loss:
        name = "receding"
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
    )
    values.update({field: _drawn(change, rng) for field, change in STYLES[name].changes.items()})
    if name in ("bob", "long"):
        values.update(_long_hair(rng))
    if name in ("cap", "scarf"):
        values["strands"] = CLOTH if name == "scarf" else int(rng.choice([CLOTH, KNIT]))
        cloth = linear(CLOTHS[int(rng.integers(len(CLOTHS)))])
        values["colour"] = cloth * np.exp(rng.normal(0, 0.4)) * np.exp(rng.normal(0, 0.1, 3))
    return Hair(**values)


def _drawn(change: Any, rng: Stream) -> Any:
    if callable(change):
        return change(rng)
    return rng.uniform(*change) if isinstance(change, tuple) else change


def _long_hair(rng: Stream) -> Dict[str, Any]:
    fringe = rng.uniform(0.15, 0.45) if rng.random() < 0.3 else 0.0
    curly = rng.random() < 0.25
    return dict(
        curtain=rng.uniform(0.75, 1.35),
        fringe=fringe,
        volume=rng.uniform(0.05, 0.16),
        strands=CURLY if curly else int(rng.choice([FINE, COARSE, WAVY])),
        waves=rng.uniform(0.05, 0.12) if curly else abs(rng.normal(0, 0.04)),
        flare=rng.normal(0.15 if curly else 0.05, 0.10),
    )


def _colour(identity: Identity, grey: float, rng: Stream) -> np.ndarray:
    colour = identity.colours.hair
    if rng.random() > NATURAL_COLOUR:
        dark = rng.random() < 0.3 + 0.4 * float(identity.shape.ancestry[:2].sum())
        colour = HAIR[str(rng.choice(DARK_HAIR if dark else FAIR_HAIR))]
        grey = grey * rng.random()
    colour = colour * np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.05, 3))
    silver = HAIR["grey"] if rng.random() < 0.7 else HAIR["white"]
    return colour * (1 - grey) + silver * grey
