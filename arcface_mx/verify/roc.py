"""Error rates of scored pairs, exact, from one sort: no grid of thresholds, ties kept together.

A pair is accepted when its score is at least the threshold. TAR is the share of same pairs
accepted, FAR the share of different pairs accepted. Equal scores are accepted together.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import numpy as np

FAR_LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


class Roc(NamedTuple):
    """K + 1 operating points, from "accept nothing" to "accept all".

    thresholds: (K,) distinct scores, falling; point k + 1 accepts scores ≥ thresholds[k].
    accepted_same, accepted_different: (K + 1,) counts; point 0 accepts nothing.
    """

    thresholds: np.ndarray
    accepted_same: np.ndarray
    accepted_different: np.ndarray

    @property
    def num_same(self) -> int:
        return int(self.accepted_same[-1])

    @property
    def num_different(self) -> int:
        return int(self.accepted_different[-1])

    @property
    def tar(self) -> np.ndarray:
        return self.accepted_same / max(1, self.num_same)

    @property
    def far(self) -> np.ndarray:
        return self.accepted_different / max(1, self.num_different)


def sort_scores(scores: np.ndarray, same: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, scores, same), best score first."""
    order = np.argsort(-scores, kind="stable")
    return order, scores[order], same[order]


def sorted_roc(scores: np.ndarray, same: np.ndarray) -> Roc:
    """The operating points of scores that fall already. scores: (P,), same: (P,) bool."""
    last_of_ties = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    accepted_same = np.cumsum(same)[last_of_ties]
    start = np.zeros(1, np.int64)
    return Roc(
        scores[last_of_ties],
        np.concatenate([start, accepted_same]),
        np.concatenate([start, last_of_ties + 1 - accepted_same]),
    )


def tar_at_far(roc: Roc, far: float) -> Optional[float]:
    """The largest TAR with at most this FAR; None when fewer than 1/far different pairs exist.

    Below one accepted pair the answer would say nothing about FAR, only about one pair's luck.
    """
    allowed = int(np.floor(far * roc.num_different + 1e-9))  # 1e-3 · 3000 is 3, in floats too
    if allowed < 1 or not roc.num_same:
        return None
    point = int(np.searchsorted(roc.accepted_different, allowed, side="right")) - 1
    return float(roc.tar[point])


def equal_error_rate(roc: Roc) -> float:
    """The rate where FAR = 1 − TAR, on the straight lines between operating points."""
    gap = roc.far - (1.0 - roc.tar)  # rises from −1 to 1
    above = int(np.argmax(gap >= 0))
    if gap[above] == 0:
        return float(roc.far[above])
    below = above - 1
    share = -gap[below] / (gap[above] - gap[below])
    return float(roc.far[below] + share * (roc.far[above] - roc.far[below]))


def area_under(roc: Roc) -> float:
    """Area under TAR over FAR: the chance that a same pair outscores a different one, ties half."""
    steps = np.diff(roc.far) * (roc.tar[1:] + roc.tar[:-1])
    return float(steps.sum() / 2)
