"""One photo's circumstances: everything that is not the identity. The ranges of each kind of photo."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.rendered.camera import Camera, draw_camera
from arcface_mx.data.rendered.colours import HAIR, linear
from arcface_mx.data.rendered.expression import Expression, draw_expression
from arcface_mx.data.rendered.hair import Hair, draw_hair
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.identity import OLDEST, YOUNGEST, Identity
from arcface_mx.data.rendered.light import Light, draw_light
from arcface_mx.data.rendered.occluders import Glasses, draw_glasses
from arcface_mx.data.rendered.pose import EITHER_SIDE, NORMAL, UNIFORM, Pose, Spread, draw_pose
from arcface_mx.data.rendered.sampling import Stream, clipped, log_uniform, weighted_choice

GREY_SPAN = 22.0  # years from the first grey hair to the last
# Deviation of body weight from photo to photo, units of shape.heavier: over half of the 0.38 between
# identities, so that full cheeks alone do not tell who it is.
WEIGHT_CHANGE = 0.22
MAKE_UP = 0.35  # share of women's photos with lipstick: common in posed photos, never a identity's mark
# Share of the full growth on jaw and upper lip, and how often: most men shave, and every style is worn
# by every man, so that a beard is the photo's. The identity's own density multiplies it.
BEARDS = (
    ((0.06, 0.08), 0.60),  # shaved
    ((0.28, 0.32), 0.19),  # stubble
    ((0.90, 0.92), 0.11),  # full
    ((0.08, 0.92), 0.06),  # moustache
    ((0.70, 0.15), 0.04),  # chin curtain
)
CLOTHS = tuple(  # suits and shirts first
    linear(tone)
    for tone in ((20, 20, 24), (30, 36, 60), (70, 72, 78), (225, 225, 225))
    + ((150, 160, 180), (120, 35, 40), (60, 75, 60), (140, 110, 80))
)


class Mode(NamedTuple):
    """Ranges of one kind of photo."""

    yaw: Tuple[Spread, ...]
    pitch: float  # deviation, degrees
    expression: float  # strength, 1 as in news photos
    light: float  # variety, the same
    age: float  # deviation from the identity's age, years
    covered: float  # share of photos with something before the face
    roughness: float  # of the photo, 1 as in news photos
    grey: float  # share of grey photos
    landmarks: float = 0.9  # deviation of the five points, pixels of the crop


TRAIN = Mode(
    yaw=(Spread(0.60, NORMAL, 16), Spread(0.25, UNIFORM, -50, 50), Spread(0.15, EITHER_SIDE, 45, 90)),
    pitch=10,
    expression=1.0,
    light=1.0,
    age=7,
    covered=0.08,
    roughness=1.0,
    grey=0.05,
)
# LFW's photos are near frontal; this set is made harder than they are, so that rows of the table
# stay below its ceiling: a wider yaw, more years between photos, more covered faces.
LFW = Mode(
    yaw=(Spread(0.75, NORMAL, 18), Spread(0.25, EITHER_SIDE, 20, 55)),
    pitch=10,
    expression=1.1,
    light=1.1,
    age=8,
    covered=0.10,
    roughness=1.1,
    grey=0.03,
)
FRONTAL = Mode((Spread(1, EITHER_SIDE, 0, 10),), 6, 0.8, 0.9, 2, 0.03, 0.7, 0.0)
PROFILE = Mode((Spread(1, EITHER_SIDE, 60, 90),), 8, 0.8, 0.9, 2, 0.03, 0.7, 0.0)
AGES = Mode((Spread(1, NORMAL, 14),), 7, 0.8, 0.9, 0, 0.04, 1.0, 0.15)


class Scene(NamedTuple):
    age: float  # years
    weight: float  # units of shape.heavier
    pose: Pose
    expression: Expression
    light: Light
    hair: Hair
    greying: float  # 0…1
    beard: Tuple[float, float]  # jaw, upper lip
    lips: np.ndarray  # linear RGB
    lip_cover: float
    lashes: float
    blush: float
    gloss: float
    gloss_power: float
    pupil: float  # angle on the eyeball, rad
    collar: float  # height of the collar, dm of the template
    neckline: float  # how far it falls in front
    cloth: np.ndarray  # linear RGB
    glasses: Optional[Glasses]
    covered: bool
    camera: Camera
    landmark_noise: float


def draw_scene(head: Head, identity: Identity, mode: Mode, rng: Stream, age: Optional[float] = None) -> Scene:
    """Everything of one photo but its background and grain. `age` overrides the draw."""
    drawn = identity.age + rng.normal(0, 1) * mode.age
    years = float(np.clip(drawn if age is None else age, YOUNGEST, OLDEST))
    grey = float(np.clip((years - identity.greying) / GREY_SPAN + rng.normal(0, 0.06), 0, 1))
    man = identity.shape.male > 0.5
    jaw, lip = weighted_choice(rng, BEARDS) if man else (0.0, 0.0)
    lips, made_up = _lips(identity, man, rng)
    return Scene(
        age=years,
        weight=float(rng.normal(0.15 * (years - 35) / 30, WEIGHT_CHANGE)),  # identities grow heavier
        pose=draw_pose(mode.yaw, mode.pitch, rng),
        expression=draw_expression(head, mode.expression, rng),
        light=draw_light(mode.light, rng),
        hair=draw_hair(identity, years, grey, rng),
        greying=grey,
        beard=(jaw * identity.beard, lip * identity.beard),
        lips=lips,
        lip_cover=0.95 if made_up else 0.8,  # bare lips let the skin's texture through
        lashes=identity.lash * (1.5 if made_up else 1.0),
        blush=clipped(rng, 0.15, 0.30, -0.2, 0.9),  # warmth and effort: the photo's, as a rule slightly red
        gloss=identity.colours.gloss * float(np.exp(rng.normal(0, 0.4))),
        gloss_power=log_uniform(rng, 8, 26),  # dry to sweaty skin: a highlight 47° to 26° wide
        pupil=float(rng.uniform(0.14, 0.26)),  # 3 to 6 mm across on a 12 mm iris
        collar=float(rng.normal(5.92, 0.08)),  # at the base of the template's neck
        neckline=float(abs(rng.normal(0.10, 0.20))),  # round to a deep V
        cloth=CLOTHS[int(rng.integers(len(CLOTHS)))] * np.exp(rng.normal(0, 0.35)) * np.exp(rng.normal(0, 0.12, 3)),
        glasses=draw_glasses(rng),
        covered=bool(rng.random() < mode.covered),
        camera=draw_camera(mode.grey, mode.roughness, rng),
        landmark_noise=mode.landmarks,
    )


def _lips(identity: Identity, man: bool, rng: Stream) -> Tuple[np.ndarray, bool]:
    natural = identity.colours.lips * np.exp(rng.normal(0, 0.08))
    if man or rng.random() > MAKE_UP:
        return natural, False
    stick = linear((rng.uniform(120, 185), rng.uniform(35, 85), rng.uniform(45, 90)))
    return 0.65 * natural + 0.35 * stick, True


def silver(colour: np.ndarray, share: float) -> np.ndarray:
    """A hair colour with a share of grey."""
    return colour * (1 - share) + HAIR["grey"] * share
