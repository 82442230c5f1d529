"""Means of what a training step reports, between two log lines."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Sequence

import numpy as np

HISTOGRAM_STEP = 2  # degrees a bin of the target angles' histogram, 0° to 180°


class Meter:
    """Collects per-sample outputs; `mean` gives the log line's figures and starts anew.

    outputs: the graph's names, each giving (N,). last_angle: radians; samples whose target angle is
    larger are counted (for ArcFace π − m, beyond which the target logit rises again).
    """

    def __init__(self, outputs: Sequence[str], last_angle: float) -> None:
        self._names, self._last_cosine = list(outputs), float(np.cos(last_angle))
        self._bound = last_angle < np.pi
        self._clear()

    def _clear(self) -> None:
        self._values: Dict[str, List[np.ndarray]] = {name: [] for name in self._names}
        self._waited, self._images, self._started = 0.0, 0, time.perf_counter()

    def add(self, outputs: Sequence[Any], waited: float) -> None:
        """Add one batch: arrays in the graph's order, seconds spent waiting for input."""
        for name, array in zip(self._names, outputs):
            self._values[name].append(array)
        self._images += len(outputs[0])
        self._waited += waited

    def mean(self) -> Dict[str, Any]:
        """Means since the last call: loss and its terms, angle in degrees, accuracy, speed; and how
        many target angles fell into each bin of 2°, 0° to 180°."""
        seconds = max(1e-9, time.perf_counter() - self._started)
        values = {name: np.concatenate(parts).astype(np.float64) for name, parts in self._values.items() if parts}
        figures: Dict[str, Any] = {
            name: float(value.mean()) for name, value in values.items() if name not in ("target_cosine", "correct")
        }
        if "target_cosine" in values:
            cosine = np.clip(values["target_cosine"], -1.0, 1.0)
            angles = np.degrees(np.arccos(cosine))
            figures["target_angle"] = float(angles.mean())
            figures["target_angle_histogram"] = np.histogram(angles, 180 // HISTOGRAM_STEP, (0.0, 180.0))[0].tolist()
            if self._bound:
                figures["past_pi_minus_m"] = int((cosine < self._last_cosine).sum())
        if "correct" in values:
            figures["accuracy"] = float(values["correct"].mean())
        figures["images_per_second"] = self._images / seconds
        figures["input_wait_share"] = min(1.0, self._waited / seconds)
        self._clear()
        return figures
