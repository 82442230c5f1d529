"""Thresholds at stated false accept rates, with what stands behind each: pairs, and an interval.

From the scores of N different-person pairs, sorted from the top, a threshold that lets the k-th but
not the (k + 1)-th through has the measured FAR k/N. Its true FAR lies, with 95 % probability,
between the 2.5 % quantile of Beta(k, N − k + 1) and the 97.5 % quantile of Beta(k + 1, N − k)
(Clopper and Pearson, 1934), if the pairs are independent. Pairs of a labelled set share people, so
there the interval comes from drawing people instead: see `people_interval`. FARs under 1/N cannot
be measured, and are not.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.metrics.verification import FAR_LEVELS, checked_scores
from arcface_mx.util.errors import UserError

CONFIDENCE = 0.95
RESAMPLES = 1000
EXACT_RANKS, MORE_RANKS = 200, 400  # stored scores: the highest ones, then spaced evenly in log rank


class ScoredPairs(NamedTuple):
    """Cosines of pairs. people: (D, 2) whose two faces each different pair shows, where that is known."""

    same: np.ndarray
    different: np.ndarray
    people: Optional[np.ndarray] = None
    images_per_identity: Optional[np.ndarray] = None


@dataclasses.dataclass(frozen=True)
class Level:
    """A threshold for cosines (accept: score ≥ threshold), and how often it was wrong.

    far: the largest false accept rate asked for. accepted: of `different` different-person pairs.
    low, high: interval of its true FAR. tar: share of same-person pairs accepted.
    """

    far: float
    threshold: float
    accepted: int
    different: int
    low: float
    high: float
    tar: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What one kind of crop (single, or with the mirror image added) was measured to do.

    levels: by FAR; None where there are fewer than 1/FAR different pairs. ranks, scores: the
    different pairs' k-th highest scores at chosen k, for thresholds at other rates.
    """

    num_same: int
    num_different: int
    interval: str  # what the intervals were made from: "pairs" or "people"
    levels: Dict[float, Optional[Level]]
    ranks: Tuple[int, ...]
    scores: Tuple[float, ...]

    def level(self, far: float) -> Level:
        """The level of a stated FAR. Raises UserError where it was not measured."""
        found = next((level for key, level in self.levels.items() if abs(key / far - 1) < 1e-6), None)
        if found is None:
            known = ", ".join(f"{key:g}" for key, level in self.levels.items() if level)
            raise UserError(f"FAR {far:g}: {not_measurable(self.num_different)}; measured are {known or 'none'}")
        return found

    def threshold(self, far: float) -> float:
        """A threshold whose measured FAR is at most `far`, any rate ≥ 1/N. Raises UserError below that."""
        allowed = int(np.floor(far * self.num_different + 1e-9))
        if allowed < 1:
            raise UserError(
                f"a false match rate of {far:.1e} is {not_measurable(self.num_different)}; calibrate with at least {int(np.ceil(1 / far))}"
            )
        after = int(np.searchsorted(self.ranks, allowed, side="right"))
        passing = self.scores[after - 1]
        if after < len(self.ranks) and self.ranks[after] == allowed + 1 and self.scores[after] < passing:
            return self.scores[after] + (passing - self.scores[after]) / 2
        # Scores of equal height, or scores between two stored ones: never more accepted than allowed.
        return float(np.nextafter(passing, np.inf))


def not_measurable(pairs: int) -> str:
    return f"not measurable with {pairs} different-person pairs"


def calibrate(pairs: ScoredPairs, name: str = "pairs") -> Calibration:
    """Levels at FAR_LEVELS. Raises UserError when a kind of pair is missing or a score is not finite."""
    labels = np.repeat([True, False], [len(pairs.same), len(pairs.different)])
    checked_scores(np.concatenate([pairs.same, pairs.different]), labels, name)
    if not len(pairs.same) or not len(pairs.different):
        raise UserError(
            f"{name}: {len(pairs.same)} same and {len(pairs.different)} different pairs; both kinds are needed"
        )
    falling = np.sort(np.asarray(pairs.different, np.float64))[::-1]
    ranks = _stored_ranks(len(falling))
    return Calibration(
        num_same=len(pairs.same),
        num_different=len(falling),
        interval="pairs" if pairs.people is None else "people",
        levels={far: _level(far, falling, pairs) for far in FAR_LEVELS},
        ranks=tuple(ranks),
        scores=tuple(float(falling[rank - 1]) for rank in ranks),
    )


def _stored_ranks(count: int) -> List[int]:
    wide = np.geomspace(1, count, MORE_RANKS).round().astype(int)
    return sorted(set(range(1, min(count, EXACT_RANKS) + 1)) | set(wide.tolist()))


def _level(far: float, falling: np.ndarray, pairs: ScoredPairs) -> Optional[Level]:
    allowed = int(np.floor(far * len(falling) + 1e-9))
    if allowed < 1:
        return None
    barred = falling[min(allowed, len(falling) - 1)]  # the highest score that must not pass; its ties neither
    accepted = int(np.searchsorted(-falling, -barred, side="left"))
    # Halfway to the next score of either kind, so that rounding moves no pair over it.
    passing = pairs.same[pairs.same > barred]
    above = min(
        float(passing.min()) if len(passing) else barred + 2e-6, float(falling[accepted - 1]) if accepted else np.inf
    )
    threshold = float(barred + (above - barred) / 2)
    if pairs.people is None or pairs.images_per_identity is None:
        low, high = pairs_interval(accepted, len(falling))
    else:
        low, high = people_interval(pairs.people[pairs.different >= threshold], pairs.images_per_identity)
    return Level(far, threshold, accepted, len(falling), low, high, float(np.mean(pairs.same >= threshold)))


def pairs_interval(accepted: int, pairs: int) -> Tuple[float, float]:
    """Clopper–Pearson interval of a rate of which `accepted` of `pairs` independent pairs were seen."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, accepted, pairs - accepted + 1) if accepted else 0.0
    high = beta.ppf(1 - tail, accepted + 1, pairs - accepted) if accepted < pairs else 1.0
    return float(low), float(high)


def people_interval(accepted: np.ndarray, images_per_identity: np.ndarray) -> Tuple[float, float]:
    """Bootstrap interval of a FAR over all pairs of a labelled set: people are drawn, with their photos.

    accepted: (A, 2) the people of each accepted different pair. images_per_identity: (P,). A person drawn
    twice counts twice against others and never against itself. Not narrower than the pairs' own.
    """
    count = len(images_per_identity)
    hits = np.zeros((count, count))
    np.add.at(hits, (accepted[:, 0], accepted[:, 1]), 1)
    draws = np.random.RandomState(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    photos = draws * images_per_identity
    pairs = (photos.sum(1) ** 2 - (photos**2).sum(1)) / 2
    rates = np.einsum("rp,pq,rq->r", draws, hits, draws, optimize=True) / np.maximum(pairs, 1)
    low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    total = int((images_per_identity.sum() ** 2 - (images_per_identity**2).sum()) // 2)
    bound = pairs_interval(len(accepted), total)
    return min(float(low), bound[0]), max(float(high), bound[1])
