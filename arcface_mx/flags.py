"""Command-line flags of a training run, derived from the fields of the configuration."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import Any, Callable, Dict, Sequence, Tuple, Type, Union

from arcface_mx.config import GROUPS, field_table, find_loss, flag_name
from arcface_mx.losses import LOSSES, ArcFace, Loss
from arcface_mx.synonyms import SAME_FLAGS, SAME_VALUES, loss_name, network_name
from arcface_mx.util.errors import UserError


class _Append(argparse.Action):
    """Collect the values of a repeated flag in a tuple. An empty value empties the tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        before = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, before + (values,) if values else ())


def named_loss(arguments: Sequence[str], default: str = ArcFace.name) -> Type[Loss]:
    """Return the class of the last `--loss` among the arguments of a command line."""
    return find_loss(loss_name(flag_value(arguments, "--loss", default)))


def flag_value(arguments: Sequence[str], flag: str, default: str = "") -> str:
    """Return the last value of a flag in a command line, or `default` if the flag is not there."""
    value = default
    for number, word in enumerate(arguments):
        if word == flag and number + 1 < len(arguments):
            value = arguments[number + 1]
        elif word.startswith(flag + "="):
            value = word[len(flag) + 1 :]
    return value


def add_config_flags(parser: argparse.ArgumentParser, loss: Type[Loss] = ArcFace) -> None:
    """Add one flag for each setting of a run with this loss. Values that are not given stay absent."""
    for name, group in GROUPS.items():
        section = parser.add_argument_group(name, flags_in(_summary(group)))
        for entry in dataclasses.fields(group):
            _add_flag(section, entry)
    section = parser.add_argument_group("words of other projects")
    for flag, (name, value) in SAME_VALUES.items():
        text = f"the same as {flag_name(name)} {value}"
        section.add_argument(flag, dest=name, action="store_const", const=value, default=argparse.SUPPRESS, help=text)
    section = parser.add_argument_group(
        f"loss {loss.name}", f"{loss.summary}. Each loss has its own flags: train --loss NAME --help"
    )
    names = "; ".join(f"{name}: {kind.summary}" for name, kind in LOSSES.items())
    section.add_argument(
        "--loss",
        metavar="NAME",
        type=_checked(loss_name),
        default=argparse.SUPPRESS,
        help=f"{names} (default: {ArcFace.name})".replace("%", "%%"),
    )
    shared = {
        entry.name for parent in loss.__mro__[1:] for entry in getattr(parent, "__dataclass_fields__", {}).values()
    }
    for entry in sorted(dataclasses.fields(loss), key=lambda entry: entry.name in shared):
        _add_flag(section, entry)


def flags_in(text: str) -> str:
    """Return a text in which settings in backticks are written as flags."""
    return re.sub(r"`([a-z]\w*)`", lambda match: flag_name(match.group(1)), text)


def _summary(group: type) -> str:
    return (group.__doc__ or "").splitlines()[0]


def _list_of_numbers(text: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


_list_of_numbers.__name__ = "comma-separated list of whole numbers"  # argparse prints it


def thread_count(text: str) -> int:
    """Return the number of threads that a flag gives, 0 for auto. Raises ValueError if it is none."""
    if text.startswith("-"):
        raise ValueError(text)
    return 0 if text == "auto" else int(text)


thread_count.__name__ = "number of threads"  # argparse prints it


def _checked(rename: Callable[[str], str]) -> Callable[[str], str]:
    """Make argparse print the UserError of a function of `synonyms`."""

    def convert(text: str) -> str:
        try:
            return rename(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(flags_in(str(error).split(": ", 1)[1]))

    return convert


def _add_flag(section: Any, entry: dataclasses.Field[Any]) -> None:
    flag, default = flag_name(entry.name), entry.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    text = f"{flags_in(entry.metadata['help'])} (default: {shown if shown != '' else 'none'})"
    options: Dict[str, Any] = {"dest": entry.name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if isinstance(default, bool):
        section.add_argument(flag, action="store_true", **options)
        options["help"] = argparse.SUPPRESS
        section.add_argument("--no-" + flag[2:], action="store_false", **options)
        return
    if str(entry.type) == "Tuple[str, ...]":
        options["help"] += "; may be repeated"
        section.add_argument(flag, type=str, action=_Append, metavar=entry.name.upper(), **options)
        return
    kind: Union[type, Callable[[str], Any]] = _list_of_numbers if isinstance(default, tuple) else type(default)
    if entry.name == "network":
        kind = _checked(network_name)
    if entry.name == "threads":
        kind = thread_count
    choices = entry.metadata["choices"]
    metavar = f"{{{','.join(choices)}}}" if choices else entry.name.upper()
    section.add_argument(flag, *SAME_FLAGS.get(entry.name, ()), type=kind, metavar=metavar, **options)


def given_values(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the settings that stand on the command line."""
    values = vars(args)
    known = field_table(find_loss(values.get("loss", ArcFace.name)))
    return {name: value for name, value in values.items() if name in known or name == "loss"}
