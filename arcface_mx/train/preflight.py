"""Checks before the first step: disk, memory, schedule, labels."""

from __future__ import annotations

import math
import os
import shutil
from typing import TYPE_CHECKING, Any, List, Tuple

from arcface_mx.config import RunConfig
from arcface_mx.parallel.split import EXACT_IN_FLOAT32
from arcface_mx.planning.memory_estimate import executor_bytes
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError
from arcface_mx.util.memory import available_memory
from arcface_mx.util.mx_module import module_arrays

if TYPE_CHECKING:
    from arcface_mx.train.resolve import Run

MB = 1 << 20
MIN_EPOCHS, MAX_EPOCHS = 8, 50_000


def preflight(run: Run, module: Any) -> Tuple[List[str], List[str]]:
    """Return messages and warnings about a run whose module is bound and started.

    Raises
    ------
    UserError
        If there are more classes than a float32 label can tell apart, or no room for checkpoints.
    """
    classes = run.index.num_classes
    if classes > EXACT_IN_FLOAT32 and run.options.parallel == "data":
        raise UserError(
            f"{run.index.path}: {classes} classes; labels are float32, exact up to {EXACT_IN_FLOAT32}; `parallel` "
            "centres numbers them on each device"
        )
    arrays = module_arrays(module)
    parameters = sum(_bytes(copies[0]) for copies in arrays.parameters)
    needed = checkpoint_room(run.options, run.schedule, stored_bytes(module))
    free = free_bytes(run.folder.path)
    if needed > free:
        raise UserError(
            f"{run.folder.path}: its checkpoints need {-(-needed // MB)} MB, and the disk has {free // MB} MB free; "
            "make room, or keep fewer (`keep_checkpoints`, `keep_every`)"
        )
    layers = max(executor_bytes(executor) for executor in arrays.executors)
    layers += max([executor_bytes(executor) for executor in getattr(module, "head_executors", ())], default=0)
    a_device = (layers + 3 * parameters) // MB
    messages = [
        f"room: checkpoints {-(-needed // MB)} MB on disk ({free // MB} MB free); memory {a_device} MB a device for "
        "layers, parameters, gradients and momentum"
    ]
    warnings = schedule_warnings(run.schedule, run.options.checkpoint_every, len(run.index))
    warnings += epoch_warnings(run.schedule, len(run.index))
    on_cpu = sum(context.device_type == "cpu" for context in run.contexts)
    available = available_memory()
    if on_cpu and available and on_cpu * (layers + 3 * parameters) > available:
        warnings.append(
            f"the plan takes {on_cpu * a_device} MB of memory and {available // MB} MB are free: lower `batch_size`, "
            "with `accumulate` to make up for it"
        )
    return messages, warnings


def stored_bytes(module: Any) -> int:
    """Return the bytes of the parameters in a checkpoint: each once, and whole even if devices hold parts."""
    split = getattr(module, "whole_shapes", {})
    arrays = module_arrays(module)
    pairs = zip(arrays.names, arrays.parameters)
    return sum(4 * math.prod(split[name]) if name in split else _bytes(copies[0]) for name, copies in pairs)


def checkpoint_room(options: RunConfig, schedule: Schedule, parameters: int) -> int:
    """Return the bytes that checkpoints and export take at most, with the one that is being written."""
    best = 1 if 0 < options.eval_every < schedule.steps else 0
    kept = options.keep_checkpoints + 1 + best + (schedule.steps // options.keep_every if options.keep_every else 0)
    return 2 * parameters * min(kept, 2 + best + schedule.steps // options.checkpoint_every) + parameters


def free_bytes(folder: str) -> int:
    """Return the free space where `folder` is or will be."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def schedule_warnings(schedule: Schedule, checkpoint_every: int, images: int) -> List[str]:
    """Return what in the schedule never happens or is too short for the data."""
    warnings = []
    late = [drop for drop in schedule.drops if drop >= schedule.steps]
    if late and not schedule.cosine:
        warnings.append(f"`lr_drops` {','.join(map(str, late))}: never reached, the run has {schedule.steps} steps")
    if schedule.warmup >= schedule.steps:
        warnings.append(f"`warmup_steps`: the warm-up of {schedule.warmup} steps is as long as the run")
    seen = schedule.steps * schedule.images_a_step
    if seen < images:
        warnings.append(
            f"`steps`: {schedule.steps} steps of {schedule.images_a_step} images see {seen} of the {images} images"
        )
    if checkpoint_every > schedule.steps and schedule.steps > 100:
        warnings.append(
            f"`checkpoint_every` {checkpoint_every}: no checkpoint before the end, at step {schedule.steps}"
        )
    return warnings


def epoch_warnings(schedule: Schedule, images: int) -> List[str]:
    """Return a warning if the run sees each image once or more, but fewer than `MIN_EPOCHS` times."""
    epochs = schedule.steps * schedule.images_a_step / images
    if not 1 <= epochs < MIN_EPOCHS:
        return []
    enough = math.ceil(MIN_EPOCHS * images / schedule.images_a_step)
    return [
        f"`steps`: {schedule.steps} steps of {schedule.images_a_step} images see each image {epochs:.1f} times, which "
        f"is rarely enough; {MIN_EPOCHS} times are {enough} steps"
    ]


def refuse_absurd_schedule(schedule: Schedule, images: int) -> None:
    """Raise UserError if the run would see each image more than `MAX_EPOCHS` times."""
    epochs = schedule.steps * schedule.images_a_step / images
    if epochs > MAX_EPOCHS:
        raise UserError(
            f"`steps`: {schedule.steps} steps of {schedule.images_a_step} images would see each of the {images} images "
            f"{epochs:.0f} times; give fewer `steps`, or `preset` laptop"
        )


def _bytes(array: Any) -> int:
    return int(array.size) * 4
