"""Find label errors in a face set with a model: embed it and list what does not fit."""

from __future__ import annotations

import itertools
import os
from dataclasses import asdict, dataclass
from typing import Callable, Iterable, Iterator, List, Optional, Sequence

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.check.clean_list import LEAVE_OUT, Entry
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.angles import Centres
from arcface_mx.metrics.label_errors import far_images, near_centres, overlap
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import temporary_directory
from arcface_mx.util.progress import progress

Embed = Callable[[Iterable[bytes]], np.ndarray]
CHUNK = 1024  # images embedded at a time


@dataclass(frozen=True)
class CleanOptions:
    """Limits in degrees."""

    far: float = 75.0  # between an image and the centre of its identity's other images
    near: float = 40.0  # between the centres of two identities
    overlap: float = 50.0  # between the centre of an identity and an image of a verification set

    def check(self) -> None:
        """Raise UserError if a limit is not an angle."""
        for name, value in asdict(self).items():
            if not 0 < value < 180:
                raise UserError(f"`{name}` must be between 0 and 180 degrees, got {value:g}")


def find_label_errors(index: RecordIndex, embed: Embed, against: Sequence[str], options: CleanOptions) -> List[Entry]:
    """List far images, near identities, and identities that occur in the sets `against`.

    `embed` turns encoded images into embeddings (n, d). The embeddings of the set are kept in a
    temporary file meanwhile, 4·d bytes an image.
    """
    options.check()
    verification_sets = [read_pairs(path) for path in against]
    with temporary_directory() as folder:
        embeddings = _embed_set(index, embed, os.path.join(folder, "embeddings"))
        far, angles, centres = far_images(embeddings, index.labels, index.num_classes, options.far)
        entries = []
        for at in np.flatnonzero(far)[np.argsort(-angles[far], kind="stable")]:
            why = f"{angles[at]:.0f} degrees from the centre of its identity's other images"
            entries.append(Entry("image", int(index.numbers[at]), int(index.labels[at]), LEAVE_OUT, why))
        for first, second, angle in near_centres(centres, options.near):
            why = f"its centre is {angle:.0f} degrees from that of identity {first}"
            entries.append(Entry("identity", second, second, f"merge into {first}", why))
        for pairs in verification_sets:
            entries += _overlap(pairs, embed, centres, options.overlap)
        del embeddings  # some systems cannot delete a file that is mapped
    return entries


def _embed_set(index: RecordIndex, embed: Embed, path: str) -> np.ndarray:
    images = progress(index.images(), "embedding", "images", total=len(index))
    places = (f"{index.path}: record {number}" for number in index.numbers)
    stored: Optional[np.memmap] = None
    start = 0
    for unit in _embed_chunks((image for _, _, image in images), embed, places):
        if stored is None:
            stored = np.memmap(path, np.float32, "w+", shape=(len(index), unit.shape[1]))
        stored[start : start + len(unit)] = unit
        start += len(unit)
    assert stored is not None
    return stored


def _embed_chunks(images: Iterable[bytes], embed: Embed, places: Iterable[str]) -> Iterator[np.ndarray]:
    """Unit embeddings, CHUNK images at a time; `places` names each image for the error message."""
    images, places = iter(images), iter(places)
    for chunk in iter(lambda: list(itertools.islice(images, CHUNK)), []):
        vectors = np.asarray(embed(chunk), np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        for norm, place in zip(norms, places):  # in this order zip takes no place too many
            if not 0 < norm < np.inf:
                raise UserError(f"{place}: its embedding is zero or not finite; the model is broken or untrained")
        yield vectors / norms[:, None]


def _overlap(pairs: PairSet, embed: Embed, centres: Centres, limit: float) -> List[Entry]:
    name = os.path.basename(pairs.path)
    images = progress(pairs.images(), name, "images", total=pairs.num_images)
    places = map(pairs.describe, range(pairs.num_images))
    unit = np.concatenate(list(_embed_chunks(images, embed, places)))
    return [
        Entry(
            "identity",
            label,
            label,
            LEAVE_OUT,
            f"its centre is {angle:.0f} degrees from image {pairs.positions[image]} of {name}",
        )
        for label, image, angle in overlap(centres, unit, limit)
    ]
