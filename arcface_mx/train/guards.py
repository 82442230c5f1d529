"""What stops or warns during training: values that are not finite, and a run that does not learn."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.losses.base import scale_floor
from arcface_mx.reader.record_reader import Batch
from arcface_mx.train import checkpoint
from arcface_mx.train.diagnosis import first_bad_layer
from arcface_mx.train.log import RunLog
from arcface_mx.train.loss_scale import PATIENCE, SMALLEST, LossScale
from arcface_mx.train.module import embedding_module
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError
from arcface_mx.util.mx_module import module_arrays, statistics_of_devices

STUCK_ANGLE = 88.0  # degrees; before training the mean target angle is 90
FALLEN_ANGLE, FALLEN_ACCURACY = 30.0, 0.25  # images near their own centre, and most of them nearer to another
CHUNK = 100  # arrays that one operator takes


class Guard:
    """Prevents every update whose loss or gradient is not finite.

    Call `before` ahead of each forward pass, `queue_check` once the gradients are queued, `check_finite` when
    the outputs have been read, and `should_update` ahead of the update. A bad batch raises UserError,
    unless `limit` allows one more: then its step makes no update and leaves BatchNorm's statistics as
    they were. So does a step whose gradient overflows under a dynamic loss scale, which is then halved.

    Parameters
    ----------
    module : Module
    schedule : Schedule
    num_classes : int
    limit : int
        How many steps may be skipped in a run.
    folder : str
        The run folder, whose latest checkpoint a message names.
    skipped : int
        Steps that were skipped before a resume.
    loss_scale : LossScale, optional
        None in float32.
    """

    def __init__(
        self,
        module: Any,
        schedule: Schedule,
        num_classes: int,
        limit: int,
        folder: str,
        skipped: int = 0,
        loss_scale: Optional[LossScale] = None,
    ) -> None:
        self._module, self._schedule, self._num_classes = module, schedule, num_classes
        self._limit, self._folder, self.skipped = limit, folder, skipped
        self._scale = loss_scale
        self._dynamic = bool(loss_scale and loss_scale.dynamic)
        self._fault, self._overflow = "", ""
        self._statistics = _Statistics(module)
        self._checks: List[Tuple[List[Any], List[Any]]] = []

    def before(self, batch: Batch, part: int) -> None:
        """Refuse labels without a class centre: MXNet would take another row silently."""
        labels, classes = batch.labels, self._num_classes
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            row = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise UserError(
                f"record {batch.records[row]} has label {labels[row]}, but there are {classes} classes "
                f"(0 to {classes - 1}); the data changed while it was read"
            )
        if part == 0:
            self._fault, self._overflow = "", ""
            if self._limit or self._dynamic:
                self._statistics.remember()

    def queue_check(self, complete: bool) -> None:
        """Let the devices add up the squares of the gradients, without waiting for the backward pass or their sum.

        `complete` says whether the gradients of the step have been summed over batches, devices and
        processes. Only these can tell an overflow: they are the same in all processes, which must all
        skip the step or none.
        """
        arrays = _gradients(self._module)
        shared = len(_gradients(embedding_module(self._module))) if self._dynamic else 0
        groups = (arrays[:shared] if complete else [], arrays[shared:])
        self._checks = [(group, square_sums(group)) for group in groups]

    def check_finite(self, losses: np.ndarray, batch: Batch, step: int, seed: Callable[[], None]) -> bool:
        """Return whether loss and gradient of a batch are finite.

        Parameters
        ----------
        losses : ndarray, shape (B,)
        batch : Batch
        step : int
        seed : callable
            Seeds the random numbers of this batch again, to find the layer.
        """
        bad = np.flatnonzero(~np.isfinite(losses))
        if not len(bad):
            scaled, others = (all_finite(arrays, sums) for arrays, sums in self._checks)
            if not scaled:
                self._overflow = f"step {step + 1}: the gradient overflowed in float16"
            if others:
                return True
        what = f"loss is {float(losses[bad[0]])}" if len(bad) else "the gradient is not finite"
        records = batch.records[bad] if len(bad) else batch.records
        self._fault = (
            f"{what} at step {step + 1} (learning rate {self._schedule.lr_at(step):g}, records {_listed(records)})"
        )
        if self.skipped >= self._limit:
            layer = first_bad_layer(self._module, seed)
            raise UserError(f"{self._fault}; first bad value: {layer}. {self._remedy()}")
        return False

    def should_update(self, log: RunLog) -> bool:
        """Return False, and log the reason, if a batch of this step was bad or the gradient overflowed."""
        if not self._fault and not self._overflow:
            if self._scale and self._scale.updated():
                log.say(f"{PATIENCE} updates without overflow: the loss scale is now {self._scale.value:g}")
            return True
        self._statistics.restore()
        if not self._fault:
            self._halve(log)
            return False
        self.skipped += 1
        log.say(f"{self._fault}: skipped, {self.skipped} of {self._limit}")
        log.event("skipped", text=self._fault, skipped=self.skipped)
        return False

    def _halve(self, log: RunLog) -> None:
        """Halve the loss scale and log it; raise UserError if it cannot be halved any more."""
        assert self._scale is not None
        if not self._scale.overflowed():
            raise UserError(f"{self._overflow} with the smallest loss scale, {SMALLEST:g}. {self._remedy()}")
        log.say(f"{self._overflow}: no update, and the loss scale is now {self._scale.value:g}")
        log.event("overflow", text=self._overflow, loss_scale=self._scale.value)

    def _remedy(self) -> str:
        before = f"{self._limit} bad batches were skipped before. " if self._limit else ""
        saved = checkpoint.existing(self._folder)
        latest = saved[0] if saved else os.path.join(self._folder, "checkpoints (none yet)")
        return (
            f"{before}The last good checkpoint is {latest}; no update of this step was made. Usual causes: the "
            "learning rate is too high for this scale and margin (try `margin_ramp` 0.3, `warmup_steps` or a lower "
            "`lr`); `literal`, which gives NaN when an embedding lies along its own centre."
        )


class _Statistics:
    """BatchNorm's statistics as they were before a step. One operator a device copies them all."""

    def __init__(self, module: Any) -> None:
        devices = [list(arrays.values()) for arrays in statistics_of_devices(module)]
        self._views = [[array.reshape(-1) for array in arrays] for arrays in devices if arrays]
        self._before: List[Any] = []

    def remember(self) -> None:
        import mxnet as mx

        self._before = [mx.nd.concat(*views, dim=0) for views in self._views]

    def restore(self) -> None:
        for views, before in zip(self._views, self._before):
            end = 0
            for view in views:
                start, end = end, end + view.size
                before[start:end].copyto(view)


def _gradients(module: Any) -> List[Any]:
    return [array for copies in module_arrays(module).gradients for array in copies if array is not None]


def square_sums(arrays: Sequence[Any]) -> List[Any]:
    """Return the sum of the squares of all arrays on each device, of shape (1,). Does not wait for them."""
    import mxnet as mx

    sums: Dict[Any, List[Any]] = {}
    for group in _groups(arrays):
        sums.setdefault(group[0].context, []).append(mx.nd.multi_sum_sq(*group, num_arrays=len(group)))
    return [mx.nd.sum(mx.nd.concat(*parts, dim=0)) for parts in sums.values()]


def all_finite(arrays: Sequence[Any], sums: Sequence[Any]) -> bool:
    """Return whether no value of the arrays, whose `square_sums` are given, is NaN or infinite. Waits for them."""
    import mxnet as mx

    if all(np.isfinite(total.asnumpy()).all() for total in sums):
        return True
    # A sum of squares takes a tenth of the time of multi_all_finite, which decides if the sum overflows.
    return all(bool(mx.nd.multi_all_finite(*group, num_arrays=len(group)).asscalar()) for group in _groups(arrays))


def _groups(arrays: Sequence[Any]) -> List[List[Any]]:
    """Return the arrays in groups that one operator takes: of one device and one type."""
    alike: Dict[Any, List[Any]] = {}
    for array in arrays:
        alike.setdefault((array.context, array.dtype), []).append(array)
    return [group[start : start + CHUNK] for group in alike.values() for start in range(0, len(group), CHUNK)]


def _listed(records: np.ndarray, limit: int = 8) -> str:
    more = f" and {len(records) - limit} more" if len(records) > limit else ""
    return ", ".join(str(number) for number in sorted(records.tolist())[:limit]) + more


class StallDetector:
    """Names a run that does not learn, once, after warm-up and a whole epoch.

    Parameters
    ----------
    schedule : Schedule
    images : int
        Images of the training set.
    num_classes : int
    first_loss : float, optional
        The expected loss before training; None switches the detector off.
    scale : float, optional
        The feature scale, for the advice.
    """

    def __init__(
        self,
        schedule: Schedule,
        images: int,
        num_classes: int,
        first_loss: Optional[float],
        scale: Optional[float] = None,
    ) -> None:
        self._first_loss, self._scale, self._done = first_loss, scale, False
        self._from = schedule.warmup + max(1, images // schedule.images_a_step)
        self._floor = scale_floor(num_classes)

    def look(self, step: int, metrics: Mapping[str, float]) -> str:
        """Return a warning about the metrics of a log line, or an empty text."""
        loss, angle = metrics.get("loss", np.nan), metrics.get("target_angle", np.nan)
        if self._done or self._first_loss is None or step < self._from:
            return ""
        if angle <= FALLEN_ANGLE and metrics.get("accuracy", 1.0) < FALLEN_ACCURACY:
            self._done = True
            return (
                f"collapsed: at step {step} images lie {angle:.1f}° from their own class centre, and "
                f"{100 * (1 - metrics['accuracy']):.0f} % of them are nearer to another one: all centres have moved "
                "together. Usual causes: margin, augmentation or `lr` too strong for so early a stage (try "
                "`margin_ramp`, `warmup_steps`, a weaker augmentation, or `init` with a trained model)"
            )
        if not (angle >= STUCK_ANGLE and loss >= 0.97 * self._first_loss):
            return ""
        self._done = True
        where = (
            f"at step {step} the target angle is {angle:.1f}° and the loss {loss:.4g} "
            f"(before training: 90° and {self._first_loss:.4g})"
        )
        if loss > 3 * self._first_loss:
            return f"diverging: {where}. Usual causes: `lr` too high for this scale and margin, no `warmup_steps`"
        scale = (
            "" if self._scale is None else f"a `scale` below {self._floor:.1f} or far above it (now {self._scale:g}), "
        )
        return (
            f"not learning: {where}. Usual causes: the full margin from the first step (try `margin_ramp` 0.3), no "
            f"`warmup_steps`, `lr` too high or too low, {scale}labels that do not belong to the images "
            "(arcface-mx data check)"
        )
