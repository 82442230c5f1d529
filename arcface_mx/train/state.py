"""The state of a training run between two steps: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List

if TYPE_CHECKING:
    from mxnet.ndarray import NDArray


@dataclass
class RunState:
    """Everything that changes between two steps.

    Learning rate, margin ramp, λ, random seeds and the position in the order of images are functions of
    `step` and the configuration, so they are not part of the state.

    Attributes
    ----------
    step : int
        Number of steps done.
    arg_params, aux_params, momentum : dict of str to NDArray
        On the CPU.
    best : dict
        Best verification so far: {"step": int, "mean_accuracy": float}, or empty.
    skipped : int
        Number of steps that made no update because of `skip_bad_batches`.
    loss_scale : dict
        `LossScale.state` of a run in half precision; empty in float32.
    device_statistics : list of dict of str to NDArray
        BatchNorm's statistics of each device, on the CPU; `aux_params` is their mean. Empty for one device.
    """

    step: int
    arg_params: Dict[str, NDArray]
    aux_params: Dict[str, NDArray]
    momentum: Dict[str, NDArray]
    best: Dict[str, Any]
    skipped: int = 0
    loss_scale: Dict[str, float] = field(default_factory=dict)
    device_statistics: List[Dict[str, NDArray]] = field(default_factory=list)
