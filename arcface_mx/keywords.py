"""Keyword arguments of Python as the configuration of a run, beside `flags.py` for the command line."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

from arcface_mx.config import TrainConfig, field_table, find_loss, from_flat
from arcface_mx.presets import preset_values
from arcface_mx.synonyms import loss_name, network_name
from arcface_mx.util.settings import Setting, typed


def from_keywords(loss: str, preset: Optional[str], settings: Mapping[str, Setting]) -> TrainConfig:
    """Return the configuration of a run with this loss.

    Lists count as tuples, and a single value counts as a list of one. Raises UserError for an unknown
    setting, a value of another type, and a value out of range.
    """
    kind = find_loss(loss_name(loss))
    fields = field_table(kind)
    values: Dict[str, object] = dict(preset_values(preset, kind)) if preset else {}
    values.update(settings)
    for name in fields.keys() & values.keys():
        default, value = fields[name].default, values[name]
        single = isinstance(default, tuple) and isinstance(value, (str, int))  # eval="lfw.bin", lr_drops=800
        values[name] = typed((value,) if single else value, default, f"`{name}`")
    if "network" in values:
        values["network"] = network_name(str(values["network"]))
    return from_flat({**values, "loss": kind.name})
