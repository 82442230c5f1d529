"""Rows of the table that lead softmax beyond noise."""

from __future__ import annotations

from typing import List, Sequence, Set

import numpy as np

from arcface_mx.metrics.estimates import best_accuracy, variance
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.intervals import CONFIDENCE
from arcface_mx.verify.run_scores import read_run_scores

BASE = "Softmax"  # the row that others are compared with
MARK = "▲"


def sets_in_lead(runs: Sequence[str], base: Sequence[str], flip: str = "none") -> Set[str]:
    """Name the verification sets on which runs lead other runs beyond noise.

    Parameters
    ----------
    runs, base : sequence of str
        Run folders, each the seeds of one row.
    flip : {"none", "sum"}

    Returns
    -------
    set of str
        Sets of which all runs have the scores of the same pairs, and on which the 95 % interval of the
        difference lies above 0.

    Notes
    -----
    The difference is that of the mean accuracies, each at the threshold that is best for the set. Its
    variance is the sum of two parts. The first is the noise of the choice of identities and images: the
    variance of the mean contributions of the pairs (`estimates.variance`), which all runs share. The second
    is the variance between the seeds of either row, where there are two or more. With one seed it is unknown.
    """
    ours, theirs = ([read_run_scores(run) for run in folders] for folders in (runs, base))
    if not ours or not theirs:
        return set()
    names = [name for name, kind in ours[0] if kind == flip]
    return {name for name in names if _leads([found.get((name, flip)) for found in [*ours, *theirs]], len(ours))}


def _leads(found: List, count: int) -> bool:
    """Whether the first `count` runs lead the others on one set."""
    from scipy.stats import norm

    if any(one is None for one in found):
        return False
    same, identities = found[0][0].same, found[0][1]
    if any(not np.array_equal(one[0].same, same) or not _equal(one[1], identities) for one in found):
        return False
    measured = [best_accuracy(one[0].scores, same) for one in found]
    groups = measured[:count], measured[count:]
    gap = np.subtract(*[np.mean([one.contributions for one in group], axis=0) for group in groups])
    values = [np.array([one.value for one in group]) for group in groups]
    of_seeds = sum(group.var(ddof=1) / len(group) for group in values if len(group) > 1)
    half = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance(gap, identities) + of_seeds)
    return bool(values[0].mean() - values[1].mean() > half)


def _equal(first: PairIdentities, second: PairIdentities) -> bool:
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(first, second))
