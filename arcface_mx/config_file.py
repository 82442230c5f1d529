"""Settings from a file: JSON or YAML, of this version or of 0.1.0."""

from __future__ import annotations

import difflib
import os
from typing import Any, Dict, Mapping, Tuple

from arcface_mx.config import GROUPS, find_loss, settings_from_json
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json

RECORD = "config.json"
YAML = (".yaml", ".yml")

# Version 0.1.0 had one group with the settings of all losses, and the margins of eq. 4 as one loss.
OLD_NAMES = {"photos_a_person": "images_per_identity", "sample_centres": "sample_rate"}
OLD_NAMES_OF_LOSS = {"a_softmax": {"a_softmax_m": "m"}, "triplet": {"triplet_margin": "margin"}}
OLD_POLICIES = {"easy": "easy_margin"}
COMBINED = {(1.0, 0.3, 0.2): "cm1", (0.9, 0.4, 0.15): "cm2"}


def read_settings(path: str) -> Dict[str, Any]:
    """Return {setting: value} of a file; "loss" is the name of the loss.

    Parameters
    ----------
    path : str
        A .json, .yaml or .yml file. Settings stand in the groups of config.json, or without groups.

    Raises
    ------
    UserError
        If the file cannot be read, or holds an unknown setting or a value of another type. The message
        names the file and the entry.
    """
    value = _load(path)
    loss = value.get("loss")
    is_old = isinstance(loss, dict) and "loss" in loss
    return settings_from_json(_of_0_1(value, path) if is_old else value, path)


def _load(path: str) -> Dict[str, Any]:
    if os.path.isdir(path):
        inner = os.path.join(path, RECORD)
        raise UserError(f"{path}: is a folder; give {inner if os.path.isfile(inner) else 'a .json or .yaml file'}")
    is_yaml = path.endswith(YAML)
    try:
        value = _load_yaml(path) if is_yaml else read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {_near_file(path)}")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as {'YAML' if is_yaml else 'JSON'} ({error})")
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds {type(value).__name__}, expected dict")
    return value


def _near_file(path: str) -> str:
    folder, name = os.path.split(path)
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return f"did you mean {os.path.join(folder, near[0])}?" if near else f"is {folder or '.'} a run folder?"


def _load_yaml(path: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise UserError(f"{path}: YAML needs PyYAML: pip install PyYAML, or write the settings as JSON") from None
    with open(path, encoding="utf-8") as stream:
        try:
            return yaml.safe_load(stream)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from None


def _of_0_1(value: Mapping[str, Any], path: str) -> Dict[str, Any]:
    """Return a config.json of version 0.1.0 as one of today. It also held the settings of all other losses."""
    settings = dict(value["loss"])
    name = settings.pop("loss")
    try:
        if name == "margin":
            name, margins = _margin_loss(settings["m1"], settings["m2"], settings["m3"])
            settings.update(margins)
        names = {**OLD_NAMES, **OLD_NAMES_OF_LOSS.get(name, {})}
        settings = {names.get(key, key): entry for key, entry in settings.items() if key not in names.values()}
        if "policy" in settings:
            settings["policy"] = OLD_POLICIES.get(settings["policy"], settings["policy"])
        known = find_loss(name).__dataclass_fields__
        groups = {
            group: {OLD_NAMES.get(key, key): entry for key, entry in value.get(group, {}).items()} for group in GROUPS
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a whole configuration of version 0.1.0 ({error!r})") from None
    return {**groups, "loss": {"name": name, **{key: entry for key, entry in settings.items() if key in known}}}


def _margin_loss(m1: float, m2: float, m3: float) -> Tuple[str, Dict[str, float]]:
    """Return the loss of today with these margins of eq. 4, and its own margin."""
    if (m1, m2, m3) in COMBINED:
        return COMBINED[m1, m2, m3], {}
    if m1 == 1.0 and m3 == 0.0:
        return "arcface", {"m": m2}
    if m1 == 1.0 and m2 == 0.0:
        return "cosface", {"m": m3}
    if m2 == 0.0 and m3 == 0.0:
        return "sphereface", {"m": m1}
    return "combined", {}
