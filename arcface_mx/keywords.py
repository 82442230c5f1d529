"""Keyword arguments of Python as the configuration of a run, beside `flags.py` for the command line."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

from arcface_mx.config import TrainConfig, field_table, find_loss, from_flat
from arcface_mx.presets import count_classes, preset_values
from arcface_mx.synonyms import loss_name, network_name
from arcface_mx.util.settings import Setting, typed


def from_keywords(loss: str, preset: Optional[str], settings: Mapping[str, Setting]) -> TrainConfig:
    """Return the configuration of a run with this loss.

    Lists count as tuples, and a single value counts as a list of one. Raises UserError for an unknown
    setting, a value of another type, and a value out of range.
    """
    kind = find_loss(loss_name(loss))
    fields = field_table(kind)
    given: Dict[str, Setting] = dict(settings)
    for name in fields.keys() & given.keys():
        default, value = fields[name].default, given[name]
        single = isinstance(default, tuple) and isinstance(value, (str, int))  # eval="lfw.bin", lr_drops=800
        given[name] = typed((value,) if single else value, default, f"`{name}`")
    values: Dict[str, object] = {}
    if preset:
        values = preset_values(preset, kind, given, count_classes(str(given.get("data", ""))))
    values.update(given)
    if "network" in values:
        values["network"] = network_name(str(values["network"]))
    return from_flat({**values, "loss": kind.name})
