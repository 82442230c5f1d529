"""From light to a JPEG file: background, exposure, tone, blur, noise, compression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arcface_mx.data.rendered.light import BALANCE, colour_gain
from arcface_mx.data.rendered.pose import SIDE
from arcface_mx.data.rendered.sampling import Stream, noise

# Mean linear luminance of the face that the camera aims at, and the spread of its errors.
EXPOSURE, EXPOSURE_ERROR = 0.19, 0.40
# Share of the difference to that aim which the camera corrects: the rest keeps skin tones apart.
EXPOSURE_CORRECTED = 0.65
CONTRAST = (0.26, 0.14)  # mean and deviation of its logarithm
SATURATION = (-0.02, 0.16)  # the same
SOFT = (0.30, 0.95)  # Gaussian blur of every photo, sigma in pixels: aligned crops are resampled
SMALL, SMALL_SIDE = 0.18, (36, 90)  # share of photos enlarged from fewer pixels, and how many
GRAIN = 0.016  # deviation of the sensor noise's strength before the blur, display units
QUALITY = (55, 96)  # JPEG
WARMTH = np.asarray([1.06, 1.0, 0.88])  # mean tint of rooms behind identities in LFW


class Camera(NamedTuple):
    """How one photo was taken and kept; `roughness` of the mode scales the last five."""

    exposure: float
    balance: np.ndarray  # (3,) gains
    contrast: float
    saturation: float  # 0: a grey photo
    blur: float  # sigma, pixels
    side: int  # pixels it was stored at, at most 112
    grain: float
    quality: int


def draw_camera(grey: float, roughness: float, rng: Stream) -> Camera:
    """`grey`: share of grey photos."""
    saturation = float(np.exp(rng.normal(*SATURATION)))
    return Camera(
        exposure=float(EXPOSURE * np.exp(rng.normal(0, EXPOSURE_ERROR))),
        balance=colour_gain(rng, BALANCE),
        contrast=float(np.exp(rng.normal(*CONTRAST))),
        saturation=0.0 if rng.random() < grey else saturation,
        blur=float(rng.uniform(*SOFT)) * (0.6 + 0.4 * roughness),
        side=int(rng.integers(*SMALL_SIDE)) if rng.random() < SMALL * roughness else SIDE,
        grain=abs(float(rng.normal(0, GRAIN))) * roughness,
        quality=int(rng.integers(*QUALITY)),
    )


def background(rng: Stream) -> np.ndarray:
    """Linear RGB (112, 112, 3) float32: an out-of-focus room, wall or crowd, drawn anew each time."""
    import cv2

    shape = (SIDE, SIDE)
    level = np.exp(rng.normal(-2.35, 1.2))
    tint = WARMTH * colour_gain(rng, 0.22) * np.exp(rng.normal(0, 0.06, 3))
    structure = noise(rng, shape, rng.uniform(12, 60), 3)
    picture = level * tint * np.exp(rng.uniform(0.05, 0.7) * structure)[..., None]
    picture = np.ascontiguousarray(picture, np.float32)
    for _ in range(int(rng.integers(0, 5))):  # door frames, lamps, identities behind
        x, y = int(rng.integers(-20, SIDE)), int(rng.integers(-60, 100))
        w, h = int(rng.integers(5, 60)), int(rng.integers(20, 150))
        colour = level * np.exp(rng.normal(0, 0.8)) * colour_gain(rng, 0.25) * np.exp(rng.normal(0, 0.10, 3))
        if rng.random() < 0.6:
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour.tolist(), -1)
        else:
            cv2.ellipse(picture, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1)
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.8, 5)))


def expose(face: np.ndarray, cover: np.ndarray, behind: np.ndarray, camera: Camera) -> np.ndarray:
    """Linear face over background to display values 0…1, (112, 112, 3) float32. cover (112, 112)."""
    middle = (slice(20, 105), slice(20, 92))
    inside = cover[middle] > 0.5
    luminance = grey_of(face[middle])[inside]
    mean = float(luminance.mean()) if luminance.size else 0.2
    gain = (camera.exposure / max(mean, 1e-3)) ** EXPOSURE_CORRECTED
    picture = face * (gain * camera.balance).astype(np.float32) + behind * (1 - cover[..., None])
    picture = picture / (1 + 0.35 * picture) * 1.2  # shoulder of the tone curve
    picture = np.clip(picture, 0, 1) ** np.float32(1 / 2.2)
    return np.clip(0.45 + (picture - 0.45) * camera.contrast, 0, 1).astype(np.float32)


def grey_of(picture: np.ndarray) -> np.ndarray:
    """Mean of the channels, (…, 3) to (…): numpy's own mean over so short an axis is slow."""
    return (picture[..., 0] + picture[..., 1] + picture[..., 2]) * np.float32(1 / 3)


def develop(picture: np.ndarray, camera: Camera, rng: Stream) -> bytes:
    """Display values 0…1 to JPEG bytes."""
    import cv2

    grey = grey_of(picture)[..., None]
    picture = grey + (picture - grey) * np.float32(camera.saturation)
    if camera.side < SIDE:
        small = cv2.resize(picture, (camera.side, camera.side), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if camera.grain > 0.002:
        picture = picture + np.float32(camera.grain) * rng.standard_normal(picture.shape, dtype=np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), camera.blur)
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return encoded.tobytes()
