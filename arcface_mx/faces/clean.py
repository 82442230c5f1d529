"""Clean a face set with a model: embed it, list what does not fit, nothing else."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.check.clean_list import LEAVE_OUT, Entry
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.label_errors import Centres, far_photos, near_centres, overlap, units
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress

Embed = Callable[[Iterable[bytes]], np.ndarray]
CHUNK = 1024  # images embedded at a time


@dataclass(frozen=True)
class CleanOptions:
    """Limits, degrees between embeddings."""

    far: float = 75.0  # of a photo from its identity's centre
    near: float = 40.0  # between the centres of two identities
    overlap: float = 50.0  # between an identity's centre and a photo of a test set

    def check(self) -> None:
        for flag, value in (("--far", self.far), ("--near", self.near), ("--overlap", self.overlap)):
            if not 0 < value < 180:
                raise UserError(f"{flag} {value:g}: give degrees between 0 and 180")


def find_faults(index: RecordIndex, embed: Embed, against: Sequence[str], options: CleanOptions) -> List[Entry]:
    """What does not fit in a set: far photos, near identities, identities in the test sets `against`.

    embed: encoded images → n×d embeddings. The set's embeddings lie in a temporary file while this
    runs (4·d bytes an image).
    """
    options.check()
    others = [(path, read_pairs(path)) for path in against]
    with tempfile.TemporaryDirectory(prefix="arcface-mx-clean-") as folder:
        embeddings = _embed_set(index, embed, os.path.join(folder, "embeddings"))
        far, angles, centres = far_photos(embeddings, index.labels, index.num_classes, options.far)
        entries = [
            Entry(
                "image",
                int(index.numbers[at]),
                int(index.labels[at]),
                LEAVE_OUT,
                f"{angles[at]:.0f} degrees from its identity's centre",
            )
            for at in np.flatnonzero(far)[np.argsort(-angles[far], kind="stable")]
        ]
        entries += _same_people(centres, options.near)
        for path, pairs in others:
            entries += _overlap(path, pairs, embed, centres, options.overlap)
        del embeddings  # a map cannot outlive its file everywhere
    return entries


def _embed_set(index: RecordIndex, embed: Embed, path: str) -> np.ndarray:
    stored: Optional[np.memmap] = None
    images = progress(index.images(), "embedding", "images", total=len(index))
    start = 0
    for chunk in _chunks(image for _, _, image in images):
        vectors = _sound_units(embed(chunk), lambda at: f"{index.path}: record {index.numbers[start + at]}")
        if stored is None:
            stored = np.memmap(path, np.float32, "w+", shape=(len(index), vectors.shape[1]))
        stored[start : start + len(vectors)] = vectors
        start += len(vectors)
    assert stored is not None
    return stored


def _chunks(images: Iterable[bytes]) -> Iterator[List[bytes]]:
    chunk: List[bytes] = []
    for image in images:
        chunk.append(image)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _sound_units(vectors: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(vectors).all(1) | ~(np.abs(vectors).max(1) > 0))
    if len(bad):
        raise UserError(f"{place(int(bad[0]))}: its embedding is zero or not finite; is the model whole?")
    return units(vectors)


def _same_people(centres: Centres, limit: float) -> List[Entry]:
    entries = []
    for first, second, angle in near_centres(centres, limit):
        why = f"its centre is {angle:.0f} degrees from that of identity {first}"
        entries.append(Entry("identity", second, second, f"merge into {first}", why))
    return entries


def _overlap(path: str, pairs: PairSet, embed: Embed, centres: Centres, limit: float) -> List[Entry]:
    images = progress(pairs.images(), os.path.basename(path), "images", total=pairs.num_images)
    vectors: List[np.ndarray] = []
    for chunk in _chunks(images):
        vectors.append(_sound_units(embed(chunk), lambda at: pairs.describe(sum(map(len, vectors)) + at)))
    matches: List[Tuple[int, int, float]] = [
        (a, b, score) for a, b, score in overlap(centres, np.concatenate(vectors), limit)
    ]
    return [
        Entry(
            "identity",
            label,
            label,
            LEAVE_OUT,
            f"its centre is {angle:.0f} degrees from image {pairs.positions[photo]} of {os.path.basename(path)}",
        )
        for label, photo, angle in matches
    ]
