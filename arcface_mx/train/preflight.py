"""What can be seen to go wrong before the first step: disk, memory, the schedule's clock, labels."""

from __future__ import annotations

import math
import os
import re
import shutil
from typing import Any, List, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.reader.image_view import ImageView
from arcface_mx.train.schedule import Schedule
from arcface_mx.util.errors import UserError

MB = 1 << 20
EXACT = 1 << 24  # labels reach the graph as float32, which holds whole numbers up to here


def preflight(config: TrainConfig, schedule: Schedule, view: ImageView, module: Any) -> Tuple[List[str], List[str]]:
    """(lines to say, warnings) about a run whose module is bound and started.

    Raises UserError where the run cannot end well: more classes than a float32 label tells apart, or
    no room for its checkpoints.
    """
    if view.num_classes > EXACT and config.run.parallel == "data":
        raise UserError(
            f"{config.data.data}: {view.num_classes} classes; labels are float32, exact up to {EXACT}; "
            "--parallel centres numbers them on each device"
        )
    parameters = sum(_bytes(arrays[0]) for arrays in module._exec_group.param_arrays)
    needed, free = checkpoint_room(config, schedule, stored_bytes(module)), free_bytes(config.run.run)
    if needed > free:
        raise UserError(
            f"{config.run.run}: its checkpoints need {-(-needed // MB)} MB, and the disk has {free // MB} "
            "MB free; make room, or keep fewer (--keep-checkpoints, --keep-every)"
        )
    layers = max(_planned_mb(executor) for executor in module._exec_group.execs)
    layers += max([_planned_mb(executor) for executor in getattr(module, "head_executors", ())], default=0)
    say, warnings = [], clock(schedule, config, view.images)
    say.append(
        f"room: checkpoints {-(-needed // MB)} MB on disk ({free // MB} MB free); memory "
        f"{layers + 3 * parameters // MB} MB a device for layers, parameters, gradients and momentum"
    )
    on_cpu = sum(context.device_type == "cpu" for context in module._context)
    left = available_memory()
    if on_cpu and left and on_cpu * (layers * MB + 3 * parameters) > left:
        warnings.append(
            f"the plan takes {on_cpu * (layers + 3 * parameters // MB)} MB of memory and {left // MB} MB "
            "are free: lower --batch-size, with --accumulate to make up for it"
        )
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
        found.append(f"--lr-drops {','.join(map(str, late))}: never reached, the run has {schedule.steps} steps")
    if schedule.warmup >= schedule.steps:
        found.append(f"--warmup-steps: the warm-up of {schedule.warmup} steps is as long as the run")
    if schedule.steps * schedule.images_a_step < images:
        found.append(
            f"--steps: {schedule.steps} steps of {schedule.images_a_step} images see "
            f"{schedule.steps * schedule.images_a_step} of the {images} images"
        )
    if config.run.checkpoint_every > schedule.steps and schedule.steps > 100:
        found.append(
            f"--checkpoint-every {config.run.checkpoint_every}: no checkpoint before the end, at step {schedule.steps}"
        )
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
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit, open(
            "/sys/fs/cgroup/memory.current", encoding="ascii"
        ) as used:
            left = min(left, int(limit.read()) - int(used.read()))
    except (OSError, ValueError):
        pass
    return max(0, left)


def _bytes(array: Any) -> int:
    return int(array.size) * 4


def _planned_mb(executor: Any) -> int:
    match = re.search(r"Total (\d+) MB allocated", executor.debug_str())
    return int(match.group(1)) if match else 0
