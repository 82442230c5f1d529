"""Means of what a training step reports, between two log lines."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Sequence

import numpy as np

HISTOGRAM_STEP = 2  # width of a bin of target angles in degrees, over 0 to 180


class Meter:
    """Collects per-sample outputs; `mean` returns the metrics of a log line and starts anew.

    Parameters
    ----------
    outputs : sequence of str
        Names of the graph's outputs, each of shape (N,).
    last_angle : float
        Radians. Samples with a larger target angle are counted; for ArcFace it is π − m, beyond which
        the target logit rises again.
    """

    def __init__(self, outputs: Sequence[str], last_angle: float) -> None:
        self._names, self._last_cosine = list(outputs), float(np.cos(last_angle))
        self._has_last_angle = last_angle < np.pi
        self._clear()

    def _clear(self) -> None:
        self._values: Dict[str, List[np.ndarray]] = {name: [] for name in self._names}
        self._waited, self._images, self._started = 0.0, 0, time.perf_counter()

    def add(self, outputs: Sequence[np.ndarray], waited: float) -> None:
        """Add one batch: arrays in the graph's order, and the seconds spent waiting for input."""
        for name, array in zip(self._names, outputs):
            self._values[name].append(array)
        self._images += len(outputs[0])
        self._waited += waited

    def mean(self) -> Dict[str, Any]:
        """Return the means since the last call.

        These are the loss and its terms, the target angle in degrees and its histogram in bins of 2°,
        the accuracy without margin, the images per second and the share of time spent waiting.
        """
        seconds = max(1e-9, time.perf_counter() - self._started)
        values = {name: np.concatenate(parts).astype(np.float64) for name, parts in self._values.items() if parts}
        metrics: Dict[str, Any] = {
            name: float(value.mean()) for name, value in values.items() if name not in ("target_cosine", "correct")
        }
        if "target_cosine" in values:
            cosine = np.clip(values["target_cosine"], -1.0, 1.0)
            angles = np.degrees(np.arccos(cosine))
            metrics["target_angle"] = float(angles.mean())
            metrics["target_angle_histogram"] = np.histogram(angles, 180 // HISTOGRAM_STEP, (0.0, 180.0))[0].tolist()
            if self._has_last_angle:
                metrics["past_pi_minus_m"] = int((cosine < self._last_cosine).sum())
        if "correct" in values:
            metrics["accuracy"] = float(values["correct"].mean())
        metrics["images_per_second"] = self._images / seconds
        metrics["input_wait_share"] = min(1.0, self._waited / seconds)
        self._clear()
        return metrics
