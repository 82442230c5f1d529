"""Identification: find a probe's identity in a gallery, among distractors, blockwise and exact.

Closed set: rank-k is the share of probes whose mate is among the k most similar entries. Open set:
DIR@FAR is the share of known probes whose mate is first and scores above the threshold at which
FAR of the unknown probes raise an alarm. MegaFace: every pair of probes of one person is one
trial; the second is hidden among the distractors.

Scores are cosines in float32. Two that differ by less than TIE are equal, and equal scores count
against the probe.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.metrics.templates import Ids
from arcface_mx.metrics.verification import FAR_LEVELS
from arcface_mx.util.errors import UserError

TIE = 1e-6
PROBE_BLOCK, GALLERY_BLOCK = 1024, 8192  # 32 MB of scores at a time
RANKS = (1, 5, 10, 100)


class Search(NamedTuple):
    """What a gallery says of P probes.

    mate: (P,) cosine with the probe's own entry; −inf where the gallery has none. above: (P,) how
    many other entries score at least as high. best_other: (P,) the highest of the others.
    """

    mate: np.ndarray
    above: np.ndarray
    best_other: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(P,) whether the gallery has the probe's identity."""
        return np.isfinite(self.mate)


@dataclasses.dataclass(frozen=True)
class Identification:
    """rank: share of known probes by k. dir_at_far: by FAR; None with fewer than 1/FAR unknown probes."""

    rank: Dict[int, float]
    dir_at_far: Dict[float, Optional[float]]
    gallery: int
    distractors: int
    known: int
    unknown: int

    def to_json(self) -> Dict[str, Any]:
        """Plain values; the keys become texts."""
        plain = dataclasses.asdict(self)
        plain["rank"] = {str(k): rate for k, rate in self.rank.items()}
        plain["dir_at_far"] = {f"{far:.0e}": rate for far, rate in self.dir_at_far.items()}
        return plain


def identify(
    gallery: np.ndarray,
    gallery_ids: Ids,
    probes: np.ndarray,
    probe_ids: Ids,
    distractors: Optional[np.ndarray] = None,
    ranks: Sequence[int] = RANKS,
) -> Identification:
    """Closed-set and open-set rates.

    gallery: (G, d), one entry an identity (average several photos: `templates.mean_by_identity`).
    probes: (P, d); those whose identity the gallery lacks are the open set's unknown. distractors:
    (D, d) further entries that are nobody's mate. Arrays may be memory-mapped: they are read in
    blocks, at most GALLERY_BLOCK + PROBE_BLOCK rows at a time.

    Raises UserError when an identity stands in the gallery twice, no probe is known, sizes do not
    match, or an embedding is zero or not finite.
    """
    found = search(gallery, gallery_ids, probes, probe_ids, distractors)
    return summarise(found, len(gallery), 0 if distractors is None else len(distractors), ranks)


def search(
    gallery: np.ndarray, gallery_ids: Ids, probes: np.ndarray, probe_ids: Ids, distractors: Optional[np.ndarray] = None
) -> Search:
    """Compare every probe with every entry; see `identify` and `Search`."""
    own = _own_entries(gallery, gallery_ids, probes, probe_ids)
    _check_width(probes, gallery)
    if distractors is not None:
        _check_width(probes, distractors)
    mate = np.full(len(probes), -np.inf)
    above = np.zeros(len(probes), np.int64)
    best_other = np.full(len(probes), -np.inf)
    for rows, unit in _unit_blocks(probes, PROBE_BLOCK, "probes"):
        entry = own[rows]
        has_mate = np.flatnonzero(entry >= 0)
        mate[rows][has_mate] = np.einsum("pd,pd->p", unit[has_mate], unit_vectors(gallery[entry[has_mate]], "gallery"))
        least = (mate[rows] - TIE).astype(np.float32)
        for columns, entries in _entries(gallery, distractors):
            scores = unit @ entries.T
            # A probe's own entry is not another: take it out.
            inside = np.flatnonzero((entry >= columns.start) & (entry < columns.stop))
            scores[inside, entry[inside] - columns.start] = -np.inf
            above[rows] += np.count_nonzero(scores >= least[:, None], axis=1)
            np.maximum(best_other[rows], scores.max(axis=1), out=best_other[rows])
    return Search(mate, above, best_other)


def summarise(found: Search, gallery: int, distractors: int, ranks: Sequence[int] = RANKS) -> Identification:
    """Rates of a search. Raises UserError when the gallery knows none of the probes."""
    known = found.known
    if not known.any():
        raise UserError("identification: the gallery has no identity of the probes; are the names the same?")
    place = found.above[known] + 1
    first = place == 1
    alarms = np.sort(found.best_other[~known])[::-1]
    return Identification(
        rank={k: float(np.mean(place <= k)) for k in ranks},
        dir_at_far={far: _dir_at_far(found.mate[known], first, alarms, far) for far in FAR_LEVELS},
        gallery=gallery,
        distractors=distractors,
        known=int(known.sum()),
        unknown=int((~known).sum()),
    )


def _dir_at_far(mate: np.ndarray, first: np.ndarray, alarms: np.ndarray, far: float) -> Optional[float]:
    """alarms: the unknown probes' highest scores, falling."""
    allowed = int(np.floor(far * len(alarms) + 1e-9))
    if allowed < 1:
        return None
    # Accepted is what scores above the first alarm that is not allowed.
    threshold = alarms[allowed] if allowed < len(alarms) else -np.inf
    return float(np.mean(first & (mate > threshold + TIE)))


def megaface_ranks(probes: np.ndarray, probe_ids: Ids, distractors: np.ndarray) -> np.ndarray:
    """MegaFace's trials: (trials,) the mate's rank (1 = first) among itself and the distractors.

    A trial is an ordered pair of probes of one identity: the first looks for the second. Rank-k is
    the share of ranks ≤ k. Raises UserError when no identity has two probes.
    """
    searcher, hidden = _ordered_pairs(np.asarray(probe_ids))
    if not len(searcher):
        raise UserError("identification: no identity has two probes; MegaFace's trials need them")
    if len(np.asarray(probe_ids)) != len(probes):
        raise UserError(f"probes: {len(probes)} embeddings for {len(np.asarray(probe_ids))} ids")
    _check_width(probes, distractors)
    unit = unit_vectors(probes, "probes")
    mate = np.einsum("pd,pd->p", unit[searcher], unit[hidden])
    above = np.zeros(len(searcher), np.int64)
    bounds = np.searchsorted(searcher, np.arange(len(probes) + 1))  # searcher rises
    for _, entries in _unit_blocks(distractors, GALLERY_BLOCK, "distractors"):
        for start in range(0, len(unit), PROBE_BLOCK):
            scores = unit[start : start + PROBE_BLOCK] @ entries.T
            scores.sort(axis=1)
            for row, falling in enumerate(scores, start):
                trials = slice(bounds[row], bounds[row + 1])
                above[trials] += len(entries) - np.searchsorted(falling, mate[trials] - np.float32(TIE))
    return above + 1


def _ordered_pairs(ids: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """All ordered pairs (i, j), i ≠ j, of equal ids, sorted by i."""
    order = np.argsort(ids, kind="stable")
    _, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    first, second = [], []
    for start, count in zip(starts, counts):
        members = order[start : start + count]
        first.append(np.repeat(members, count - 1))
        second.append(np.concatenate([np.delete(members, k) for k in range(count)]))
    firsts, seconds = np.concatenate(first).astype(np.int64), np.concatenate(second).astype(np.int64)
    by_first = np.argsort(firsts, kind="stable")
    return firsts[by_first], seconds[by_first]


def _own_entries(gallery: np.ndarray, gallery_ids: Ids, probes: np.ndarray, probe_ids: Ids) -> np.ndarray:
    """(P,) each probe's entry in the gallery, −1 where it has none."""
    for name, rows, ids in (("gallery", gallery, gallery_ids), ("probes", probes, probe_ids)):
        if len(rows) != len(ids) or not len(ids):
            raise UserError(f"{name}: {len(rows)} embeddings for {len(ids)} ids")
    place = {identity: row for row, identity in enumerate(np.asarray(gallery_ids).tolist())}
    if len(place) != len(gallery):
        raise UserError(f"gallery: {len(gallery)} entries of {len(place)} identities; make one template an identity")
    return np.asarray([place.get(identity, -1) for identity in np.asarray(probe_ids).tolist()], np.int64)


def _check_width(probes: np.ndarray, entries: np.ndarray) -> None:
    if probes.ndim != 2 or entries.ndim != 2 or probes.shape[1] != entries.shape[1]:
        raise UserError(
            f"identification: embeddings of shapes {probes.shape} and {entries.shape}; give (n, d) of one d"
        )


def _unit_blocks(rows: np.ndarray, size: int, name: str) -> Iterator[Tuple[slice, np.ndarray]]:
    for start in range(0, len(rows), size):
        block = np.asarray(rows[start : start + size], np.float32)
        yield slice(start, start + len(block)), unit_vectors(block, f"{name} from row {start} on")


def _entries(gallery: np.ndarray, distractors: Optional[np.ndarray]) -> Iterator[Tuple[slice, np.ndarray]]:
    """Blocks of gallery entries, then of distractors, whose columns follow the gallery's."""
    yield from _unit_blocks(gallery, GALLERY_BLOCK, "gallery")
    if distractors is not None:
        for rows, unit in _unit_blocks(distractors, GALLERY_BLOCK, "distractors"):
            yield slice(rows.start + len(gallery), rows.stop + len(gallery)), unit
