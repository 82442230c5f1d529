"""Identification: find the identity of probes in a gallery, among distractors, by exact search.

Closed set: rank-k is the share of probes whose mate is among the k most similar entries. Open set:
DIR at FAR is the share of known probes whose mate comes first and scores above the threshold at
which the share FAR of the unknown probes raises a false alarm.

Scores are cosines in float32. Two scores that differ by less than TIE are equal, and equal scores
count against the probe.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.metrics.similarity import UnitRows, blocks, cosine_blocks, unit_vectors
from arcface_mx.metrics.templates import Ids
from arcface_mx.metrics.verification import FAR_LEVELS, allowed_accepts, plain_values
from arcface_mx.util.errors import UserError

TIE = 1e-6
BLOCK = 1024, 8192  # probes and entries normalised and compared at a time: 32 MB of scores
RANKS = (1, 5, 10, 100)


class Search(NamedTuple):
    """Result of comparing P probes with a gallery; each field has shape (P,)."""

    mate: np.ndarray  # cosine with the entry of the probe's identity, −inf if the gallery has none
    above: np.ndarray  # how many other entries score at least as high
    best_other: np.ndarray  # the highest score of the other entries


@dataclasses.dataclass(frozen=True)
class Identification:
    """Closed-set and open-set identification rates.

    Parameters
    ----------
    rank : dict
        Share of known probes by k.
    dir_at_far : dict
        DIR by FAR level; None where there are fewer than 1 / FAR unknown probes.
    gallery, distractors, known, unknown : int
        Number of gallery entries, distractors, and probes whose identity the gallery has or lacks.
    """

    rank: Dict[int, float]
    dir_at_far: Dict[float, Optional[float]]
    gallery: int
    distractors: int
    known: int
    unknown: int

    def to_json(self) -> Dict[str, object]:
        """Return plain values, with strings as keys.

        Returns
        -------
        dict
        """
        return plain_values(self)


def identify(
    gallery: np.ndarray,
    gallery_ids: Ids,
    probes: np.ndarray,
    probe_ids: Ids,
    distractors: Optional[np.ndarray] = None,
    ranks: Sequence[int] = RANKS,
) -> Identification:
    """Closed-set and open-set identification rates.

    Parameters
    ----------
    gallery : ndarray of shape (G, d)
        One embedding for each identity; `templates.pool` averages several images.
    gallery_ids : sequence of length G
    probes : ndarray of shape (P, d)
        Probes whose identity the gallery lacks are the unknown probes of the open set.
    probe_ids : sequence of length P
    distractors : ndarray of shape (D, d), optional
        Further entries, which are nobody's mate.
    ranks : sequence of int
        The k of the rank-k rates.

    Returns
    -------
    Identification

    Raises
    ------
    UserError
        If an identity has two gallery entries, no probe is known, shapes do not match, or an
        embedding is zero or not finite.

    Notes
    -----
    Embeddings need not be normalised and may be memory-mapped: they are read in blocks.
    """
    mate, above, best_other = search(gallery, gallery_ids, probes, probe_ids, distractors)
    known = np.isfinite(mate)
    if not known.any():
        raise UserError("identification: the gallery has no identity of the probes; are the names the same?")
    place = above[known] + 1
    alarms = np.sort(best_other[~known])[::-1]
    return Identification(
        rank={k: float(np.mean(place <= k)) for k in ranks},
        dir_at_far={far: _dir_at_far(mate[known], place == 1, alarms, far) for far in FAR_LEVELS},
        gallery=len(gallery),
        distractors=0 if distractors is None else len(distractors),
        known=int(known.sum()),
        unknown=int((~known).sum()),
    )


def search(
    gallery: np.ndarray, gallery_ids: Ids, probes: np.ndarray, probe_ids: Ids, distractors: Optional[np.ndarray] = None
) -> Search:
    """Compare every probe with every entry; the parameters are those of `identify`."""
    mates = _mate_rows(gallery, gallery_ids, probes, probe_ids)
    others = gallery[:0] if distractors is None else distractors
    for array in (gallery, others):
        if probes.ndim != 2 or array.ndim != 2 or probes.shape[1] != array.shape[1]:
            raise UserError(
                f"identification: embeddings of shapes {probes.shape} and {array.shape}; both must be (n, d)"
            )
    result = Search(np.full(len(probes), -np.inf), np.zeros(len(probes), np.int64), np.full(len(probes), -np.inf))
    unit_probes = UnitRows(probes, "probes")
    for rows in blocks(len(probes), BLOCK[0]):
        unit, mate = unit_probes[rows], mates[rows]
        known = np.flatnonzero(mate >= 0)
        cosines = np.einsum("pd,pd->p", unit[known], unit_vectors(gallery[mate[known]], "gallery"))
        result.mate[rows][known] = cosines
        lowest = (result.mate[rows] - TIE).astype(np.float32)[:, None]
        for entries, offset in ((UnitRows(gallery, "gallery"), 0), (UnitRows(others, "distractors"), len(gallery))):
            for _, columns, scores in cosine_blocks(unit, entries, BLOCK):
                column = mate - offset - columns.start
                inside = np.flatnonzero((column >= 0) & (column < scores.shape[1]))
                scores[inside, column[inside]] = -np.inf  # the mate is not another entry
                result.above[rows] += np.count_nonzero(scores >= lowest, axis=1)
                np.maximum(result.best_other[rows], scores.max(axis=1), out=result.best_other[rows])
    return result


def _mate_rows(gallery: np.ndarray, gallery_ids: Ids, probes: np.ndarray, probe_ids: Ids) -> np.ndarray:
    """The gallery row of each probe's identity, −1 where there is none, shape (P,)."""
    for name, rows, ids in (("gallery", gallery, gallery_ids), ("probes", probes, probe_ids)):
        if len(rows) != len(ids) or not len(ids):
            raise UserError(f"{name}: {len(rows)} embeddings for {len(ids)} ids")
    row_of = {identity: row for row, identity in enumerate(np.asarray(gallery_ids).tolist())}
    if len(row_of) != len(gallery):
        raise UserError(f"gallery: {len(gallery)} entries of {len(row_of)} identities; average them to one an identity")
    return np.asarray([row_of.get(identity, -1) for identity in np.asarray(probe_ids).tolist()], np.int64)


def _dir_at_far(mate: np.ndarray, first: np.ndarray, alarms: np.ndarray, far: float) -> Optional[float]:
    """DIR at one FAR. alarms: the unknown probes' highest scores in falling order."""
    allowed = allowed_accepts(far, len(alarms))
    if allowed < 1:
        return None
    # A score is accepted above the highest alarm that must not pass.
    threshold = alarms[allowed] if allowed < len(alarms) else -np.inf
    return float(np.mean(first & (mate > threshold + TIE)))
