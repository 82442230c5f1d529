"""One pass over the images of a face set: decodable and of one size; their hashes and their mean."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

import numpy as np

from arcface_mx.data.images import decode_or_none
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.record import read_record
from arcface_mx.util.progress import progress

CHUNK = 256  # images a task


@dataclass
class Images:
    """What the pass found. Lists hold record numbers; arrays have an entry for each image read."""

    looked_at: int = 0
    undecodable: List[int] = field(default_factory=list)
    wrong_size: List[Tuple[int, int, int]] = field(default_factory=list)  # number, height, width
    positions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, "S16"))
    total: Optional[np.ndarray] = None  # height×width×3 float64, RGB: sum over `averaged` images
    averaged: int = 0

    def add(self, part: Images) -> None:
        self.looked_at += part.looked_at
        self.undecodable += part.undecodable
        self.wrong_size += part.wrong_size
        self.total = part.total if self.total is None else self.total + part.total
        self.averaged += part.averaged

    @property
    def mean(self) -> Optional[np.ndarray]:
        """The mean image, float64 RGB 0…255; None where no image has the right size."""
        return self.total / self.averaged if self.total is not None and self.averaged else None


def look_at_images(index: RecordIndex, sample: Optional[int], workers: int) -> Images:
    """Decode all images, or `sample` of them spread evenly, in threads: cv2 decodes outside Python's lock."""
    chosen = np.arange(len(index))
    if sample is not None and sample < len(index):
        chosen = np.unique(np.linspace(0, len(index) - 1, sample).round().astype(np.int64))
    chunks = [chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK)]
    whole, positions, digests = Images(), [], []
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda chunk: _look_at(index, chunk), chunks)
        for part in progress(parts, "images", f"×{CHUNK}", total=len(chunks)):
            whole.add(part)
            positions.append(part.positions)
            digests.append(part.digests)
    whole.positions, whole.digests = np.concatenate(positions), np.concatenate(digests)
    return whole


def _look_at(index: RecordIndex, chunk: np.ndarray) -> Images:
    found = Images(looked_at=len(chunk), total=np.zeros((index.height, index.width, 3)))
    positions, digests = [], []
    with open(index.path, "rb") as stream:
        for position in chunk:
            number = int(index.numbers[position])
            try:
                _, image = read_record(stream.fileno(), int(index.offsets[position]))
            except ValueError:
                found.undecodable.append(number)
                continue
            positions.append(position)
            digests.append(hashlib.blake2b(image, digest_size=16).digest())
            pixels = decode_or_none(image)
            if pixels is None:
                found.undecodable.append(number)
            elif pixels.shape[:2] != (index.height, index.width):
                found.wrong_size.append((number, pixels.shape[0], pixels.shape[1]))
            else:
                found.total += pixels[:, :, ::-1]
                found.averaged += 1
    found.positions, found.digests = np.asarray(positions, np.int64), np.asarray(digests, "S16")
    return found
