"""Named sets of defaults for a training run. A flag on the command line overrides them."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Type

from arcface_mx.config import field_table
from arcface_mx.losses import Loss
from arcface_mx.util.errors import UserError

# Section 3.1 of the paper: the defaults of config.py. Another batch size keeps the number of images.
PAPER: Mapping[str, Any] = {"schedule_batch": 512}

# Small images, a small network, and as many steps as six minutes on two cores allow. Scale, ramp and
# warm-up are not the paper's: from scratch, s = 64 and m = 0.5 do not start to learn in so few steps.
LAPTOP: Mapping[str, Any] = {
    "network": "iresnet18",
    "width": 0.25,
    "embedding_size": 128,
    "dropout": 0.0,
    "image_size": 48,
    "batch_size": 128,
    "scale": 32.0,
    "margin_ramp": 0.4,
    "lambda_ramp": 0.4,
    "warmup_steps": 150,
    "steps": 1400,
    "lr_drops": (900, 1250),
    "log_every": 100,
}

# For whole tables: images of 32 pixels cost less than half.
TABLE: Mapping[str, Any] = {**LAPTOP, "image_size": 32}

# For 3,735 people and 45,257 photographs: ten epochs. recipes/results/photographs/trials.md has the trials.
PHOTOGRAPHS: Mapping[str, Any] = {
    **TABLE,
    "batch_size": 64,
    "warmup_steps": 300,
    "steps": 7200,
    "lr_drops": (4628, 6428),
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": PAPER,
    "laptop": LAPTOP,
    "table": TABLE,
    "photographs": PHOTOGRAPHS,
}
OF_SOME_LOSSES = ("scale", "margin_ramp", "lambda_ramp")  # settings that not every loss has


def preset_values(name: str, loss: Type[Loss], given: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """Return the settings of a preset that a run with this loss has.

    Parameters
    ----------
    name : str
    loss : type
    given : mapping, optional
        Settings that the user gives. With `literal` the margin has no ramp, because Algorithm 1 has none.

    Raises
    ------
    UserError
        If there is no preset of this name.
    """
    if name not in PRESETS:
        raise UserError(f"`preset` must be one of {', '.join(PRESETS)}, got {name}")
    known = field_table(loss)
    values = {key: value for key, value in PRESETS[name].items() if key in known or key not in OF_SOME_LOSSES}
    if (given or {}).get("literal"):
        values.pop("margin_ramp", None)
    return values
