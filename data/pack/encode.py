"""Read one image file and bring it to the size and encoding of a face set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

import cv2
import numpy as np

from arcface_mx.data.align.transform import HEIGHT, WIDTH
from arcface_mx.data.image_structure import RefusedImage
from arcface_mx.data.images import MAX_CAMERA_PIXELS, decode_bgr, read_image_file
from arcface_mx.util.errors import UserError

DEFAULT_QUALITY = 95
FITS = ("refuse", "pad", "stretch")


@dataclass(frozen=True)
class PackOptions:
    """How images become the records of a face set.

    Parameters
    ----------
    height, width : int
        Size of the set's images in pixels. An image of this size keeps its bytes.
    fit : str
        What happens to images of another size: ``"refuse"`` them, ``"pad"`` them (which keeps the
        proportions) or ``"stretch"`` them.
    quality : int, optional
        Encode all images again, as JPEG of this quality (1 to 100).
    min_images : int
        Identities with fewer images are left out.
    held_out : float
        Identities that are not trained on: a number, or a share below 1.
    seed : int
        Seed of the draw of these identities and of their pairs.
    leave_out_bad : bool
        Leave out images that cannot be used, instead of refusing the set.
    label_column : str, optional
        Column of parquet files that names the identity; the default is ``"label"``.
    """

    height: int = HEIGHT
    width: int = WIDTH
    fit: str = "refuse"
    quality: Optional[int] = None
    min_images: int = 1
    held_out: float = 0
    seed: int = 0
    leave_out_bad: bool = False
    label_column: Optional[str] = None

    def check(self) -> None:
        """Raise UserError if an option is out of its range."""
        if self.fit not in FITS:
            raise UserError(f"`fit` must be one of {', '.join(FITS)}, got {self.fit}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UserError(f"`quality` must be between 1 and 100, got {self.quality}")
        if min(self.height, self.width) < 16:
            raise UserError(f"`height` and `width` must be at least 16 pixels, got {self.height}×{self.width}")
        if self.min_images < 1:
            raise UserError(f"`min_images` must be at least 1, got {self.min_images}")
        if self.held_out < 0 or (self.held_out > 1 and self.held_out != int(self.held_out)):
            raise UserError(
                f"`held_out` must be a whole number of identities or a share below 1, got {self.held_out:g}"
            )


def encode_image(path: str, options: PackOptions) -> bytes:
    """Read an image file and encode it for a face set. Raises UserError if this is not possible.

    The bytes do not change if the file is a JPEG or PNG of the right size and no quality is set.
    """
    try:
        data = read_image_file(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    try:
        pixels = decode_bgr(data, MAX_CAMERA_PIXELS)
    except RefusedImage as error:
        raise UserError(f"{path}: {error}") from None
    except ValueError:
        raise UserError(f"{path}: cannot be decoded as an image") from None
    size = (options.height, options.width)
    if pixels.shape[:2] == size and options.quality is None and data[:3] in (b"\xff\xd8\xff", b"\x89PN"):
        return data
    if pixels.shape[:2] != size:
        if options.fit == "refuse":
            raise UserError(
                f"{path}: is {pixels.shape[0]}×{pixels.shape[1]} (height×width), not {size[0]}×{size[1]}; "
                "align the images first (arcface-mx data align)"
            )
        pixels = _resize(pixels, options)
    quality = DEFAULT_QUALITY if options.quality is None else options.quality
    success, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not success:
        raise UserError(f"{path}: cannot be encoded as JPEG")
    return bytes(encoded)


def encode_images(options: PackOptions, paths: Sequence[str]) -> List[Union[bytes, UserError]]:
    """Encode image files; the error of a file takes the place of its image."""
    encoded: List[Union[bytes, UserError]] = []
    for path in paths:
        try:
            encoded.append(encode_image(path, options))
        except UserError as error:
            encoded.append(error)
    return encoded


def _resize(pixels: np.ndarray, options: PackOptions) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = min(options.height / height, options.width / width)
    inner_height, inner_width = options.height, options.width
    if options.fit == "pad":
        inner_height, inner_width = max(1, round(height * factor)), max(1, round(width * factor))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (inner_width, inner_height), interpolation=method)
    rows, columns = options.height - inner_height, options.width - inner_width
    top, left = rows // 2, columns // 2
    return cv2.copyMakeBorder(pixels, top, rows - top, left, columns - left, cv2.BORDER_REPLICATE)
