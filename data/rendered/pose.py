"""Pose, camera and the alignment: the five points that a detector would find, with its errors."""

from __future__ import annotations

import math
from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.align.transform import REFERENCE, similarity_transform
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, log_uniform, weighted_choice

SIDE = 112  # pixels of a crop
DISTANCE = (6.0, 30.0)  # camera, dm: a selfie to a long lens across a room
ROLL = 6.0  # degrees; the alignment takes it out, the light keeps it
EYE_RADIUS = 0.12  # the eye's landmark lies on the eyeball, not in it, dm

NORMAL, UNIFORM, EITHER_SIDE = "normal", "uniform", "either side"


class Spread(NamedTuple):
    """A share of the yaw angles: N(0, low) or U(low, high), degrees, the last with a random sign."""

    share: float
    kind: str
    low: float
    high: float = 0.0


class Pose(NamedTuple):
    yaw: float  # degrees, positive turns the face to the picture's right
    pitch: float
    roll: float
    distance: float  # dm


class View(NamedTuple):
    """Where everything is on the crop. Camera at the origin, looking along -z, y up."""

    rotation: np.ndarray  # (3, 3) head to camera
    points: np.ndarray  # (V, 3) float32 in the camera's frame
    similarity: np.ndarray  # (2, 3) from image plane to crop pixels
    landmarks: np.ndarray  # (5, 3) camera frame, order of REFERENCE


def draw_pose(yaw: Tuple[Spread, ...], pitch: float, rng: Stream) -> Pose:
    """`pitch`: deviation, degrees."""
    spread = weighted_choice(rng, [(item, item.share) for item in yaw])
    if spread.kind == NORMAL:
        angle = rng.normal(0, spread.low)
    else:
        angle = rng.uniform(spread.low, spread.high)
        if spread.kind == EITHER_SIDE and rng.random() < 0.5:
            angle = -angle
    return Pose(float(angle), float(rng.normal(0, pitch)), float(rng.normal(0, ROLL)), log_uniform(rng, *DISTANCE))


def rotation(pose: Pose) -> np.ndarray:
    """Roll · pitch · yaw, (3, 3)."""
    y, p, q = (math.radians(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    turn = np.asarray([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    nod = np.asarray([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    tilt = np.asarray([[math.cos(q), -math.sin(q), 0], [math.sin(q), math.cos(q), 0], [0, 0, 1]])
    return tilt @ nod @ turn


def look_at(head: Head, points: np.ndarray, pose: Pose, landmark_noise: float, rng: Stream) -> View:
    """Put the camera and align. points (V', 3), the head's first; `landmark_noise` in crop pixels."""
    turned = rotation(pose)
    seen: np.ndarray = points @ turned.T.astype(np.float32) - np.asarray([0, 0, pose.distance], np.float32)
    forward = turned @ np.asarray([0, 0, EYE_RADIUS])
    landmarks = np.stack(
        [
            seen[head.right_eye].mean(0) + forward,  # the identity's right eye is the picture's left
            seen[head.left_eye].mean(0) + forward,
            seen[head.nose],
            seen[head.right_mouth],
            seen[head.left_mouth],
        ]
    )
    plane = image_plane(landmarks)
    clean, _ = similarity_transform(plane, REFERENCE)
    scale = math.hypot(clean[0, 0], clean[1, 0])
    found = plane + rng.normal(0, landmark_noise, (5, 2)) / scale
    matrix, _ = similarity_transform(found, REFERENCE)
    return View(turned, np.ascontiguousarray(seen), matrix, landmarks)


def image_plane(points: np.ndarray) -> np.ndarray:
    """Perspective onto the plane at distance 1, y down, (N, 2)."""
    return np.stack([points[:, 0] / -points[:, 2], points[:, 1] / points[:, 2]], 1)


def to_crop(view: View, points: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Camera-frame points (N, 3) to crop pixels (N, 2), times `scale`."""
    matrix = view.similarity * scale
    return image_plane(points) @ matrix[:, :2].T + matrix[:, 2]
