"""`arcface_mx.train`: a training run from keyword arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from arcface_mx.keywords import from_keywords
from arcface_mx.train.loop import OnStep, StepReport
from arcface_mx.train.run import train as train_config
from arcface_mx.util.settings import Setting

__all__ = ["StepReport", "TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """The end of a training run.

    Attributes
    ----------
    run : str
        The run folder, which `arcface_mx.load` takes.
    step : int
        Steps done.
    skipped_steps : int
        Steps without an update, because loss or gradient was not finite.
    accuracy : dict of str to float
        Accuracy without flip test by verification set, between 0 and 1.
    mean_accuracy : float or None
        Its mean over the sets; None without a verification set.
    """

    run: str
    step: int
    skipped_steps: int
    accuracy: Dict[str, float]
    mean_accuracy: Optional[float]


def train(
    data: str,
    run: str,
    loss: str = "arcface",
    preset: Optional[str] = None,
    on_step: Optional[OnStep] = None,
    **settings: Setting,
) -> TrainResult:
    """Train a network, or continue a run that was interrupted, with the settings of `arcface-mx train`.

    Parameters
    ----------
    data : str
        Folder with train.rec, train.idx and property.
    run : str
        Run folder to write. A finished run is not repeated.
    loss : str
        Name of the loss. Its own settings, such as `m`, are settings too.
    preset : str, optional
        Named defaults to start from, for example "laptop".
    on_step : callable, optional
        Called with a `StepReport` after each step. An exception that it raises ends the run.
    **settings : bool, int, float, str or sequence
        Flags of `arcface-mx train` with underscores, for example ``batch_size=64``.

    Returns
    -------
    TrainResult

    Raises
    ------
    UserError
        For an unknown setting, with the nearest known one, a value out of range, and bad input.

    Notes
    -----
    Progress is logged to ``logging.getLogger("arcface_mx")`` at level INFO.
    """
    config = from_keywords(loss, preset, {**settings, "data": data, "run": run})
    metrics = train_config(config, on_step)
    return TrainResult(
        run=run,
        step=metrics["step"],
        skipped_steps=metrics["skipped_steps"],
        accuracy={name: result["none"]["accuracy"] for name, result in metrics["sets"].items()},
        mean_accuracy=metrics.get("mean_accuracy"),
    )
