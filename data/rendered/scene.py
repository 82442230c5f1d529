"""Scene: everything in an image that is not the identity, and its ranges for each kind of image."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.rendered.camera import Camera, draw_camera
from arcface_mx.data.rendered.expression import Expression, draw_expression
from arcface_mx.data.rendered.hair import Hair, draw_hair
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.identity import OLDEST, YOUNGEST, Identity
from arcface_mx.data.rendered.light import Light, draw_light
from arcface_mx.data.rendered.look import Clothes, Look, draw_grooming, draw_look
from arcface_mx.data.rendered.occluders import Glasses, draw_glasses
from arcface_mx.data.rendered.pose import EITHER_SIDE, NORMAL, UNIFORM, Pose, Spread, draw_pose
from arcface_mx.data.rendered.sampling import Stream

GREYING_YEARS = 22.0  # from the first grey hair to the last
# Standard deviation of the body weight between images, in units of `Head.heavier`. It is more
# than half of the 0.38 between identities, so that full cheeks alone do not identify anybody.
WEIGHT_CHANGE = 0.22


class Mode(NamedTuple):
    """Ranges of one kind of image. A strength or variety of 1 is that of news photographs."""

    yaw: Tuple[Spread, ...]
    pitch: float  # standard deviation, degrees
    expression: float  # strength
    light: float  # variety
    age: float  # standard deviation around the identity's age, years
    covered: float  # share of images with something in front of the face
    roughness: float  # strength of blur, noise and low resolution
    grey: float  # share of grey images
    landmarks: float = 0.9  # standard deviation of the five points, pixels of the crop


_TRAIN_YAW = (Spread(0.60, NORMAL, 16), Spread(0.25, UNIFORM, -50, 50), Spread(0.15, EITHER_SIDE, 45, 90))
_LFW_YAW = (Spread(0.75, NORMAL, 18), Spread(0.25, EITHER_SIDE, 20, 55))
TRAIN = Mode(_TRAIN_YAW, 10, 1.0, 1.0, 7, 0.08, 1.0, 0.05)
# The images of LFW are nearly frontal. This set is harder, so that the results of the losses stay
# below 100 %: wider yaw, more years between two images, more covered faces.
LFW = Mode(_LFW_YAW, 10, 1.1, 1.1, 8, 0.10, 1.1, 0.03)
FRONTAL = Mode((Spread(1, EITHER_SIDE, 0, 10),), 6, 0.8, 0.9, 2, 0.03, 0.7, 0.0)
PROFILE = Mode((Spread(1, EITHER_SIDE, 60, 90),), 8, 0.8, 0.9, 2, 0.03, 0.7, 0.0)
AGES = Mode((Spread(1, NORMAL, 14),), 7, 0.8, 0.9, 0, 0.04, 1.0, 0.15)


class Scene(NamedTuple):
    age: float  # years
    weight: float  # units of `Head.heavier`
    pose: Pose
    expression: Expression
    light: Light
    hair: Hair
    look: Look
    clothes: Clothes
    glasses: Optional[Glasses]
    covered: bool
    camera: Camera
    landmark_noise: float  # standard deviation, pixels of the crop


def draw_scene(head: Head, identity: Identity, mode: Mode, rng: Stream, age: Optional[float] = None) -> Scene:
    """Draw all but background and noise. `age` (years) replaces the drawn age."""
    drawn = identity.age + rng.normal(0, 1) * mode.age
    years = float(np.clip(drawn if age is None else age, YOUNGEST, OLDEST))
    grey = float(np.clip((years - identity.greying) / GREYING_YEARS + rng.normal(0, 0.06), 0, 1))
    grooming = draw_grooming(identity, rng)
    weight = float(rng.normal(0.15 * (years - 35) / 30, WEIGHT_CHANGE))  # weight grows with age
    pose = draw_pose(mode.yaw, mode.pitch, rng)
    expression = draw_expression(head, mode.expression, rng)
    light = draw_light(mode.light, rng)
    hair = draw_hair(identity, years, grey, rng)
    look, clothes = draw_look(identity, years, grey, hair, grooming, rng)
    return Scene(
        years,
        weight,
        pose,
        expression,
        light,
        hair,
        look,
        clothes,
        glasses=draw_glasses(rng),
        covered=bool(rng.random() < mode.covered),
        camera=draw_camera(mode.grey, mode.roughness, rng),
        landmark_noise=mode.landmarks,
    )
