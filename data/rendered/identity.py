"""Identity: shape, skin and colours, and how they age. A function of (seed, part, identity)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.colours import Colours, draw_colours
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import clipped, identity_stream
from arcface_mx.data.rendered.shape import Shape, draw_shape
from arcface_mx.data.rendered.skin import paint_skin

# Ages in years, by judgement: most identities are between 25 and 50.
YOUNGEST, OLDEST = 18.0, 85.0
AGE_SPAN, AGE_BETA = 47.0, (1.3, 2.0)
GREYING = (48.0, 9.0)  # age at which greying starts: mean, standard deviation


class Identity(NamedTuple):
    shape: Shape
    colours: Colours
    texture: np.ndarray  # (H, W, 9) float32, see `skin`
    age: float  # years; the images scatter around it
    ageing: float  # rate; 1 is the average
    greying: float  # age at which it starts, years
    balding: float  # 0 keeps the hair
    lash: float  # 0…1
    beard: float  # density, 0…1


def draw_identity(head: Head, seed: int, part: int, number: int) -> Identity:
    rng = identity_stream(seed, part, number)
    shape = draw_shape(head, rng)
    colours = draw_colours(rng, shape.ancestry)
    male = shape.male
    return Identity(
        shape=shape,
        colours=colours,
        age=float(YOUNGEST + AGE_SPAN * rng.beta(*AGE_BETA)),
        ageing=clipped(rng, 1, 0.25, 0.5, 1.6),
        greying=float(rng.normal(*GREYING)),
        balding=float(max(0, rng.normal(0, 0.45)) * male),
        lash=clipped(rng, 0.75 - 0.25 * male, 0.12, 0.2, 1),
        beard=clipped(rng, 0.75, 0.25, 0.1, 1) if male > 0.5 else 0.0,
        texture=paint_skin(head, colours, male, rng),
    )
