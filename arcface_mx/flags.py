"""Command-line flags derived from the configuration's dataclasses."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, Callable, Dict, Tuple, Union

from arcface_mx import config


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], Tuple[Any, ...]]:
    def parse(text: str) -> Tuple[Any, ...]:
        return tuple(kind(part) for part in text.split(",") if part)

    parse.__name__ = f"comma-separated list of {kind.__name__}"  # argparse prints it
    return parse


# Fields whose items are texts; each flag may be given several times.
_TEXT_LISTS = ("eval", "freeze", "lr_mult", "loss_option")


class _Append(argparse.Action):
    """Collect the values of a repeated flag in a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        before = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, before + (values,) if values else ())


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag a field, in the groups of TrainConfig. Values not given stay absent."""
    for name, group in config.GROUPS.items():
        section = parser.add_argument_group(name, (group.__doc__ or "").splitlines()[0])
        for entry in dataclasses.fields(group):
            _add_flag(section, entry)


def _add_flag(section: Any, entry: dataclasses.Field[Any]) -> None:
    flag, default = config.flag_name(entry.name), entry.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    text = f"{entry.metadata['help']} (default: {shown if shown != '' else 'none'})"
    options: Dict[str, Any] = {"dest": entry.name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if isinstance(default, bool):
        section.add_argument(flag, action="store_true", **options)
        options["help"] = argparse.SUPPRESS
        section.add_argument("--no-" + flag[2:], action="store_false", **options)
        return
    kind: Union[type, Callable[[str], Any]] = type(default)
    if entry.name in _TEXT_LISTS:
        options["help"] += "; may be repeated"
        section.add_argument(flag, type=str, action=_Append, metavar=entry.name.upper(), **options)
        return
    if isinstance(default, tuple):
        kind = _list_of(int)
    metavar = entry.metadata["choices"] and "{{{}}}".format(",".join(entry.metadata["choices"]))
    section.add_argument(flag, type=kind, metavar=metavar or entry.name.upper(), **options)


def given_values(args: argparse.Namespace) -> Dict[str, Any]:
    """The configuration fields that stand on the command line."""
    names = {f.name for group in config.GROUPS.values() for f in dataclasses.fields(group)}
    return {name: value for name, value in vars(args).items() if name in names}
