"""One photo decoded, scaled and varied as the native iterator does it, from a seed of its own."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from arcface_mx.config import DataConfig

FILL = (127.0, 127.0, 127.0)
GREY = np.asarray([0.114, 0.587, 0.299], np.float32)  # BGR


def decode_photo(image: bytes, config: DataConfig, mirrored: bool, seed: Sequence[int], out: np.ndarray) -> None:
    """Into `out`, uint8 (3, side, side), RGB: decoded, scaled to --image-size, mirrored, then moved and recoloured at random.

    The image has been measured when the view was made. Raises ValueError where it is none.
    """
    import cv2

    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("no image")
    side = config.image_size
    if pixels.shape[:2] != (side, side):
        pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    if mirrored:
        pixels = cv2.flip(pixels, 1)
    if config.shift or config.rotate or config.zoom or config.jitter:
        random = np.random.default_rng(seed)
        random.random()  # the draw that says in a tuple whether it is mirrored
        if config.shift or config.rotate or config.zoom:
            pixels = _moved(pixels, config, random)
        if config.jitter:
            pixels = _recoloured(pixels, config.jitter, random)
    cv2.split(pixels, [out[2], out[1], out[0]])


def _moved(pixels: np.ndarray, config: DataConfig, random: np.random.Generator) -> np.ndarray:
    import cv2

    side = pixels.shape[0]
    angle = random.uniform(-config.rotate, config.rotate)
    zoom = 1.0 + random.uniform(0.0, config.zoom)
    matrix: Any = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, zoom)
    matrix[:, 2] += random.integers(-config.shift, config.shift + 1, 2)
    matrix[:, 2] += random.uniform(-0.5, 0.5, 2) * (zoom - 1.0) * side
    return cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=FILL)


def _recoloured(pixels: np.ndarray, most: float, random: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = 1.0 + random.uniform(-most, most, 3)
    values = pixels.astype(np.float32) * brightness
    grey = values @ GREY
    values = grey.mean() + contrast * (values - grey.mean())
    grey = values @ GREY
    values = grey[..., None] + saturation * (values - grey[..., None])
    return np.clip(values, 0, 255).astype(np.uint8)
