"""Background: what is behind the head, and the clothed shoulders, which the mesh lacks."""

from __future__ import annotations

import cv2
import numpy as np

from arcface_mx.data.rendered.light import Light, colour_gain
from arcface_mx.data.rendered.pose import SIDE, Pose, View, rotation, to_crop
from arcface_mx.data.rendered.sampling import Stream, noise

WARMTH = np.asarray([1.06, 1.0, 0.88])  # mean tint of rooms behind people in LFW
# Outline of shoulders and collar in the frame of the skull, from right to left, dm.
HALF = np.asarray([[3.0, -2.6, -0.4], [2.1, -1.95, -0.3], [0.55, -1.55, -0.3]])
SHOULDERS = np.concatenate([HALF * [-1, 1, 1], HALF[::-1]])


def draw_background(rng: Stream) -> np.ndarray:
    """A room, wall or crowd out of focus: linear RGB (112, 112, 3) float32."""
    shape = (SIDE, SIDE)
    level = np.exp(rng.normal(-2.35, 1.2))
    tint = WARMTH * colour_gain(rng, 0.22) * np.exp(rng.normal(0, 0.06, 3))
    structure = noise(rng, shape, rng.uniform(12, 60), 3)
    image = level * tint * np.exp(rng.uniform(0.05, 0.7) * structure)[..., None]
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(int(rng.integers(0, 5))):  # door frames, lamps, people
        x, y = int(rng.integers(-20, SIDE)), int(rng.integers(-60, 100))
        w, h = int(rng.integers(5, 60)), int(rng.integers(20, 150))
        colour = level * np.exp(rng.normal(0, 0.8)) * colour_gain(rng, 0.25) * np.exp(rng.normal(0, 0.10, 3))
        if rng.random() < 0.6:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour.tolist(), -1)
        else:
            cv2.ellipse(image, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1)
    return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 5)))


def draw_shoulders(image: np.ndarray, cloth: np.ndarray, pose: Pose, light: Light, view: View) -> None:
    """Draw shoulders of the colour `cloth` (linear RGB) into the background `image`."""
    # The body stays upright while the head turns and nods: it takes half of the yaw and no pitch.
    body = rotation(pose._replace(yaw=pose.yaw / 2, pitch=0.0))
    line = to_crop(view, SHOULDERS @ body.T + [0, 0, -pose.distance])
    outline = np.round(np.concatenate([line, line[::-1] + [0, 200]])).astype(np.int32)
    brightness = light.ambient[0].mean() + 0.5 * light.lamps[0, 3:].mean()
    cv2.fillPoly(image, [outline], (cloth * brightness).tolist(), cv2.LINE_AA)
