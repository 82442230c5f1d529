"""A person: shape, skin and colours, and how they age. A function of (seed, part, person) alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.colours import Colours, draw_colours
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.shape import Shape, draw_shape
from arcface_mx.data.rendered.skin import paint
from arcface_mx.data.rendered.streams import clipped, person_stream

# Ages of people, years: by judgement, most between 25 and 50.
YOUNGEST, OLDEST = 18.0, 85.0
AGE_SPAN, AGE_SHAPE = 47.0, (1.3, 2.0)
GREYING = (48.0, 9.0)  # years at which greying starts: mean, deviation


class Person(NamedTuple):
    shape: Shape
    colours: Colours
    texture: np.ndarray  # (H, W, 9), see skin
    age: float  # years; photos scatter around it
    ageing: float  # 1 = average
    greying: float  # years
    balding: float  # 0 = keeps the hair
    lash: float  # 0…1
    beard: float  # how dense it grows, 0…1


def draw_person(head: Head, seed: int, part: int, person: int) -> Person:
    r = person_stream(seed, part, person)
    shape = draw_shape(head, r)
    colours = draw_colours(r, shape.ancestry)
    male = shape.male
    return Person(
        shape=shape,
        colours=colours,
        age=float(YOUNGEST + AGE_SPAN * r.beta(*AGE_SHAPE)),
        ageing=clipped(r, 1, 0.25, 0.5, 1.6),
        greying=float(r.normal(*GREYING)),
        balding=float(max(0, r.normal(0, 0.45)) * male),
        lash=clipped(r, 0.75 - 0.25 * male, 0.12, 0.2, 1),
        beard=clipped(r, 0.75, 0.25, 0.1, 1) if male > 0.5 else 0.0,
        texture=paint(head, colours, male, r),
    )
