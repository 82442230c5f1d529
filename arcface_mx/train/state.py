"""The state of a training between two steps: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict


@dataclass
class RunState:
    """Everything that changes between two steps (a test walks the trainer and finds nothing else).

    Learning rate, margin ramp, λ, random seeds and the position in the sample order are pure
    functions of `step` and the configuration, so they need no place of their own.
    """

    step: int  # steps done
    arg_params: Dict[str, Any]  # NDArrays
    aux_params: Dict[str, Any]
    momentum: Dict[str, Any]
    best: Dict[str, Any]  # best verification so far: {"step": …, "mean_accuracy": …}
    skipped: int = 0  # steps that made no update, see --skip-bad-batches
