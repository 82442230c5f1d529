"""One training image: decoded, scaled, mirrored and varied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence, Tuple

import numpy as np

from arcface_mx.data.images import decode_bgr
from arcface_mx.reader.samplers import slice_of_rounds

FILL = (127.0, 127.0, 127.0)
GREY = np.asarray([0.114, 0.587, 0.299], np.float32)  # weights of blue, green and red
MIRROR_BLOCK = 4096


@dataclass(frozen=True)
class Augmentation:
    """How an image is scaled and varied. The fields are those of `DataConfig`.

    Attributes
    ----------
    image_size : int
        Side of the result in pixels.
    mirror : bool
        Mirror half of the images.
    shift : int
        Largest shift each way, pixels.
    rotate : int
        Largest rotation each way, degrees.
    zoom : float
        Largest enlargement, as a share.
    jitter : float
        Largest change of brightness, contrast and saturation each way, as a share.
    """

    image_size: int
    mirror: bool = True
    shift: int = 0
    rotate: int = 0
    zoom: float = 0.0
    jitter: float = 0.0

    def mirrored(self, seed: int, position: int, count: int) -> np.ndarray:
        """Return which of the images from a position on are mirrored.

        Parameters
        ----------
        seed : int
        position : int
            Number of images before.
        count : int

        Returns
        -------
        ndarray of bool, shape (count,)
        """
        if not self.mirror:
            return np.zeros(count, bool)

        def coins(block: int) -> np.ndarray:
            return np.random.default_rng([seed, 5, block]).random(MIRROR_BLOCK) < 0.5

        return slice_of_rounds(coins, MIRROR_BLOCK, position, count)

    def apply(self, image: bytes, size: Tuple[int, int], mirrored: bool, seed: Sequence[int], out: np.ndarray) -> None:
        """Write one image into `out`.

        Parameters
        ----------
        image : bytes
            The encoded image.
        size : (int, int)
            The height and width that it must have, pixels.
        mirrored : bool
        seed : sequence of int
            Seed of the random changes of this image.
        out : ndarray of uint8, shape (3, image_size, image_size)
            RGB.

        Raises
        ------
        ValueError
            If it cannot be decoded or has another size.
        """
        import cv2

        try:
            pixels = decode_bgr(image)
        except ValueError as error:
            raise ValueError(f"holds no image that can be decoded: {error}") from None
        if pixels.shape[:2] != size:
            height, width = pixels.shape[:2]
            raise ValueError(f"is {height}×{width} pixels and must be {size[0]}×{size[1]}")
        side = self.image_size
        if size != (side, side):
            pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        if mirrored:
            pixels = cv2.flip(pixels, 1)
        if self.shift or self.rotate or self.zoom or self.jitter:
            random = np.random.default_rng(seed)
            if self.shift or self.rotate or self.zoom:
                pixels = self._moved(pixels, random)
            if self.jitter:
                pixels = _recoloured(pixels, self.jitter, random)
        cv2.split(pixels, [out[2], out[1], out[0]])

    def _moved(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        import cv2

        side = pixels.shape[0]
        angle = random.uniform(-self.rotate, self.rotate)
        zoom = 1.0 + random.uniform(0.0, self.zoom)
        matrix: Any = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, zoom)
        matrix[:, 2] += random.integers(-self.shift, self.shift + 1, 2)
        matrix[:, 2] += random.uniform(-0.5, 0.5, 2) * (zoom - 1.0) * side
        return cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=FILL)


def _recoloured(pixels: np.ndarray, limit: float, random: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = 1.0 + random.uniform(-limit, limit, 3)
    values = pixels.astype(np.float32) * brightness
    grey = values @ GREY
    values = grey.mean() + contrast * (values - grey.mean())
    grey = values @ GREY
    values = grey[..., None] + saturation * (values - grey[..., None])
    return np.clip(values, 0, 255).astype(np.uint8)
