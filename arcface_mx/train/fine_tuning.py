"""Whether a run that started from a trained model made it better: verification before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

import numpy as np

from arcface_mx.train.evaluate import mean_accuracy
from arcface_mx.train.log import RunLog, read_events
from arcface_mx.train.state import RunState

if TYPE_CHECKING:
    from arcface_mx.train.resolve import Run

BEFORE, AFTER = "mean_accuracy_before", "mean_accuracy"  # keys of metrics.json


def accuracy_before(run: Run, state: RunState, log: RunLog) -> Optional[float]:
    """Return the mean accuracy of the model of `init` on the run's verification sets, without flip test.

    It is measured before the first step, and read from the log after an interruption. None if the run has
    no such model or no set, or if layers of the network are created anew.
    """
    if not run.options.init or not run.evaluator:
        return None
    events = [event for event in read_events(run.folder.path, "verification") if event["step"] == 0]
    if events:
        return float(np.mean([event["none"]["accuracy"] for event in events]))
    symbol = run.backbone.symbol()
    needed = {*symbol.list_arguments(), *symbol.list_auxiliary_states()} - {"data"}
    if state.step or needed - {*state.arg_params, *state.aux_params}:
        return None
    results = run.evaluator(state)
    log.verification(0, results)
    return mean_accuracy(results)


def verdict(before: float, after: float) -> str:
    """Return one line with the accuracy before and after, and with advice if it fell."""
    figures = f"before {100 * before:.2f}, after {100 * after:.2f} (mean accuracy in % without flip test)"
    if after >= before:
        return f"fine-tuning: {figures}"
    return (
        f"fine-tuning lowered the accuracy: {figures}. Keep the model of `init`, or train again with fewer `steps`, a "
        "lower `lr`, a smaller factor in `lr_mult`, `freeze_batchnorm`, or more identities"
    )


def fell(metrics: Optional[Mapping[str, Any]]) -> bool:
    """Return whether the metrics of a run, if it has any, say that it made the model of `init` worse."""
    return metrics is not None and BEFORE in metrics and metrics[AFTER] < metrics[BEFORE]


def conclude(before: Optional[float], metrics: Dict[str, Any], log: RunLog) -> None:
    """Put the accuracy before training into the metrics, and say how the one after compares."""
    if before is None:
        return
    metrics[BEFORE] = before
    text = verdict(before, metrics[AFTER])
    if fell(metrics):
        log.warn(text)
    else:
        log.say(text)
