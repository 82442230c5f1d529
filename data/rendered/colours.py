"""Colours of skin, hair and eyes. Linear light, RGB in 0…1."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from arcface_mx.data.rendered.sampling import Stream, clipped


def linear(srgb: Sequence[float]) -> np.ndarray:
    """Linear light in 0…1 of sRGB in 0…255."""
    c = np.asarray(srgb, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


# Skin albedo along the melanin index 0…1, chosen by eye beside photographs.
MELANIN = np.asarray([0, 0.2, 0.4, 0.6, 0.8, 1.0])
TONES = ((250, 222, 206), (236, 196, 172), (212, 168, 140), (170, 124, 96), (118, 80, 60), (70, 47, 37))
SKIN = np.stack([linear(tone) for tone in TONES])
# Melanin index of african, asian and caucasian identities: mean, standard deviation.
ANCESTRY_MELANIN, MELANIN_DEVIATION = (0.76, 0.36, 0.20), 0.09

HAIR = {
    "black": linear((24, 20, 19)),
    "dark brown": linear((46, 34, 27)),
    "brown": linear((82, 60, 43)),
    "light brown": linear((124, 95, 67)),
    "blond": linear((186, 155, 110)),
    "red": linear((124, 66, 38)),
    "grey": linear((140, 137, 133)),
    "white": linear((200, 198, 195)),
}
DARK_HAIR = ("black", "black", "dark brown", "dark brown")
FAIR_HAIR = ("dark brown", "brown", "brown", "light brown", "light brown", "blond", "blond", "red")
DARKER = {"blond": "brown", "light brown": "brown", "brown": "dark brown", "red": "dark brown"}
IRIS = {
    "dark brown": linear((48, 28, 18)),
    "brown": linear((90, 56, 32)),
    "hazel": linear((120, 95, 50)),
    "green": linear((95, 115, 75)),
    "blue": linear((105, 135, 160)),
    "grey": linear((125, 135, 140)),
}
DARK_IRIS = ("dark brown", "brown")
FAIR_IRIS = ("brown", "hazel", "green", "blue", "blue", "grey")
SCLERA = linear((188, 174, 164))


class Colours(NamedTuple):
    """Colours of an identity. `hair` and `look` draw what changes from image to image."""

    melanin: float
    skin: np.ndarray  # (3,)
    lips: np.ndarray
    hair: np.ndarray  # natural, before greying
    brows: np.ndarray
    iris: np.ndarray
    sclera: np.ndarray
    iris_radius: float  # angle on the eyeball, rad
    gloss: float  # specular reflectance of the skin


def draw_colours(rng: Stream, ancestry: np.ndarray) -> Colours:
    """Draw the colours. ancestry (3,) are the shares of african, asian and caucasian."""
    melanin = clipped(rng, float(ancestry @ np.asarray(ANCESTRY_MELANIN)), MELANIN_DEVIATION, 0, 1)
    undertone = rng.normal(0, 1, 2)
    skin = np.asarray([np.interp(melanin, MELANIN, SKIN[:, k]) for k in range(3)])
    skin = skin * [1 + 0.03 * undertone[0], 1 - 0.02 * undertone[0], 1 - 0.06 * undertone[1]]
    dark = clipped(rng, float(ancestry[0] + ancestry[1]), 0.12, 0, 1)
    name = str(rng.choice(DARK_HAIR if rng.random() < dark else FAIR_HAIR))
    hair = HAIR[name] * np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.05, 3))
    brows = 0.45 * hair + 0.55 * HAIR[DARKER.get(name, "black")]
    iris = IRIS[str(rng.choice(DARK_IRIS if rng.random() < dark else FAIR_IRIS))]
    red = clipped(rng, 0, 0.35, -0.8, 0.8)
    lips = skin * [0.84 + 0.06 * red, 0.60 - 0.08 * red, 0.60 - 0.05 * red] * np.exp(rng.normal(-0.08, 0.12))
    return Colours(
        melanin=melanin,
        skin=skin,
        lips=lips,
        hair=hair,
        brows=brows * np.exp(rng.normal(-0.25, 0.15)),
        iris=iris * np.exp(rng.normal(-0.5, 0.2)),
        sclera=SCLERA * np.exp(rng.normal(0, 0.04)),
        iris_radius=clipped(rng, 0.46, 0.02, 0.40, 0.50),
        gloss=float(np.exp(rng.normal(np.log(0.03), 0.35))),
    )
