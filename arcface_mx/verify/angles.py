"""The angle statistics of a run: its class centres, its training photos, its test sets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.losses.base import CENTRES
from arcface_mx.metrics.angles import CentreAngles, Spread, centre_angles, linked_identities, spread
from arcface_mx.train import checkpoint
from arcface_mx.train.folder import read_config
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import progress
from arcface_mx.verify.sets import set_name

if TYPE_CHECKING:
    from arcface_mx.model import Embedder


@dataclass(frozen=True)
class RunAngles:
    """W-EC, W-Inter (None for a loss without class centres, or a run without its checkpoint), Intra1,
    Inter1 (train) and, by set, Intra2, Inter2 (tests)."""

    run: str
    centres: Optional[CentreAngles]
    train: Spread
    tests: Dict[str, Spread] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        return {
            "run": self.run,
            "centres": self.centres.to_json() if self.centres else None,
            "train": self.train.to_json(),
            "tests": {name: value.to_json() for name, value in self.tests.items()},
        }


def measure_run(
    run: str, embedder: Embedder, tests: Sequence[str] = (), data: Optional[str] = None, most: int = 0
) -> RunAngles:
    """Embed a run's training photos (at most `most` of them, evenly spread; 0: all) and its test sets.

    tests: `.bin` sets, or folders with train.rec. data: the training set, where it has moved.
    Raises UserError where a file is missing or does not fit.
    """
    config = read_config(run)
    labels, embeddings = embed_records(embedder, data or config.data.data, most)
    weight = class_centres_of(run)
    # A loss with several centres a class has no W_j to measure.
    centres = (
        None
        if weight is None or len(weight) <= labels.max() or config.loss.centres_per_class > 1
        else centre_angles(weight, embeddings, labels)
    )
    return RunAngles(
        run,
        centres,
        spread(embeddings, labels, run),
        {_name(test): _spread_of_test(embedder, test, most) for test in tests},
    )


def class_centres_of(run: str) -> Optional[np.ndarray]:
    """W (n, d) of the run's newest checkpoint; None where there is none or the loss has no centres."""
    state = checkpoint.latest(run)
    if state is None or CENTRES not in state.arg_params:
        return None
    return state.arg_params[CENTRES].asnumpy()


def embed_records(embedder: Embedder, folder: str, most: int) -> Tuple[np.ndarray, np.ndarray]:
    """(labels, embeddings) of a face set's photos."""
    index = RecordIndex.open(folder)
    chosen = np.arange(len(index))
    if most and most < len(index):
        chosen = np.linspace(0, len(index) - 1, most).round().astype(np.int64)
    return index.labels[chosen], embed_positions(embedder, index, folder, chosen)


def embed_positions(embedder: Embedder, index: RecordIndex, folder: str, chosen: np.ndarray) -> np.ndarray:
    """Embeddings of the photos at `chosen` positions of a face set, `folder`."""
    photos = (image for _, _, image in index.images(chosen))
    return embedder.embed(progress(photos, os.path.basename(os.path.normpath(folder)), "image", len(chosen)))


def _name(test: str) -> str:
    return set_name(test) if test.endswith(".bin") else os.path.basename(os.path.normpath(test))


def _spread_of_test(embedder: Embedder, test: str, most: int) -> Spread:
    if not test.endswith(".bin"):
        labels, embeddings = embed_records(embedder, test, most)
        return spread(embeddings, labels, test)
    pairs = read_pairs(test)
    images, labels = linked_identities(pairs.left, pairs.right, pairs.same, pairs.num_images)
    if not len(images):
        raise UserError(f"{test}: holds no same pair, so no identity can be told")
    embeddings = embedder.embed(progress(pairs.pixels(), set_name(test), "image", pairs.num_images))
    return spread(embeddings[images], labels, test)
