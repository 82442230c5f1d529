"""What can be seen to go wrong before the first step: disk, memory, the schedule's clock, labels."""

from __future__ import annotations

import math
import os
import re
import shutil
from typing import Any, List, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.util.errors import UserError
from arcface_mx.reader.image_view import ImageView
from arcface_mx.train.schedule import Schedule

MB = 1 << 20
EXACT = 1 << 24  # labels reach the graph as float32, which holds whole numbers up to here


def preflight(config: TrainConfig, schedule: Schedule, view: ImageView, module: Any) -> Tuple[List[str], List[str]]:
    """(lines to say, warnings) about a run whose module is bound and started.

    Raises UserError where the run cannot end well: more classes than a float32 label tells apart, or
    no room for its checkpoints.
    """
    if view.num_classes > EXACT and config.run.parallel == "data":
        raise UserError(
            "%s: %d classes; labels are float32, exact up to %d; --parallel centres numbers them on each device"
            % (config.data.data, view.num_classes, EXACT)
        )
    parameters = sum(_bytes(arrays[0]) for arrays in module._exec_group.param_arrays)
    needed, free = checkpoint_room(config, schedule, stored_bytes(module)), free_bytes(config.run.run)
    if needed > free:
        raise UserError(
            "%s: its checkpoints need %d MB, and the disk has %d MB free; make room, or keep fewer "
            "(--keep-checkpoints, --keep-every)" % (config.run.run, -(-needed // MB), free // MB)
        )
    layers = max(_planned_mb(executor) for executor in module._exec_group.execs)
    layers += max([_planned_mb(executor) for executor in getattr(module, "head_executors", ())], default=0)
    say, warnings = [], clock(schedule, config, view.images)
    say.append("room: checkpoints %d MB on disk (%d MB free); memory %d MB a device for layers, parameters, gradients and momentum" % (
        -(-needed // MB), free // MB, layers + 3 * parameters // MB))  # fmt: skip
    on_cpu = sum(context.device_type == "cpu" for context in module._context)
    left = available_memory()
    if on_cpu and left and on_cpu * (layers * MB + 3 * parameters) > left:
        warnings.append("the plan takes %d MB of memory and %d MB are free: lower --batch-size, with --accumulate to make up for it" % (
            on_cpu * (layers + 3 * parameters // MB), left // MB))  # fmt: skip
    return say, warnings


def stored_bytes(module: Any) -> int:
    """Bytes of the parameters as a checkpoint holds them: once, and whole where devices hold parts."""
    split = getattr(module, "whole_shapes", {})
    arrays = zip(module._param_names, module._exec_group.param_arrays)
    return sum(4 * math.prod(split[name]) if name in split else _bytes(own[0]) for name, own in arrays)


def checkpoint_room(config: TrainConfig, schedule: Schedule, parameters: int) -> int:
    """Bytes that a run's checkpoints and export take at most: values and momentum, the one being written included."""
    run = config.run
    kept = run.keep_checkpoints + 1 + (schedule.steps // run.keep_every if run.keep_every else 0)
    return 2 * parameters * min(kept, 2 + schedule.steps // run.checkpoint_every) + parameters


def free_bytes(folder: str) -> int:
    """Free space where `folder` is or will be."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def clock(schedule: Schedule, config: TrainConfig, images: int) -> List[str]:
    """What in the schedule never happens or is too short for the data."""
    found = []
    late = [drop for drop in schedule.drops if drop >= schedule.steps]
    if late and not schedule.cosine:
        found.append("--lr-drops %s: never reached, the run has %d steps" % (",".join(map(str, late)), schedule.steps))
    if schedule.warmup >= schedule.steps:
        found.append("--warmup-steps: the warm-up of %d steps is as long as the run" % schedule.warmup)
    if schedule.steps * schedule.images_a_step < images:
        found.append("--steps: %d steps of %d images see %d of the %d images" % (
            schedule.steps, schedule.images_a_step, schedule.steps * schedule.images_a_step, images))  # fmt: skip
    if config.run.checkpoint_every > schedule.steps and schedule.steps > 100:
        found.append("--checkpoint-every %d: no checkpoint before the end, at step %d" % (config.run.checkpoint_every, schedule.steps))
    return found


def available_memory() -> int:
    """Bytes of memory that this process can still take, 0 where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            words = dict(line.split(":", 1) for line in stream)
        left = int(words["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 0
    try:  # a container's own limit
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit, open("/sys/fs/cgroup/memory.current", encoding="ascii") as used:
            left = min(left, int(limit.read()) - int(used.read()))
    except (OSError, ValueError):
        pass
    return max(0, left)


def _bytes(array: Any) -> int:
    return int(array.size) * 4


def _planned_mb(executor: Any) -> int:
    match = re.search(r"Total (\d+) MB allocated", executor.debug_str())
    return int(match.group(1)) if match else 0
