"""Whether a model takes its input as it is given: other conventions are tried on pairs of a verification set."""

from __future__ import annotations

import logging
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.data.images import decode_rgb
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.model.convention import ASSUMED, ORDERS, RAW, Convention
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.verify.images import evenly_spread

LOGGER = logging.getLogger(__name__)
NUM_PAIRS, MIN_PAIRS = 200, 20
MIN_GAIN = 0.02  # of accuracy
RESAMPLES, CONFIDENCE = 1000, 0.975  # of the bootstrap of d'


class Suspicion(NamedTuple):
    """A convention that separates same from different pairs better than the one in use."""

    convention: Convention
    accuracy: float
    accuracy_in_use: float
    pairs: int


def warn_of_convention(embedder: Embedder, pairs: PairSet) -> None:
    """Log a warning if another convention suits the model better, unless the model's own attributes state it.

    Each embedder is tried once, on the first set that it embeds.
    """
    if embedder.convention_is_known:
        return
    embedder.convention_is_known = True
    try:
        found = better_convention(embedder, pairs)
    except (UserError, ValueError):
        return  # a bad image or embedding is reported when the whole set is embedded, with its number
    if found:
        LOGGER.warning(
            "%s on %s: on %d pairs its accuracy is %.1f %% with the input %s and %.1f %% with %s, which also separates "
            "them better; state what it takes by `input`",
            embedder.name,
            pairs.path,
            found.pairs,
            100 * found.accuracy_in_use,
            embedder.convention,
            100 * found.accuracy,
            found.convention,
        )


def better_convention(embedder: Embedder, pairs: PairSet, limit: int = NUM_PAIRS) -> Optional[Suspicion]:
    """Try the usual conventions on at most `limit` pairs; None if the one in use is the best.

    Notes
    -----
    The candidates are RGB and BGR, from 0 to 255 and from -1 to 1. A scale of 128 instead of 127.5
    changes the input by 0.4 %, which no set of pairs shows. The best candidate separates the scores of
    same and different pairs best (d', the difference of their means in standard deviations). It is
    returned if its accuracy is better by more than two points, or if its accuracy is not lower and its
    d' is larger in 97.5 % of 1,000 bootstrap samples of the pairs. The second case finds exchanged colours,
    which cost a good network less than a point on LFW.
    """
    rows = _both_kinds(pairs.same, limit)
    if len(rows) < MIN_PAIRS or len(set(pairs.same[rows])) < 2:
        return None
    same, in_use = pairs.same[rows], embedder.convention
    scores = _scores(embedder, pairs, rows, [in_use] + [other for other in _candidates() if not _near(other, in_use)])
    best = max(scores, key=lambda convention: float(separation(scores[convention], same)))
    if best == in_use:
        return None
    accuracy, accuracy_in_use = _accuracy(scores[best], same), _accuracy(scores[in_use], same)
    gain = accuracy - accuracy_in_use
    if gain <= MIN_GAIN and (gain < 0 or not _separates_better(scores[best], scores[in_use], same)):
        return None
    return Suspicion(best, accuracy, accuracy_in_use, len(rows))


def separation(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return d' of scores (..., n) of pairs (..., n): the difference of the means in standard deviations."""
    groups = [np.where(kind, scores, np.nan) for kind in (same, ~same)]
    means, variances = [np.nanmean(group, -1) for group in groups], [np.nanvar(group, -1) for group in groups]
    return np.asarray((means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 2 + 1e-12))


def _candidates() -> List[Convention]:
    return [scale._replace(order=order) for scale in (RAW, ASSUMED) for order in ORDERS]


def _near(left: Convention, right: Convention) -> bool:
    """Whether two conventions differ by less than a set of pairs shows."""
    return left.order == right.order and bool(np.allclose(left[1:], right[1:], rtol=0.02))


def _both_kinds(same: np.ndarray, limit: int) -> np.ndarray:
    """Return the numbers of at most `limit` pairs, spread evenly, half of them of the same identity."""
    kinds = [np.flatnonzero(kind) for kind in (same, ~same)]
    return np.sort(np.concatenate([rows[evenly_spread(len(rows), limit // 2)] for rows in kinds]))


def _scores(
    embedder: Embedder, pairs: PairSet, rows: np.ndarray, conventions: List[Convention]
) -> Dict[Convention, np.ndarray]:
    """Return the cosines of these pairs by convention; without those that give no usable embedding."""
    needed = np.unique([pairs.left[rows], pairs.right[rows]])
    wanted = set(needed.tolist())
    images = [decode_rgb(image) for number, image in enumerate(pairs.images()) if number in wanted]
    left, right = (np.searchsorted(needed, side[rows]) for side in (pairs.left, pairs.right))
    in_use, scores = embedder.convention, {}
    try:
        for convention in conventions:
            embedder.convention = convention
            try:
                scores[convention] = pair_scores(embedder.embed(images), left, right, embedder.name)
            except UserError:
                if convention == in_use:
                    raise
    finally:
        embedder.convention = in_use
    return scores


def _accuracy(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the accuracy at the best threshold."""
    ordered = same[np.argsort(-scores, kind="stable")]
    accepted = np.concatenate([[0], np.cumsum(np.where(ordered, 1, -1))])
    return float((accepted.max() + (~same).sum()) / len(same))


def _separates_better(scores: np.ndarray, others: np.ndarray, same: np.ndarray) -> bool:
    """Whether d' is larger in nearly all bootstrap samples of the same pairs and of the different pairs."""
    random = np.random.RandomState(0)
    kinds = [np.flatnonzero(kind) for kind in (same, ~same)]
    rows = np.concatenate([random.choice(kind, (RESAMPLES, len(kind))) for kind in kinds], 1)
    return bool(np.mean(separation(scores[rows], same[rows]) > separation(others[rows], same[rows])) >= CONFIDENCE)
