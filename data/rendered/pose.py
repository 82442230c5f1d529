"""Pose and camera position, and the alignment by five points with the errors of a detector."""

from __future__ import annotations

import math
from typing import NamedTuple, Tuple

import numpy as np

from arcface_mx.data.align.transform import REFERENCE, similarity_transform
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.sampling import Stream, log_uniform, weighted_choice

SIDE = 112  # pixels of a crop
DISTANCE = (6.0, 30.0)  # of the camera, dm: from a selfie to a long lens across a room
ROLL = 6.0  # standard deviation, degrees; the alignment removes it, the light keeps it
EYE_RADIUS = 0.12  # dm: the landmark of an eye is on the eyeball's front

NORMAL, UNIFORM, EITHER_SIDE = "normal", "uniform", "either side"


class Spread(NamedTuple):
    """A share of the yaw angles, degrees: N(0, low), U(low, high), or the latter with a random sign."""

    share: float
    kind: str
    low: float
    high: float = 0.0


class Pose(NamedTuple):
    """Angles in degrees. A positive yaw turns the face to the image's right."""

    yaw: float
    pitch: float
    roll: float
    distance: float  # dm


class View(NamedTuple):
    """The camera's frame: camera at the origin, looking along -z, y up. Lengths in dm."""

    rotation: np.ndarray  # (3, 3) from the head's frame to the camera's
    points: np.ndarray  # (V, 3) float32
    similarity: np.ndarray  # (2, 3) from the image plane to pixels of the crop
    landmarks: np.ndarray  # (5, 3) in the order of REFERENCE


def draw_pose(yaw: Tuple[Spread, ...], pitch: float, rng: Stream) -> Pose:
    """Draw a pose. `pitch` is a standard deviation in degrees."""
    spread = weighted_choice(rng, [(item, item.share) for item in yaw])
    if spread.kind == NORMAL:
        angle = rng.normal(0, spread.low)
    else:
        angle = rng.uniform(spread.low, spread.high)
        if spread.kind == EITHER_SIDE and rng.random() < 0.5:
            angle = -angle
    return Pose(float(angle), float(rng.normal(0, pitch)), float(rng.normal(0, ROLL)), log_uniform(rng, *DISTANCE))


def rotation(pose: Pose) -> np.ndarray:
    """The matrix roll · pitch · yaw, (3, 3)."""
    y, p, q = (math.radians(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    turn = np.asarray([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    nod = np.asarray([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    tilt = np.asarray([[math.cos(q), -math.sin(q), 0], [math.sin(q), math.cos(q), 0], [0, 0, 1]])
    return tilt @ nod @ turn


def look_at(head: Head, points: np.ndarray, pose: Pose, landmark_noise: float, rng: Stream) -> View:
    """Place the camera and align the crop.

    points (V, 3) start with the vertices of the head. `landmark_noise` is in pixels of the crop.
    """
    turn = rotation(pose)
    seen: np.ndarray = points @ turn.T.astype(np.float32) - np.asarray([0, 0, pose.distance], np.float32)
    forward = turn @ np.asarray([0, 0, EYE_RADIUS])
    # The right eye is at the image's left.
    eyes = [seen[head.right_eye].mean(0) + forward, seen[head.left_eye].mean(0) + forward]
    landmarks = np.stack([*eyes, seen[head.nose], seen[head.right_mouth], seen[head.left_mouth]])
    plane = image_plane(landmarks)
    exact, _ = similarity_transform(plane, REFERENCE)
    scale = math.hypot(exact[0, 0], exact[1, 0])
    detected = plane + rng.normal(0, landmark_noise, (5, 2)) / scale
    matrix, _ = similarity_transform(detected, REFERENCE)
    return View(turn, np.ascontiguousarray(seen), matrix, landmarks)


def image_plane(points: np.ndarray) -> np.ndarray:
    """Perspective projection (N, 2) of points (N, 3) onto the plane at distance 1, y down."""
    return np.stack([points[:, 0] / -points[:, 2], points[:, 1] / points[:, 2]], 1)


def to_crop(view: View, points: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Pixels of the crop (N, 2), times `scale`, of points (N, 3) in the camera's frame."""
    matrix = view.similarity * scale
    return image_plane(points) @ matrix[:, :2].T + matrix[:, 2]
