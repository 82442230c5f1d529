"""Decode images of a set once, and keep their sizes, their hashes and their mean."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Iterable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.data.images import decode_or_none
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.record import read_record
from arcface_mx.util.progress import progress

CHUNK = 256  # images of a task


class Images(NamedTuple):
    """K images after one pass over them."""

    positions: np.ndarray  # K, int64: where they stand in the set
    sizes: np.ndarray  # K×2, int64: height and width; 0 if an image cannot be decoded
    digests: np.ndarray  # K, S16: hashes of the encoded images; empty if an image cannot be read
    total: np.ndarray  # height×width×3, float64, RGB: the sum of the images of the expected size; 1×1×3 if none
    averaged: int  # of images in `total`

    @property
    def undecodable(self) -> np.ndarray:
        """Positions of the images that cannot be decoded."""
        return self.positions[self.sizes[:, 0] == 0]

    @property
    def mean(self) -> Optional[np.ndarray]:
        """The mean image, RGB, 0…255; None if no image has the expected size."""
        return self.total / self.averaged if self.averaged else None


def scan_images(images: Iterable[Tuple[int, Optional[bytes]]], size: Optional[Tuple[int, ...]] = None) -> Images:
    """Decode (position, encoded image) pairs. By default, the expected size is that of the first image."""
    positions, sizes, digests, averaged = [], [], [], 0
    total = np.zeros((1, 1, 3))
    for position, image in images:
        pixels = None if image is None else decode_or_none(image)
        positions.append(position)
        digests.append(b"" if image is None else hashlib.blake2b(image, digest_size=16).digest())
        sizes.append((0, 0) if pixels is None else pixels.shape[:2])
        if pixels is not None and size in (None, pixels.shape[:2]):
            if not averaged:
                size, total = pixels.shape[:2], np.zeros(pixels.shape)
            total += pixels[:, :, ::-1]
            averaged += 1
    return Images(
        np.asarray(positions, np.int64),
        np.asarray(sizes, np.int64).reshape(-1, 2),
        np.asarray(digests, "S16"),
        total,
        averaged,
    )


def scan_records(index: RecordIndex, sample: Optional[int], workers: int) -> Images:
    """Decode all images of a face set, or `sample` of them spread evenly, in threads."""
    positions = np.arange(len(index))
    if sample is not None and sample < len(index):
        positions = np.unique(np.linspace(0, len(index) - 1, sample).round().astype(np.int64))
    chunks = [positions[start : start + CHUNK] for start in range(0, len(positions), CHUNK)]

    def scan(chunk: np.ndarray) -> Images:
        return scan_images(_read(index, chunk), (index.height, index.width))

    parts, total, averaged = [], np.zeros((1, 1, 3)), 0
    with ThreadPoolExecutor(workers) as pool:
        for part in progress(pool.map(scan, chunks), "images", f"×{CHUNK}", total=len(chunks)):
            parts.append(part[:3])
            total = total + part.total
            averaged += part.averaged
    positions, sizes, digests = (np.concatenate(field) for field in zip(*parts))
    return Images(positions, sizes, digests, total, averaged)


def _read(index: RecordIndex, positions: np.ndarray) -> Iterator[Tuple[int, Optional[bytes]]]:
    with open(index.path, "rb") as stream:
        for position in positions.tolist():
            try:
                yield position, read_record(stream.fileno(), int(index.offsets[position]))[1]
            except ValueError:
                yield position, None
