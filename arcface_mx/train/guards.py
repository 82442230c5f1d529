"""What stops or warns during training: values that are not finite, a run that does not learn."""

from __future__ import annotations

import os
from typing import Any, Callable, List, Mapping, Sequence

import numpy as np

from arcface_mx.config import TrainConfig
from arcface_mx.losses import losses
from arcface_mx.reader.native_reader import Batch
from arcface_mx.train import checkpoint
from arcface_mx.train.log import RunLog
from arcface_mx.train.module import auxiliary_arrays, first_bad_layer, gradients
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError

STUCK_ANGLE = 88.0  # degrees; before training the mean target angle is 90
FALLEN_ANGLE, FALLEN_ACCURACY = 30.0, 0.25  # photos near their own centre, and most of them nearer to another
CHUNK = 100  # arrays that one operator takes


class Guard:
    """Lets no update happen whose loss or gradient is not finite.

    Call `before` ahead of each forward pass, `check_finite` after it and `should_update` ahead of the update.
    A bad batch raises UserError, unless --skip-bad-batches allows for one more: then its step makes
    no update and leaves BatchNorm's statistics as they were. skipped: such steps, those before a
    resume included.
    """

    def __init__(self, module: Any, config: TrainConfig, schedule: Schedule, num_classes: int, skipped: int) -> None:
        self._module, self._config, self._schedule, self._num_classes = module, config, schedule, num_classes
        self.skipped = skipped
        self._fault = ""
        self._statistics: List[Any] = []

    def before(self, batch: Batch, part: int) -> None:
        """Refuse labels that the class centres have no row for: MXNet would take another row, silently."""
        if len(batch.labels) and not 0 <= batch.labels.min() <= batch.labels.max() < self._num_classes:
            row = int(np.flatnonzero((batch.labels < 0) | (batch.labels >= self._num_classes))[0])
            raise UserError(
                f"record {batch.records[row]} has label {batch.labels[row]}, but there are "
                f"{self._num_classes} classes (0…{self._num_classes - 1}); the data changed while it was "
                "read"
            )
        if part == 0:
            self._fault = ""
            if self._config.optimizer.skip_bad_batches:
                self._statistics = [(array, array.copy()) for array in auxiliary_arrays(self._module)]

    def check_finite(self, losses_of_batch: np.ndarray, batch: Batch, step: int, forward: Callable[[], None]) -> bool:
        """Whether loss and gradient of a batch are finite; `forward` runs its forward pass again."""
        bad = np.flatnonzero(~np.isfinite(losses_of_batch))
        gradient = all_finite(gradients(self._module))
        if not len(bad) and gradient:
            return True
        what = f"loss is {float(losses_of_batch[bad[0]])}" if len(bad) else "the gradient is not finite"
        records = batch.records[bad] if len(bad) else batch.records
        self._fault = (
            f"{what} at step {step + 1} (learning rate {self._schedule.lr_at(step):g}, records {_some(records)})"
        )
        if self.skipped >= self._config.optimizer.skip_bad_batches:
            raise UserError(
                f"{self._fault}; first bad value: {first_bad_layer(self._module, forward)}. {self._remedy()}"
            )
        return False

    def should_update(self, log: RunLog) -> bool:
        """False where a batch of this step was bad: the step is then skipped, and said to be."""
        if not self._fault:
            return True
        self.skipped += 1
        for array, before in self._statistics:
            array[:] = before
        log.say(f"{self._fault}: skipped, {self.skipped} of {self._config.optimizer.skip_bad_batches}")
        log.event("skipped", text=self._fault, skipped=self.skipped)
        return False

    def _remedy(self) -> str:
        run, limit = self._config.run.run, self._config.optimizer.skip_bad_batches
        good = checkpoint.existing(run)
        return (
            "{}The last good checkpoint is {}; no update of this step was made. Usual causes: the learning rate is too high for this "
            "scale and margin (try --margin-ramp 0.3, --warmup-steps or a lower --lr); --literal, which gives NaN where an "
            "embedding lies along its own centre.".format(
                f"{limit} bad batches were skipped before. " if limit else "",
                good[0] if good else os.path.join(run, "checkpoints (none yet)"),
            )
        )


def all_finite(arrays: Sequence[Any]) -> bool:
    """Whether no value of the NDArrays is NaN or infinite; waits for them."""
    import mxnet as mx

    by_device: Any = {}
    for array in arrays:
        by_device.setdefault((array.context, array.dtype), []).append(array)
    groups = [group[start : start + CHUNK] for group in by_device.values() for start in range(0, len(group), CHUNK)]
    # A sum of squares takes a tenth of the time of multi_all_finite; where it overflows that one decides.
    sums = [mx.nd.multi_sum_sq(*group, num_arrays=len(group)) for group in groups]
    if all(np.isfinite(total.asnumpy()).all() for total in sums):
        return True
    return all(bool(mx.nd.multi_all_finite(*group, num_arrays=len(group)).asscalar()) for group in groups)


def _some(records: np.ndarray, most: int = 8) -> str:
    more = f" and {len(records) - most} more" if len(records) > most else ""
    return ", ".join(str(number) for number in sorted(records.tolist())[:most]) + more


class StallDetector:
    """Names a run that does not learn, after warm-up and a whole epoch: the angle is still near 90°, or all centres fell together."""

    def __init__(self, config: TrainConfig, schedule: Schedule, images: int, num_classes: int) -> None:
        self._first = losses.expected_first_loss(config.loss, num_classes, config.network.embedding_size)
        self._from = schedule.warmup + max(1, images // schedule.images_a_step)
        self._floor, self._scale, self._said = losses.scale_floor(num_classes), config.loss.scale, False

    def look(self, step: int, figures: Mapping[str, float]) -> str:
        """A warning about the figures of a log line, once a run; else empty."""
        loss, angle = figures.get("loss", np.nan), figures.get("target_angle", np.nan)
        if self._said or self._first is None or step < self._from:
            return ""
        if angle <= FALLEN_ANGLE and figures.get("accuracy", 1.0) < FALLEN_ACCURACY:
            self._said = True
            return (
                f"collapsed: at step {step} photos lie {angle:.1f}° from their own class centre, and "
                f"nearer to another one in {100 * (1 - figures['accuracy']):.0f} %: the centres have "
                "fallen together. Usual causes: margin, augmentation or --lr too strong for so early a "
                "stage (--margin-ramp, --warmup-steps, a weaker augmentation, --init a trained model)"
            )
        if not (angle >= STUCK_ANGLE and loss >= 0.97 * self._first):
            return ""
        self._said = True
        where = (
            f"at step {step} the target angle is {angle:.1f}° and the loss {loss:.4g} (before "
            f"training: 90° and {self._first:.4g})"
        )
        if loss > 3 * self._first:
            return f"diverging: {where}. Usual causes: --lr too high for this scale and margin, no --warmup-steps"
        return f"not learning: {where}. Usual causes: the margin is there from the first step (--margin-ramp 0.3), no --warmup-steps, --lr too high or too low, a --scale below {self._floor:.1f} or far above it (chosen: {self._scale:g}), labels that do not belong to the photos (arcface-mx data check)"
