"""Decode images of a set once, and keep their sizes, their hashes and their mean."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.data.images import decode_or_none
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.record import read_record
from arcface_mx.util.children import in_batches, run_batches
from arcface_mx.util.progress import progress

CHUNK = 256  # images that a child process gets at a time


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
        digests.append(digest(image))
        sizes.append((0, 0) if pixels is None else pixels.shape[:2])
        if pixels is not None and size in (None, pixels.shape[:2]):
            if not averaged:
                size, total = pixels.shape[:2], np.zeros(pixels.shape)
            total += pixels[:, :, ::-1]
            averaged += 1
    return _images(positions, sizes, digests, total, averaged)


def digest(image: Optional[bytes]) -> bytes:
    """Return a hash of an encoded image; empty if there is none."""
    return hashlib.blake2b(image, digest_size=16).digest() if image else b""


def scan_records(index: RecordIndex, sample: Optional[int], workers: int) -> Images:
    """Decode all images of a face set, or `sample` of them spread evenly, in child processes."""
    positions = np.arange(len(index))
    if sample is not None and sample < len(index):
        positions = np.unique(np.linspace(0, len(index) - 1, sample).round().astype(np.int64))
    places = zip(positions.tolist(), index.offsets[positions].tolist())
    scan = partial(_scan_places, index.path, (index.height, index.width))
    return _join(run_batches(scan, in_batches(places, CHUNK), _crashed, workers), len(positions))


def readable_images(index: RecordIndex, positions: np.ndarray) -> Iterator[bytes]:
    """Yield the encoded images at some positions of a face set, without those that cannot be read."""
    for _, image in _read_places(index.path, zip(positions.tolist(), index.offsets[positions].tolist())):
        if image is not None:
            yield image


def scan_pairs(pairs: PairSet, sample: Optional[int], workers: int) -> Images:
    """Decode all images of a verification set, or about `sample` of them spread evenly, in child processes."""
    step = -(-pairs.num_images // sample) if sample else 1
    listed = ((number, image) for number, image in enumerate(pairs.images()) if number % step == 0)
    scan = partial(scan_images, size=None)
    return _join(run_batches(scan, in_batches(listed, CHUNK), _crashed, workers), -(-pairs.num_images // step))


def _scan_places(path: str, size: Tuple[int, int], places: Sequence[Tuple[int, int]]) -> Images:
    """Decode the images of records, given as (position, offset)."""
    return scan_images(_read_places(path, places), size)


def _read_places(path: str, places: Iterable[Tuple[int, int]]) -> Iterator[Tuple[int, Optional[bytes]]]:
    with open(path, "rb") as stream:
        for position, offset in places:
            try:
                yield position, read_record(stream.fileno(), offset)[1]
            except ValueError:
                yield position, None


def _crashed(item: Tuple[int, Any], reason: str) -> Images:
    """What is known of an image that ends the process which decodes it: it cannot be decoded."""
    return _images([item[0]], [(0, 0)], [b""], np.zeros((1, 1, 3)), 0)


def _images(
    positions: Sequence[int], sizes: Sequence[Tuple[int, ...]], digests: Sequence[bytes], total: np.ndarray, count: int
) -> Images:
    shape = np.asarray(sizes, np.int64).reshape(-1, 2)
    return Images(np.asarray(positions, np.int64), shape, np.asarray(digests, "S16"), total, count)


def _join(parts: Iterable[Images], count: int) -> Images:
    """Join the parts of a set. Images of another size than the first one's do not enter the mean."""
    kept, total, averaged = [], np.zeros((1, 1, 3)), 0
    for part in progress(parts, "images", f"×{CHUNK}", total=-(-count // CHUNK)):
        kept.append(part[:3])
        if part.averaged and (not averaged or part.total.shape == total.shape):
            total = total + part.total
            averaged += part.averaged
    positions, sizes, digests = (np.concatenate(field) for field in zip(*kept))
    return Images(positions, sizes, digests, total, averaged)
