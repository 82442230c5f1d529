"""Is one run better than another on a verification set? Differences with intervals over identities."""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from arcface_mx.metrics.angles import linked_labels
from arcface_mx.metrics.intervals import middle, resampled_accuracies
from arcface_mx.metrics.verification import evaluate
from arcface_mx.report.scores import ScoredSet
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table


class Comparison(NamedTuple):
    """The accuracy of a run on a set in % and its difference from the first run's, with 95 % intervals."""

    name: str
    set: str
    accuracy: float
    interval: Tuple[float, float]
    difference: float
    difference_interval: Tuple[float, float]


def compare_runs(names: Sequence[str], scored: Sequence[ScoredSet]) -> List[Comparison]:
    """Compare runs on one verification set.

    Parameters
    ----------
    names : sequence of str
    scored : sequence of ScoredSet
        The same set under the model of each run; the first run is the one to compare with.

    Returns
    -------
    list of Comparison

    Raises
    ------
    UserError
        If the runs were scored on different pairs.

    Notes
    -----
    The threshold of each fold is chosen as in `evaluate`, once. Then identities are drawn with
    replacement (`resampled_accuracies`), with the same draws for all runs.
    """
    pairs = scored[0].pairs
    if any(len(one.pairs) != len(pairs) or (one.same != pairs.same).any() for one in scored):
        raise UserError(f"{scored[0].set}: the runs were scored on different pairs")
    correct = np.array([_correct(one) for one in scored])
    labels = linked_labels(pairs.left, pairs.right, pairs.same, pairs.num_images)
    identities = np.stack([labels[pairs.left], labels[pairs.right]], axis=1)
    draws = 100.0 * resampled_accuracies(correct, pairs.same, identities)
    accuracies = 100.0 * correct.mean(axis=1)
    return [
        Comparison(
            name,
            scored[0].set,
            float(accuracies[k]),
            middle(draws[k]),
            float(accuracies[k] - accuracies[0]),
            middle(draws[k] - draws[0]),
        )
        for k, name in enumerate(names)
    ]


def _correct(scored: ScoredSet) -> np.ndarray:
    """Return whether each pair is decided correctly with the threshold of its fold."""
    metrics = evaluate(scored.scores, scored.same, name=scored.set)
    folds = np.array_split(np.arange(len(scored.scores)), len(metrics.thresholds))
    thresholds = np.concatenate([np.full(len(fold), value) for fold, value in zip(folds, metrics.thresholds)])
    return (scored.scores >= thresholds) == scored.same


def as_markdown(comparisons: Sequence[Comparison]) -> str:
    """Format comparisons as a Markdown table."""
    lines = [["set", "run", "accuracy %", "95 % interval", "minus the first", "95 % interval of the difference"]]
    for item in comparisons:
        lines.append(
            [
                item.set,
                item.name,
                f"{item.accuracy:.2f}",
                "{:.2f} to {:.2f}".format(*item.interval),
                f"{item.difference:+.2f}",
                "{:+.2f} to {:+.2f}".format(*item.difference_interval),
            ]
        )
    return markdown_table(lines)
