"""Expressions: a preset, a few stray muscles, gaze and blinks, as weights of the expression targets."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, weighted_choice

# Presets: share of photos, then target and weight at full strength. A name without Left or Right
# stands for both sides. Shares are by judgement, set so that the mean mouth looks like LFW's.
PRESETS = (
    ("still", 0.18, (("mouthSmile", 0.25),)),
    ("smile", 0.24, (("mouthSmile", 1.1), ("mouthStretch", 0.15), ("cheekSquint", 0.5), ("eyeSquint", 0.3))),
    (
        "laugh",
        0.34,
        (
            ("mouthSmile", 1.35),
            ("mouthStretch", 0.25),
            ("cheekSquint", 0.6),
            ("jawOpen", 0.20),
            ("mouthUpperUp", 0.80),
            ("eyeSquint", 0.4),
            ("mouthLowerDown", 0.45),
        ),
    ),
    (
        "surprise",
        0.06,
        (("browInnerUp", 0.7), ("browOuterUp", 0.7), ("mouthSmile", 0.2), ("eyeWide", 0.5), ("jawOpen", 0.35)),
    ),
    ("anger", 0.05, (("browDown", 0.8), ("noseSneer", 0.4), ("mouthPress", 0.5), ("eyeSquint", 0.3))),
    ("sorrow", 0.05, (("mouthFrown", 0.6), ("browInnerUp", 0.6))),
    ("speech", 0.08, (("jawOpen", 0.40), ("mouthSmile", 0.25), ("mouthStretch", 0.2), ("mouthLowerDown", 0.3))),
)
STRENGTH = (0.35, 1.0)  # of a preset
STRAYS, STRAY_WEIGHT = 3, 0.20  # muscles moved besides the preset, and how far at most
BLINKS, BLINK_DEPTH = 0.06, (0.5, 0.95)
GAZE = (0.25, 0.18)  # deviation sideways and up, in units of the lids' targets
GAZE_ANGLE = (0.6, 0.5)  # rad of the eyeball per such unit


class Expression(NamedTuple):
    weights: np.ndarray  # (E,) float32
    gaze: Tuple[float, float]  # sideways (to the identity's left), up, in lid units


def draw_expression(head: Head, strength: float, rng: Stream) -> Expression:
    """`strength` scales presets and strays: 1 as in news photos."""
    index = {name: number for number, name in enumerate(head.expression_names)}
    weights = np.zeros(len(index), np.float32)

    def add(name: str, value: float) -> None:
        for full in (name, name + "Left", name + "Right"):
            if full in index:
                weights[index[full]] += value * rng.uniform(0.8, 1.1)

    preset = weighted_choice(rng, [(targets, share) for _, share, targets in PRESETS])
    amount = rng.uniform(*STRENGTH) * strength
    for name, value in preset:
        add(name, value * amount)
    for place in rng.integers(0, len(weights), STRAYS):
        stray = rng.uniform(0, STRAY_WEIGHT) * strength
        if not head.expression_names[place].startswith(("eyeLook", "tongueOut", "jawOpen")):
            weights[place] += stray
    if rng.random() < BLINKS:
        add("eyeBlink", rng.uniform(*BLINK_DEPTH))
    left, up = rng.normal(0, GAZE[0]), rng.normal(0, GAZE[1])
    # Lids follow the gaze.
    for name, value in (("OutLeft", left), ("InRight", left), ("InLeft", -left), ("OutRight", -left)):
        weights[index["eyeLook" + name]] = max(0.0, value)
    for side in ("Left", "Right"):
        weights[index["eyeLookUp" + side]], weights[index["eyeLookDown" + side]] = max(0.0, up), max(0.0, -up)
    return Expression(np.clip(weights, 0, 1.5), (float(left), float(up)))


def gaze_direction(expression: Expression) -> np.ndarray:
    """Unit vector in the head's frame."""
    left, up = expression.gaze
    direction = np.asarray([np.sin(left * GAZE_ANGLE[0]), np.sin(up * GAZE_ANGLE[1]), 1.0])
    return direction / np.linalg.norm(direction)
