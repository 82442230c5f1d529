"""Calibration: thresholds at stated false accept rates, from the scores of labelled pairs.

A threshold that accepts k of N different pairs has the measured FAR k/N. An interval of the true
FAR stands beside it. FARs below 1/N cannot be measured.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from arcface_mx.metrics.intervals import binomial_interval, identity_interval
from arcface_mx.metrics.similarity import cosine_blocks, unit_vectors
from arcface_mx.metrics.verification import FAR_LEVELS, allowed_accepts, checked_scores
from arcface_mx.util.errors import UserError

# Stored scores: the highest ones, then more of them, spaced evenly in log rank.
EXACT_RANKS, MORE_RANKS = 200, 400


class PairScores(NamedTuple):
    """Cosines of same and of different pairs.

    Attributes
    ----------
    same, different : ndarray
        One cosine for each pair.
    identities : ndarray of int, shape (len(different), 2), optional
        The two identities of each different pair, where they are known.
    images_per_identity : ndarray of int, shape (n,), optional
    """

    same: np.ndarray
    different: np.ndarray
    identities: Optional[np.ndarray] = None
    images_per_identity: Optional[np.ndarray] = None


@dataclasses.dataclass(frozen=True)
class Level:
    """A threshold and how often it was wrong. A pair is accepted if its score ≥ threshold.

    Parameters
    ----------
    far : float
        The FAR that was asked for; the measured one is not higher.
    threshold : float
    accepted, different : int
        `accepted` of `different` different pairs were accepted.
    low, high : float
        95 % interval of the true FAR.
    tar : float
        Share of the same pairs that were accepted.
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
    """Thresholds of a model with one kind of flip test.

    Parameters
    ----------
    num_same, num_different : int
        Number of pairs of each kind.
    interval : {"pairs", "identities"}
        What the intervals were computed from.
    levels : dict
        `Level` by FAR; None where there are fewer than 1 / FAR different pairs.
    ranks, scores : tuple
        The k-th highest scores of the different pairs for chosen k, from which thresholds at other
        rates follow.
    """

    num_same: int
    num_different: int
    interval: str
    levels: Dict[float, Optional[Level]]
    ranks: Tuple[int, ...]
    scores: Tuple[float, ...]

    def level(self, far: float) -> Level:
        """Return the level of one of the measured FARs.

        Parameters
        ----------
        far : float
            False accept rate, in 0 to 1.

        Returns
        -------
        Level

        Raises
        ------
        UserError
            If this FAR was not measured.
        """
        level = next((level for key, level in self.levels.items() if abs(key - far) < 1e-6 * key), None)
        if level is None:
            known = ", ".join(f"{key:g}" for key, level in self.levels.items() if level)
            raise UserError(f"FAR {far:g}: {not_measurable(self.num_different)}; measured are {known or 'none'}")
        return level

    def threshold(self, far: float) -> float:
        """Return a threshold of measured FAR at most `far`.

        Parameters
        ----------
        far : float
            False accept rate, in 0 to 1.

        Returns
        -------
        float

        Raises
        ------
        UserError
            If `far` is below one different pair.
        """
        allowed = allowed_accepts(far, self.num_different)
        if allowed < 1:
            raise UserError(
                f"a false match rate of {far:.1e} is {not_measurable(self.num_different)}; "
                f"calibrate with at least {int(np.ceil(1 / far))}"
            )
        after = int(np.searchsorted(self.ranks, allowed, side="right"))
        passing = self.scores[after - 1]
        if after < len(self.ranks) and self.ranks[after] == allowed + 1 and self.scores[after] < passing:
            return self.scores[after] + (passing - self.scores[after]) / 2
        # The next score is equal or was not stored: accept less rather than more than allowed.
        return float(np.nextafter(passing, np.inf))


def not_measurable(pairs: int) -> str:
    """The part of messages that says why a FAR has no threshold."""
    return f"not measurable with {pairs} different pairs"


def all_pair_scores(embeddings: np.ndarray, identities: np.ndarray, name: str = "images") -> PairScores:
    """Score every pair of images of a labelled set.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        They need not be normalised.
    identities : ndarray of int, shape (n,)
        Numbers from 0, without gaps.
    name : str
        What error messages call the images.

    Returns
    -------
    PairScores

    Raises
    ------
    UserError
        If there are fewer than two images, or an embedding is zero or not finite.
    """
    unit = unit_vectors(embeddings, name).astype(np.float32)
    if len(unit) < 2:
        raise UserError(f"{name}: a pair needs two images, found {len(unit)}")
    same, different, pairs = [], [], []
    for rows, columns, cosines in cosine_blocks(unit):
        equal = identities[rows][:, None] == identities[columns]
        same.append(cosines[equal & (cosines > -np.inf)])
        first, second = np.nonzero(~equal & (cosines > -np.inf))
        different.append(cosines[first, second])
        pairs.append(np.stack([identities[rows][first], identities[columns][second]], axis=1).astype(np.int32))
    return PairScores(np.concatenate(same), np.concatenate(different), np.concatenate(pairs), np.bincount(identities))


def calibrate(pairs: PairScores, name: str = "pairs") -> Calibration:
    """Thresholds at the FARs of `verification.FAR_LEVELS`.

    Parameters
    ----------
    pairs : PairScores
    name : str
        What error messages call the pairs.

    Returns
    -------
    Calibration

    Raises
    ------
    UserError
        If there are no pairs of one kind, or a score is not finite.
    """
    labels = np.repeat([True, False], [len(pairs.same), len(pairs.different)])
    checked_scores(np.concatenate([pairs.same, pairs.different]), labels, name)
    falling = np.sort(np.asarray(pairs.different, np.float64))[::-1]
    ranks = _stored_ranks(len(falling))
    return Calibration(
        num_same=len(pairs.same),
        num_different=len(falling),
        interval="pairs" if pairs.identities is None else "identities",
        levels={far: _level(far, falling, pairs) for far in FAR_LEVELS},
        ranks=tuple(ranks),
        scores=tuple(float(falling[rank - 1]) for rank in ranks),
    )


def _stored_ranks(count: int) -> List[int]:
    spaced = np.geomspace(1, count, MORE_RANKS).round().astype(int)
    return sorted(set(range(1, min(count, EXACT_RANKS) + 1)) | set(spaced.tolist()))


def _level(far: float, falling: np.ndarray, pairs: PairScores) -> Optional[Level]:
    allowed = allowed_accepts(far, len(falling))
    if allowed < 1:
        return None
    # The highest score that must not pass; its ties must not pass either.
    refused = falling[min(allowed, len(falling) - 1)]
    accepted = int(np.searchsorted(-falling, -refused, side="left"))
    # The threshold lies halfway to the next score of either kind, so that rounding does not matter.
    passing = pairs.same[pairs.same > refused]
    next_same = float(passing.min()) if len(passing) else refused + 2e-6
    next_different = float(falling[accepted - 1]) if accepted else np.inf
    threshold = float(refused + (min(next_same, next_different) - refused) / 2)
    if pairs.identities is None or pairs.images_per_identity is None:
        low, high = binomial_interval(accepted, len(falling))
    else:
        low, high = identity_interval(pairs.identities[pairs.different >= threshold], pairs.images_per_identity)
    return Level(far, threshold, accepted, len(falling), low, high, float(np.mean(pairs.same >= threshold)))
