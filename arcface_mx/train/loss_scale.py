"""The loss scale, which keeps gradients in half precision between underflow and overflow."""

from __future__ import annotations

from typing import Any, Dict, Mapping

LARGEST, SMALLEST = 65536.0, 1.0
PATIENCE = 2000  # updates in a row without overflow after which the scale is doubled


class LossScale:
    """Factor on the gradient of the mean loss of a step, while it is in half precision.

    The factor on one image's gradient is `value` divided by the images of a step, over all batches,
    devices and workers. So the sum over the devices is `value` times the gradient of the mean,
    whatever their number. The update divides by `value`.

    Parameters
    ----------
    first : float
        The scale at the start of the run.
    dynamic : bool
        Halve the scale when a gradient overflows, and double it after PATIENCE updates without overflow.
    state : mapping
        What `state` returned before a resume; empty at the start of a run.
    """

    def __init__(self, first: float, dynamic: bool, state: Mapping[str, float]) -> None:
        self.dynamic = dynamic
        self.value = float(state.get("scale", first))
        self._good_steps, self._overflows = int(state.get("good_steps", 0)), int(state.get("overflows", 0))

    def state(self) -> Dict[str, Any]:
        """Return what a checkpoint holds of the scale."""
        return {"scale": self.value, "good_steps": self._good_steps, "overflows": self._overflows}

    def overflowed(self) -> bool:
        """Halve the scale; return False if that is not possible any more."""
        self.value, self._good_steps, self._overflows = self.value / 2, 0, self._overflows + 1
        return self.value >= SMALLEST

    def updated(self) -> bool:
        """Count an update without overflow; return whether the scale was doubled after it."""
        self._good_steps += 1
        if not self.dynamic or self._good_steps < PATIENCE:
            return False
        before, self._good_steps = self.value, 0
        self.value = min(2 * self.value, LARGEST)
        return self.value > before
