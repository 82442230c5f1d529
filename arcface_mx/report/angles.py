"""Angle statistics of a run: its class centres, its training images and its test sets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
from arcface_mx.verify.images import evenly_spread
from arcface_mx.verify.sets import embed_set, set_name

if TYPE_CHECKING:
    from arcface_mx.model import Embedder


@dataclass(frozen=True)
class RunAngles:
    """Angle statistics of a run folder."""

    run: str
    centres: Optional[CentreAngles]  # None without class centres or without a checkpoint
    train: Spread  # Intra1 and Inter1 of the paper
    tests: Dict[str, Spread] = field(default_factory=dict)  # Intra2 and Inter2 by set

    def to_json(self) -> Dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def measure_run(
    run: str, embedder: Embedder, tests: Sequence[str] = (), data: Optional[str] = None, max_images: int = 0
) -> RunAngles:
    """Embed the training images of a run and its test sets, at most `max_images` of each (0: all).

    A test set is a verification set (`.bin`) or a folder with train.rec. `data` is the training set
    if it has moved. Raises UserError if a file is missing or does not fit.
    """
    config = read_config(run)
    labels, embeddings = embed_records(embedder, data or config.data.data, max_images)
    weight = class_centres_of(run)
    # A loss with several centres per class has no W_j to measure.
    centres = (
        None
        if weight is None or len(weight) <= labels.max() or config.loss.centres_per_class > 1
        else centre_angles(weight, embeddings, labels)
    )
    return RunAngles(
        run,
        centres,
        spread(embeddings, labels, run),
        {set_name(test): _spread_of_test(embedder, test, max_images) for test in tests},
    )


def class_centres_of(run: str, step: Optional[int] = None) -> Optional[np.ndarray]:
    """Class centres W (n, d) of the checkpoint of a step, or the latest; None without checkpoint or centres."""
    state = checkpoint.latest(run) if step is None else checkpoint.load(checkpoint.checkpoint_path(run, step))
    if state is None or CENTRES not in state.arg_params:
        return None
    return state.arg_params[CENTRES].asnumpy()


def embed_records(embedder: Embedder, folder: str, max_images: int) -> Tuple[np.ndarray, np.ndarray]:
    """Labels and embeddings of a face set, at most `max_images` evenly spread (0: all)."""
    index = RecordIndex.open(folder)
    chosen = evenly_spread(len(index), max_images)
    return index.labels[chosen], embed_positions(embedder, index, folder, chosen)


def embed_positions(embedder: Embedder, index: RecordIndex, folder: str, chosen: np.ndarray) -> np.ndarray:
    """Embeddings of the images at the positions `chosen` of the face set in `folder`."""
    images = (image for _, _, image in index.images(chosen))
    return embedder.embed(progress(images, set_name(folder), "image", len(chosen)))


def _spread_of_test(embedder: Embedder, test: str, max_images: int) -> Spread:
    if not test.endswith(".bin"):
        labels, embeddings = embed_records(embedder, test, max_images)
        return spread(embeddings, labels, test)
    pairs = read_pairs(test)
    images, labels = linked_identities(pairs.left, pairs.right, pairs.same, pairs.num_images)
    if not len(images):
        raise UserError(f"{test}: has no same pair, so that its identities are unknown")
    embeddings = embed_set(embedder, pairs, flip_test=False)["none"]
    return spread(embeddings[images], labels, test)
