"""MegaFace: identification and verification of probes among very many distractors, which need not stay in memory.

Every image of a probe identity is in turn the gallery entry of its identity's other images, and competes
with all distractors (Kemelmacher-Shlizerman et al., "The MegaFace Benchmark", CVPR 2016).
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List, Optional

import numpy as np

from arcface_mx.metrics.identification import TIE
from arcface_mx.metrics.similarity import UnitRows, cosine_blocks, unit_vectors
from arcface_mx.metrics.templates import Ids
from arcface_mx.metrics.verification import allowed_accepts, plain_values
from arcface_mx.util.errors import UserError

RANKS = (1, 5, 10)
FARS = (1e-4, 1e-5, 1e-6)
BLOCK = 1024, 8192


@dataclasses.dataclass(frozen=True)
class MegaFaceResult:
    """Rates of MegaFace.

    Parameters
    ----------
    rank : dict
        Share of the pairs (gallery image, probe) whose gallery image is among the k most similar
        entries, by k.
    tar_at_far : dict
        TAR over these pairs, at a FAR over all pairs of a probe and a distractor; None where there are
        fewer than 1 / FAR of them.
    probes, identities, pairs, distractors : int
        Numbers of each.
    """

    rank: Dict[int, float]
    tar_at_far: Dict[float, Optional[float]]
    probes: int
    identities: int
    pairs: int
    distractors: int

    def to_json(self) -> Dict[str, object]:
        """Return plain values, with strings as keys.

        Returns
        -------
        dict
        """
        return plain_values(self)


class MegaFace:
    """Compares probes with distractors as they arrive.

    Parameters
    ----------
    probes : ndarray of shape (P, d)
    identities : sequence of length P
    distractors : int
        How many distractors will be added.

    Raises
    ------
    UserError
        If no identity has two probes, or an embedding is zero or not finite.
    """

    def __init__(self, probes: np.ndarray, identities: Ids, distractors: int) -> None:
        self._unit = unit_vectors(np.asarray(probes, np.float32), "probes")
        names, self._identity = np.unique(np.asarray(identities), return_inverse=True)
        self._identities, self._expected, self._seen = len(names), distractors, 0
        self._rows = [
            rows for rows in (np.flatnonzero(self._identity == k) for k in range(len(names))) if len(rows) > 1
        ]
        if not self._rows:
            raise UserError("probes: no identity has two images; a probe needs a mate")
        if distractors < 1:
            raise UserError("distractors: none are given")
        self._top = np.full((len(self._unit), max(RANKS)), -np.inf, np.float32)  # of the distractors, by probe
        self._limit = allowed_accepts(max(FARS), len(self._unit) * distractors) + 1
        self._alarms: List[np.ndarray] = []
        self._lowest = -np.inf

    def add(self, distractors: np.ndarray) -> None:
        """Compare the next distractors with all probes.

        Parameters
        ----------
        distractors : ndarray of shape (b, d)

        Raises
        ------
        UserError
            If an embedding is zero or not finite.
        """
        for rows, _, scores in cosine_blocks(self._unit, UnitRows(distractors, "distractors"), BLOCK):
            both = np.concatenate([self._top[rows], scores], axis=1)
            self._top[rows] = np.partition(both, -max(RANKS), axis=1)[:, -max(RANKS) :]
            self._alarms.append(scores[scores > self._lowest])
            if sum(map(len, self._alarms)) > 2 * self._limit + scores.size:
                self._prune()
        self._seen += len(distractors)

    def _prune(self) -> None:
        """Keep the highest scores that a threshold can depend on."""
        scores = np.concatenate(self._alarms)
        if len(scores) > self._limit:
            scores = np.partition(scores, -self._limit)[-self._limit :]
            self._lowest = float(np.nextafter(scores.min(), -np.inf, dtype=np.float32))
        self._alarms = [scores]

    def result(self) -> MegaFaceResult:
        """Return the rates over all distractors.

        Returns
        -------
        MegaFaceResult

        Raises
        ------
        UserError
            If distractors are missing.
        """
        if self._seen != self._expected:
            raise UserError(f"distractors: {self._seen} were compared, but {self._expected} were announced")
        self._prune()
        falling = -np.sort(-self._alarms[0])
        mates, above = [], []
        for rows in self._rows:
            cosines = self._unit[rows] @ self._unit[rows].T
            probe, entry = np.nonzero(~np.eye(len(rows), dtype=bool))
            score = cosines[probe, entry]
            mates.append(score)
            above.append(np.count_nonzero(self._top[rows][probe] >= (score - np.float32(TIE))[:, None], axis=1))
        score, place = np.concatenate(mates), np.concatenate(above) + 1
        tar: Dict[float, Optional[float]] = {}
        for far in FARS:
            allowed = allowed_accepts(far, len(self._unit) * self._seen)
            refused = falling[allowed] if 1 <= allowed < len(falling) else -np.inf
            tar[far] = float(np.mean(score > refused)) if allowed >= 1 else None
        rank = {k: float(np.mean(place <= k)) for k in RANKS}
        return MegaFaceResult(rank, tar, len(self._unit), self._identities, len(score), self._seen)
