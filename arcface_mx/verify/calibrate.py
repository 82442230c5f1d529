"""Calibrate a model: from verification sets (`.bin`), or from every pair of photos of a labelled set."""

from __future__ import annotations

import os
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.bins import decode_rgb, read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.calibration import Calibration, ScoredPairs, calibrate
from arcface_mx.metrics.similarity import pair_scores, unit_vectors
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress
from arcface_mx.verify.calibration_file import StoredCalibration, model_fingerprint
from arcface_mx.verify.images import load_photos, read_identities
from arcface_mx.verify.sets import set_name

MAX_PHOTOS = 3000  # of a labelled set: 4.5 million pairs, 150 MB


def calibrate_model(
    embedder: Embedder,
    model: str,
    sets: Sequence[str],
    batch_size: Optional[int] = None,
    flip_test: bool = True,
    most: int = MAX_PHOTOS,
) -> StoredCalibration:
    """Measure thresholds without and, with `flip_test`, also with the flip test.

    model: what the embedder was loaded from. sets: .bin files, whose pairs are pooled, or one face
    set (train.rec) or folder of identities, of which all pairs of at most `most` photos count.
    Raises UserError on bad input.
    """
    if not all(source.endswith(".bin") for source in sets):
        if len(sets) > 1:
            raise UserError("calibrate: give .bin files, or one labelled set alone")
        scored = _labelled(embedder, sets[0], batch_size, flip_test, most)
    else:
        scored = _verification_sets(embedder, sets, batch_size, flip_test)
    flips: Dict[str, Calibration] = {name: calibrate(pairs, ", ".join(sets)) for name, pairs in scored.items()}
    return StoredCalibration(
        model_fingerprint(model), tuple(set_name(os.path.normpath(source)) for source in sets), flips
    )


def _verification_sets(
    embedder: Embedder, paths: Sequence[str], batch_size: Optional[int], flip_test: bool
) -> Dict[str, ScoredPairs]:
    parts: Dict[str, List[Tuple[np.ndarray, np.ndarray]]] = {}
    for pairs in [read_pairs(path) for path in paths]:
        images = progress(pairs.pixels(), set_name(pairs.path), "image", pairs.num_images)
        for flip, embeddings in _embeddings(embedder, images, batch_size, flip_test).items():
            scores = pair_scores(embeddings, pairs.left, pairs.right, pairs.path)
            parts.setdefault(flip, []).append((scores[pairs.same], scores[~pairs.same]))
    return {
        flip: ScoredPairs(np.concatenate([same for same, _ in found]), np.concatenate([other for _, other in found]))
        for flip, found in parts.items()
    }


def _embeddings(
    embedder: Embedder, images: Iterable[np.ndarray], batch_size: Optional[int], flip_test: bool
) -> Dict[str, np.ndarray]:
    if not flip_test:
        return {"none": embedder.embed(images, batch_size)}
    plain, mirrored = embedder.embed_with_mirror(images, batch_size)
    return {"none": plain, "sum": plain + mirrored}


def _labelled(
    embedder: Embedder, source: str, batch_size: Optional[int], flip_test: bool, most: int
) -> Dict[str, ScoredPairs]:
    images, people = labelled_photos(source, most)
    shown = progress(images, set_name(os.path.normpath(source)), "image", len(people))
    embeddings = _embeddings(embedder, shown, batch_size, flip_test)
    return {flip: all_pairs(values, people, source) for flip, values in embeddings.items()}


def is_face_set(source: str) -> bool:
    """Whether it is a folder with train.rec, or a .rec file."""
    return os.path.exists(os.path.join(source, "train.rec")) or source.endswith(".rec")


def labelled_photos(source: str, most: Optional[int] = None) -> Tuple[Iterable[np.ndarray], np.ndarray]:
    """(photos, people) of a face set or a folder of identities: RGB arrays, streamed, and numbers 0…P−1.

    most: at most so many photos, spread evenly over the set.
    """
    if is_face_set(source):
        index = RecordIndex.open(source)
        order, _ = index.groups()
        chosen = order[_spread(len(order), most)]
        labels = index.labels[chosen]
        photos: Iterable[np.ndarray] = (decode_rgb(image) for _, _, image in index.images(chosen))
    else:
        paths, names = read_identities(source)
        places = _spread(len(paths), most)
        labels, photos = np.asarray(names)[places], load_photos([paths[place] for place in places])
    return photos, np.unique(labels, return_inverse=True)[1]


def _spread(count: int, most: Optional[int]) -> np.ndarray:
    if most is None or count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def all_pairs(embeddings: np.ndarray, people: np.ndarray, name: str = "photos") -> ScoredPairs:
    """Every pair of photos scored. embeddings: (n, d), not normalised; people: (n,) numbers 0…P−1."""
    unit = unit_vectors(embeddings, name).astype(np.float32)
    same, different, owners = [], [], []
    for row in range(len(unit) - 1):
        scores = unit[row + 1 :] @ unit[row]
        alike = people[row + 1 :] == people[row]
        same.append(scores[alike])
        different.append(scores[~alike])
        others = people[row + 1 :][~alike].astype(np.int32)
        owners.append(np.stack([np.full_like(others, people[row]), others], 1))
    if not different:
        raise UserError(f"{name}: one photo makes no pair")
    return ScoredPairs(np.concatenate(same), np.concatenate(different), np.concatenate(owners), np.bincount(people))
