"""The metrics of the log for TensorBoard, written with tensorboardX, which needs neither TensorFlow nor torch."""

from __future__ import annotations

import os
from typing import Any, Mapping

import numpy as np

from arcface_mx.util.errors import UserError

FOLDER = "tensorboard"


def check_installed() -> None:
    """Raise UserError, naming the command, if tensorboardX is missing."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise UserError("`tensorboard` needs tensorboardX: pip install 'arcface-mx[tensorboard]'") from None


class TensorBoard:
    """Event files in RUN/tensorboard. Events after `first_step` are hidden, because a resumed run writes them again."""

    def __init__(self, run: str, first_step: int) -> None:
        import tensorboardX

        self._writer = tensorboardX.SummaryWriter(os.path.join(run, FOLDER), purge_step=first_step + 1)

    def add(self, step: int, metrics: Mapping[str, Any], group: str = "train/") -> None:
        """Write numbers as scalars, and lists of counts as histograms of equal bins over 0° to 180°."""
        for name, value in metrics.items():
            if isinstance(value, (list, tuple)):
                self._histogram(name, np.asarray(value, float), step)
            elif isinstance(value, (int, float)):
                self._writer.add_scalar(group + name, value, step)
        self._writer.flush()

    def _histogram(self, name: str, counts: np.ndarray, step: int) -> None:
        limits = np.linspace(0.0, 180.0, len(counts) + 1)
        middles = (limits[1:] + limits[:-1]) / 2
        self._writer.add_histogram_raw(
            "train/" + name,
            0.0,
            180.0,
            float(counts.sum()),
            float(counts @ middles),
            float(counts @ middles**2),
            limits[1:].tolist(),
            counts.tolist(),
            step,
        )

    def close(self) -> None:
        self._writer.close()
