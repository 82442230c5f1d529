"""Camera: from linear light to a JPEG file by exposure, tone curve, blur, noise and compression."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from arcface_mx.data.rendered.light import WHITE_BALANCE, colour_gain
from arcface_mx.data.rendered.pose import SIDE
from arcface_mx.data.rendered.sampling import Stream

# Mean linear luminance of the face that the camera aims at, and the deviation of its logarithm.
EXPOSURE, EXPOSURE_ERROR = 0.19, 0.40
# The camera corrects this share of the difference to its aim, the rest keeps skin tones apart.
EXPOSURE_CORRECTED = 0.65
CONTRAST = (0.26, 0.14)  # mean and standard deviation of the logarithm
SATURATION = (-0.02, 0.16)  # the same
BLUR = (0.30, 0.95)  # sigma in pixels: aligned crops are resampled
SMALL, SMALL_SIDE = 0.18, (36, 90)  # share of images enlarged from fewer pixels, their side
GRAIN = 0.016  # standard deviation of the strength of the sensor noise, display units
QUALITY = (55, 96)  # JPEG


class Camera(NamedTuple):
    """How one image is taken and stored. `Mode.roughness` scales blur, side and grain."""

    exposure: float  # linear luminance
    balance: np.ndarray  # (3,) gains of red, green, blue
    contrast: float
    saturation: float  # 0 gives a grey image
    blur: float  # sigma, pixels
    side: int  # pixels at which the image was stored, at most 112
    grain: float  # display units
    quality: int


def draw_camera(grey: float, roughness: float, rng: Stream) -> Camera:
    """Draw a camera. `grey` is the share of grey images."""
    saturation = float(np.exp(rng.normal(*SATURATION)))
    return Camera(
        exposure=float(EXPOSURE * np.exp(rng.normal(0, EXPOSURE_ERROR))),
        balance=colour_gain(rng, WHITE_BALANCE),
        contrast=float(np.exp(rng.normal(*CONTRAST))),
        saturation=0.0 if rng.random() < grey else saturation,
        blur=float(rng.uniform(*BLUR)) * (0.6 + 0.4 * roughness),
        side=int(rng.integers(*SMALL_SIDE)) if rng.random() < SMALL * roughness else SIDE,
        grain=abs(float(rng.normal(0, GRAIN))) * roughness,
        quality=int(rng.integers(*QUALITY)),
    )


def expose(face: np.ndarray, cover: np.ndarray, background: np.ndarray, camera: Camera) -> np.ndarray:
    """Display values in 0…1, (112, 112, 3) float32, from linear RGB of face and background.

    cover (112, 112) is the share of each pixel that the face covers.
    """
    middle = (slice(20, 105), slice(20, 92))
    luminance = channel_mean(face[middle])[cover[middle] > 0.5]
    mean = float(luminance.mean()) if luminance.size else 0.2
    gain = (camera.exposure / max(mean, 1e-3)) ** EXPOSURE_CORRECTED
    image = face * (gain * camera.balance).astype(np.float32) + background * (1 - cover[..., None])
    image = image / (1 + 0.35 * image) * 1.2  # shoulder of the tone curve
    image = np.clip(image, 0, 1) ** np.float32(1 / 2.2)
    return np.clip(0.45 + (image - 0.45) * camera.contrast, 0, 1).astype(np.float32)


def channel_mean(image: np.ndarray) -> np.ndarray:
    """Mean of the channels, (…, 3) to (…). NumPy's own mean over so short an axis is slow."""
    return (image[..., 0] + image[..., 1] + image[..., 2]) * np.float32(1 / 3)


def develop(image: np.ndarray, camera: Camera, rng: Stream) -> bytes:
    """JPEG bytes of an image of display values in 0…1."""
    grey = channel_mean(image)[..., None]
    image = grey + (image - grey) * np.float32(camera.saturation)
    if camera.side < SIDE:
        small = cv2.resize(image, (camera.side, camera.side), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if camera.grain > 0.002:
        image = image + np.float32(camera.grain) * rng.standard_normal(image.shape, dtype=np.float32)
    image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return encoded.tobytes()
