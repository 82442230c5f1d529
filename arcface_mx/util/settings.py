"""Settings as dataclass fields: default, range, choices and help text stand in one place.

Flags, checks and `config.json` are derived from such fields (`arcface_mx/flags.py`, `config.py`).
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Optional, Sequence, Tuple, Union

from arcface_mx.util.errors import UserError

Setting = Union[bool, int, float, str, Sequence[int], Sequence[str]]  # the value of a setting


def setting(
    default: Any,
    help: str,
    low: Optional[float] = None,
    high: Optional[float] = None,
    choices: Tuple[str, ...] = (),
    same_run: bool = False,
    common: bool = False,
) -> Any:
    """Declare a dataclass field with its documentation and its limits.

    Parameters
    ----------
    default : bool, int, float, str or tuple
        Default value. Its type is the type of the setting.
    help : str
        One sentence for ``--help``, with the unit.
    low, high : float, optional
        Smallest and largest allowed value.
    choices : tuple of str
        Allowed values of a text; empty if every text is allowed.
    same_run : bool
        Whether a resumed run may change the value because the result does not depend on it.
    common : bool
        Whether all rows of a table share the value, so that it does not tell rows apart.
    """
    metadata = {
        "help": help,
        "low": low,
        "high": high,
        "choices": choices,
        "same_run": same_run,
        "common": common,
    }
    return dataclasses.field(default=default, metadata=metadata)


def document_settings(cls: type) -> None:
    """Append a numpydoc section with the settings of a dataclass to its docstring."""
    lines = ["", "", "Parameters", "----------"]
    for entry in dataclasses.fields(cls):
        meta = entry.metadata
        limits = f" In {meta['low']} to {meta['high']}." if meta["low"] is not None else ""
        choices = f" One of {', '.join(meta['choices'])}." if meta["choices"] else ""
        text = meta["help"][0].upper() + meta["help"][1:]
        lines += [f"{entry.name} : {type(entry.default).__name__}", f"    {text}.{limits}{choices}"]
    cls.__doc__ = inspect.cleandoc(cls.__doc__ or "") + "\n".join(lines) + "\n"


def check_settings(values: Any) -> None:
    """Raise UserError, naming the setting, if a value of a dataclass instance is out of its limits."""
    for entry in dataclasses.fields(values):
        value, limits = getattr(values, entry.name), entry.metadata
        if limits["low"] is not None and not limits["low"] <= value <= limits["high"]:  # also refuses NaN
            raise UserError(f"`{entry.name}` must lie in {limits['low']} to {limits['high']}, got {value!r}")
        if limits["choices"] and value not in limits["choices"]:
            raise UserError(f"`{entry.name}` must be one of {', '.join(limits['choices'])}, got {value!r}")


def _is_plain(text: str) -> bool:
    """Return whether a text can be written to a file and be a part of a file's name."""
    try:
        return "\0" not in text and text.encode("utf-8", "surrogateescape") is not None
    except UnicodeEncodeError:
        return False


def typed(value: Any, default: Any, where: str) -> Any:
    """Return a JSON value as the type of `default`; raise UserError, naming `where`, if it has another type."""
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(value)
    if isinstance(default, float) and type(value) is int and abs(value) < 1 << 53:
        return float(value)
    if type(value) is not type(default) or (isinstance(value, str) and not _is_plain(value)):
        raise UserError(f"{where} is {value!r:.60}; expected a value like {default!r}")
    return value
