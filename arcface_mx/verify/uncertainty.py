"""Intervals of verification results, errors at a threshold fixed elsewhere, and comparisons of two models."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.metrics.comparison import Difference, McNemar, compare, mcnemar
from arcface_mx.metrics.estimates import Estimate, rates_at
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import text_table
from arcface_mx.verify.scores import Key, Scored


class RatesAt(NamedTuple):
    """Errors of one set or group at a threshold that was fixed elsewhere."""

    set: str
    group: str
    flip: str
    threshold: float
    num_same: int
    num_different: int
    fmr: Optional[Estimate]
    fnmr: Optional[Estimate]

    def to_json(self) -> Dict[str, object]:
        """Return plain values."""
        return {
            **self._asdict(),
            "fmr": self.fmr._asdict() if self.fmr else None,
            "fnmr": self.fnmr._asdict() if self.fnmr else None,
        }


def errors_at(
    key: Key, scored: Scored, identities: PairIdentities, threshold: float, groups: Optional[Sequence[str]] = None
) -> List[RatesAt]:
    """FMR and FNMR of a set at a threshold and, with the group of each pair, of each group."""
    parts = [("all", np.ones(len(scored.same), bool))]
    if groups is not None:
        labels = np.asarray(groups)
        parts += [(str(name), labels == name) for name in np.unique(labels)]
    found = []
    for name, rows in parts:
        same = scored.same[rows]
        rates = rates_at(scored.scores[rows], same, identities.take(rows), threshold)
        count = int(np.count_nonzero(same))
        found.append(RatesAt(key[0], name, key[1], threshold, count, len(same) - count, *rates))
    return found


def at_table(rows: Sequence[RatesAt]) -> str:
    """A line for each set and group."""
    lines = [
        ["set", "group", "flip", "threshold", "different", "FMR %", "95 % interval", "same", "FNMR %", "95 % interval"]
    ]
    for row in rows:
        different, same = str(row.num_different), str(row.num_same)
        lines.append(
            [row.set, row.group, row.flip, f"{row.threshold:.4f}"]
            + [different, *_percent(row.fmr)]
            + [same, *_percent(row.fnmr)]
        )
    return text_table(lines)


def _percent(rate: Optional[Estimate]) -> Tuple[str, str]:
    if rate is None:
        return "-", "-"
    return f"{100 * rate.value:.3f}", f"{100 * rate.low:.3f} to {100 * rate.high:.3f}"


def interval_table(found: Dict[Key, Dict[str, Estimate]]) -> str:
    """Metrics of each set with their intervals. FNMR at FMR is the rest of TAR at FAR."""
    lines = [["set", "flip", "metric", "%", "95 % interval"]]
    for (name, flip), estimates in found.items():
        for metric, rate in estimates.items():
            lines.append([name, flip, metric, *_percent(rate)])
            if metric.startswith("TAR@FAR="):
                rest = Estimate(1 - rate.value, 1 - rate.high, 1 - rate.low)
                lines.append([name, flip, metric.replace("TAR@FAR=", "FNMR@FMR="), *_percent(rest)])
    return text_table(lines)


class Compared(NamedTuple):
    """Two models on one set."""

    set: str
    flip: str
    metrics: Dict[str, Difference]
    mcnemar: McNemar

    def to_json(self) -> Dict[str, object]:
        """Return plain values."""
        metrics = {name: {**d._asdict(), "beyond_noise": d.beyond_noise} for name, d in self.metrics.items()}
        return {"set": self.set, "flip": self.flip, "metrics": metrics, "mcnemar": self.mcnemar._asdict()}


def compare_scores(
    first: Dict[Key, Scored], second: Dict[Key, Scored], name: str, identities: PairIdentities, folds: int
) -> List[Compared]:
    """Compare two models on the set `name`, for each flip test that both were measured with.

    Raises UserError if one of them was not measured on the set, or on other pairs.
    """
    flips = [flip for key, flip in first if key == name and (name, flip) in second]
    if not flips:
        raise UserError(f"{name}: there are no scores of this set by both models with the same flip test")
    found = []
    for flip in flips:
        ours, theirs = first[name, flip], second[name, flip]
        for scored in (ours, theirs):
            if len(scored.same) != len(identities.first) or not np.array_equal(scored.same, ours.same):
                raise UserError(f"{name}: the scores are of other pairs than the set's")
        metrics = compare(ours.scores, theirs.scores, ours.same, identities)
        found.append(Compared(name, flip, metrics, mcnemar(ours.scores, theirs.scores, ours.same, folds)))
    return found


def compared_table(found: Sequence[Compared]) -> str:
    """A line for each metric, and McNemar's test below."""
    lines = [["set", "flip", "metric", "A %", "B %", "A − B", "95 % interval", "beyond noise"]]
    notes = []
    for item in found:
        for metric, gap in item.metrics.items():
            values = [f"{100 * value:.2f}" for value in (gap.first, gap.second)]
            ends = f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f}"
            shift = f"{100 * (gap.first - gap.second):+.2f}"
            lines.append([item.set, item.flip, metric, *values, shift, ends, "yes" if gap.beyond_noise else "no"])
        test = item.mcnemar
        notes.append(
            f"McNemar, flip {item.flip}: only A decides {test.only_first} pairs correctly, only B {test.only_second}; "
            f"p = {test.p_value:.3g} (takes pairs as independent)"
        )
    return "\n".join([text_table(lines), *notes])
