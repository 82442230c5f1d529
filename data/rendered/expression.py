"""Expression: weights of the expression targets for a preset, other muscles, gaze and blinks."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, weighted_choice

# Weights of the targets at full strength. A target without Left or Right stands for both sides.
# The shares of the presets are judged by eye: the mean mouth should look like LFW's.
NEUTRAL = dict(mouthSmile=0.25)
SMILE = dict(mouthSmile=1.1, mouthStretch=0.15, cheekSquint=0.5, eyeSquint=0.3)
LAUGH = dict(
    mouthSmile=1.35,
    mouthStretch=0.25,
    cheekSquint=0.6,
    jawOpen=0.2,
    mouthUpperUp=0.8,
    eyeSquint=0.4,
    mouthLowerDown=0.45,
)
SURPRISE = dict(browInnerUp=0.7, browOuterUp=0.7, mouthSmile=0.2, eyeWide=0.5, jawOpen=0.35)
ANGER = dict(browDown=0.8, noseSneer=0.4, mouthPress=0.5, eyeSquint=0.3)
SORROW = dict(mouthFrown=0.6, browInnerUp=0.6)
SPEECH = dict(jawOpen=0.4, mouthSmile=0.25, mouthStretch=0.2, mouthLowerDown=0.3)
PRESETS = tuple(
    zip((NEUTRAL, SMILE, LAUGH, SURPRISE, ANGER, SORROW, SPEECH), (0.18, 0.24, 0.34, 0.06, 0.05, 0.05, 0.08))
)
STRENGTH = (0.35, 1.0)  # of a preset
OTHERS, OTHER_WEIGHT = 3, 0.20  # muscles besides the preset, and their largest weight
BLINKS, BLINK_WEIGHT = 0.06, (0.5, 0.95)  # share of images, range
GAZE = (0.25, 0.18)  # standard deviation sideways and up, in weights of the lids' targets
GAZE_ANGLE = (0.6, 0.5)  # rad of the eyeball for a weight of 1


class Expression(NamedTuple):
    weights: np.ndarray  # (E,) float32
    gaze: Tuple[float, float]  # to the head's left and up, in weights of the lids' targets


def draw_expression(head: Head, strength: float, rng: Stream) -> Expression:
    """Draw an expression. `strength` scales the muscles; 1 is that of news photographs."""
    index = {name: number for number, name in enumerate(head.expression_names)}
    weights = np.zeros(len(index), np.float32)

    def add(name: str, value: float) -> None:
        for full in (name, name + "Left", name + "Right"):
            if full in index:
                weights[index[full]] += value * rng.uniform(0.8, 1.1)

    preset = weighted_choice(rng, PRESETS)
    amount = rng.uniform(*STRENGTH) * strength
    for name, value in preset.items():
        add(name, value * amount)
    for number in rng.integers(0, len(weights), OTHERS):
        other = rng.uniform(0, OTHER_WEIGHT) * strength
        if not head.expression_names[number].startswith(("eyeLook", "tongueOut", "jawOpen")):
            weights[number] += other
    if rng.random() < BLINKS:
        add("eyeBlink", rng.uniform(*BLINK_WEIGHT))
    left, up = float(rng.normal(0, GAZE[0])), float(rng.normal(0, GAZE[1]))
    # The lids follow the gaze.
    for name, value in (("OutLeft", left), ("InRight", left), ("InLeft", -left), ("OutRight", -left)):
        weights[index["eyeLook" + name]] = max(0.0, value)
    for side in ("Left", "Right"):
        weights[index["eyeLookUp" + side]], weights[index["eyeLookDown" + side]] = max(0.0, up), max(0.0, -up)
    return Expression(np.clip(weights, 0, 1.5), (left, up))


def gaze_direction(expression: Expression) -> np.ndarray:
    """Unit vector (3,) in the head's frame."""
    left, up = expression.gaze
    direction = np.asarray([np.sin(left * GAZE_ANGLE[0]), np.sin(up * GAZE_ANGLE[1]), 1.0])
    return direction / np.linalg.norm(direction)
