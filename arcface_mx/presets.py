"""Named sets of defaults for a training run, and the one that fits. A flag on the command line overrides them."""

from __future__ import annotations

import difflib
import os
from typing import Any, Dict, Mapping, Optional, Tuple, Type

from arcface_mx.config import OptimizerConfig, field_table
from arcface_mx.losses import Loss
from arcface_mx.util.errors import UserError

# Section 3.1 of the paper: the defaults of config.py. Another batch size keeps the number of images.
PAPER: Mapping[str, Any] = {"schedule_batch": 512, "eval_every": 2000}
# Section 3.1 too: the schedule for MS1MV2 with 85,742 classes. CASIA-WebFace has 10,572; the limit is between them.
LARGE_SCHEDULE: Mapping[str, Any] = {"steps": 180_000, "lr_drops": (100_000, 160_000)}
LARGE_CLASSES = 30_000

# Small images, a small network, and as many steps as three minutes on two cores allow. Scale, ramp and
# warm-up are not the paper's: from scratch, s = 64 and m = 0.5 do not start to learn in so few steps.
LAPTOP: Mapping[str, Any] = {
    "network": "iresnet18",
    "width": 0.25,
    "embedding_size": 128,
    "dropout": 0.0,
    "image_size": 32,
    "batch_size": 128,
    "scale": 32.0,
    "margin_ramp": 0.4,
    "lambda_ramp": 0.4,
    "warmup_steps": 80,
    "steps": 1150,
    "lr_drops": (740, 1025),
    "log_every": 100,
}
FEW_IMAGES = 100_000  # the paper's schedule on fewer images takes days without a GPU

# For 3,735 people and 45,257 photographs: ten epochs. recipes/results/photographs/trials.md has the trials.
PHOTOGRAPHS: Mapping[str, Any] = {
    **LAPTOP,
    "batch_size": 64,
    "warmup_steps": 300,
    "steps": 7200,
    "lr_drops": (4628, 6428),
}

# The class centres are new and learn fast. The network is trained already and moves slowly: at 0.03 of the
# rate a published model fell from 99 % to chance (recipes/results/everyday.md).
FINE_TUNE: Mapping[str, Any] = {
    "network": "init",
    "freeze_batchnorm": True,
    "batch_size": 64,
    "scale": 32.0,
    "margin_ramp": 0.5,
    "lr_mult": ("^(?!fc7)=0.0003",),
    "warmup_steps": 20,
    "steps": 60,
    "lr_drops": (45,),
    "log_every": 20,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": PAPER,
    "laptop": LAPTOP,
    "photographs": PHOTOGRAPHS,
    "fine-tune": FINE_TUNE,
}
OF_SOME_LOSSES = ("scale", "margin_ramp", "lambda_ramp")  # settings that not every loss has


def preset_values(
    name: str, loss: Type[Loss], given: Optional[Mapping[str, Any]] = None, classes: int = 0
) -> Dict[str, Any]:
    """Return the settings of a preset that a run with this loss has.

    Parameters
    ----------
    name : str
    loss : type
    given : mapping, optional
        Settings that the user gives. Another number of steps, without `lr_drops`, shortens or lengthens the
        schedule as a whole. With `literal` the margin has no ramp, because Algorithm 1 has none.
    classes : int
        Number of classes of the training set, if it is known. The preset "paper" has a longer schedule for
        many classes, unless the user gives one.

    Raises
    ------
    UserError
        If there is no preset of this name.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"`preset` must be one of {', '.join(PRESETS)}, got {name}{hint}")
    known, given = field_table(loss), given or {}
    values = {key: value for key, value in PRESETS[name].items() if key in known or key not in OF_SOME_LOSSES}
    if name == "paper" and classes >= LARGE_CLASSES and not {"steps", "lr_drops"} & set(given):
        values.update(LARGE_SCHEDULE)
    if "steps" in given and "lr_drops" not in given:
        share = given["steps"] / values.get("steps", OptimizerConfig.steps)
        drops = values.get("lr_drops", OptimizerConfig.lr_drops)
        values["lr_drops"] = tuple(sorted({max(1, int(drop * share)) for drop in drops}))
        if "warmup_steps" in values:
            values["warmup_steps"] = int(values["warmup_steps"] * share)
    if given.get("literal"):
        values.pop("margin_ramp", None)
    return values


def choose_preset(given: Mapping[str, Any]) -> Tuple[str, str]:
    """Return the preset that fits what the user gives, and one line that says why.

    Both are empty without data, and with several workers, which have to agree.
    """
    if given.get("kvstore", "local") not in ("local", "device"):
        return "", ""
    if given.get("init"):
        return "fine-tune", "`init` names a model"
    images = _count_images(given.get("data", ""))
    if not images:
        return "", ""
    if "gpu" in given.get("devices", ""):
        return "paper", "the run uses GPUs"
    if images < FEW_IMAGES:
        return "laptop", f"the run uses no GPU, and {given['data']} has {images} images"
    return "paper", f"{given['data']} has {images} images"


def count_classes(data: str) -> int:
    """Return the number of classes that the file `property` of a training set states, 0 if it cannot be read."""
    try:
        with open(os.path.join(data, "property"), encoding="ascii") as stream:
            return int(stream.read(100).split(",")[0])
    except (OSError, ValueError):
        return 0


def _count_images(data: str) -> int:
    """Return the number of records in a training set's index, less its header; 0 if there is no index."""
    try:
        with open(os.path.join(data, "train.idx"), "rb") as stream:
            records = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    except OSError:
        return 0
    return max(0, records - 1 - count_classes(data))  # each identity has a record too
