"""Error rates of scored pairs, exact, from one sort: no grid of thresholds, ties kept together.

A pair is accepted when its score is at least the threshold. TAR is the share of same pairs
accepted, FAR the share of different pairs accepted. Equal scores are accepted together.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

FAR_LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclasses.dataclass(frozen=True)
class Rates:
    """Error rates of scored pairs, between 0 and 1.

    tar_at_far: by FAR level; None where there are fewer than 1/FAR different pairs.
    """

    tar_at_far: Dict[float, Optional[float]]
    eer: float
    auc: float
    num_same: int
    num_different: int

    def to_json(self) -> Dict[str, Any]:
        """Plain values; FAR levels become texts such as "1e-03"."""
        plain = dataclasses.asdict(self)
        plain["tar_at_far"] = {f"{far:.0e}": tar for far, tar in self.tar_at_far.items()}
        return plain


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


def checked_scores(scores: np.ndarray, same: np.ndarray, name: str) -> Tuple[np.ndarray, np.ndarray]:
    """Scores as float64 (P,) and labels as bool (P,). Raises UserError when they do not match or one is not finite."""
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if scores.shape != same.shape or scores.ndim != 1:
        raise UserError(f"{name}: {scores.shape} scores for {same.shape} labels")
    if not np.isfinite(scores).all():
        raise UserError(f"{name}: the score of pair {np.flatnonzero(~np.isfinite(scores))[0]} is not finite")
    return scores, same


def error_rates(scores: np.ndarray, same: np.ndarray, name: str = "pairs") -> Rates:
    """TAR at FAR, EER and AUC of scored pairs, without folds. scores, same: (P,).

    Raises UserError when a score is not finite, or all pairs are same or all different.
    """
    _, ranked, ranked_same = sort_scores(*checked_scores(scores, same, name))
    return rates_of(sorted_roc(ranked, ranked_same), name)


def rates_of(roc: Roc, name: str = "pairs") -> Rates:
    """The rates of operating points. Raises UserError when all pairs are same or all different."""
    if not roc.num_same or not roc.num_different:
        raise UserError(f"{name}: {roc.num_same} same and {roc.num_different} different pairs; both kinds are needed")
    levels = {far: tar_at_far(roc, far) for far in FAR_LEVELS}
    return Rates(levels, equal_error_rate(roc), area_under(roc), roc.num_same, roc.num_different)
