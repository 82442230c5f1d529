"""Compare values from JSON files with the form that is expected, because other programs can write such files too."""

from __future__ import annotations

import math
from typing import Any, Mapping, NamedTuple

NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
MAX_INT = 1 << 53


class OrNull(NamedTuple):
    """A value of this form, or null."""

    form: Any


def check_form(value: Any, form: Any, where: str = "") -> None:
    """Raise ValueError, naming the place in the file, if a JSON value has another form.

    Parameters
    ----------
    value : object
        What `read_json` returned.
    form : type, list, dict or OrNull
        ``str``, ``int``, ``float`` (also whole numbers; finite), ``bool``, ``dict`` or ``list``; ``[form]``
        for a list; ``{str: form}`` for an object with any keys; ``{"key": form, "other?": form}`` for an
        object with these keys, where "?" marks keys that may be absent. Other keys are accepted.
    where : str
        The place of the value in the file.
    """
    if isinstance(form, OrNull):
        if value is not None:
            check_form(value, form.form, where)
    elif isinstance(form, list):
        _check_type(value, list, where)
        for number, entry in enumerate(value):
            check_form(entry, form[0], f"{where}[{number}]")
    elif isinstance(form, dict):
        _check_type(value, dict, where)
        _check_entries(value, form, where)
    else:
        _check_type(value, form, where)


def _check_entries(value: Mapping[str, Any], form: Mapping[Any, Any], where: str) -> None:
    dot = where + "." if where else ""
    if str in form:
        for key, entry in value.items():
            _check_type(key, str, where)
            check_form(entry, form[str], f"{dot}{key:.40}")
        return
    for key, part in form.items():
        name = key.rstrip("?")
        if name in value:
            check_form(value[name], part, dot + name)
        elif name == key:
            raise ValueError(f"it has no {dot}{name}")


def _check_type(value: Any, kind: type, where: str) -> None:
    valid = type(value) is kind or (kind is float and type(value) is int)
    if valid and kind in (int, float):
        valid = abs(value) <= MAX_INT if type(value) is int else math.isfinite(value)
    if valid and kind is str:
        valid = "\0" not in value and _can_be_written(value)
    if not valid:
        raise ValueError(f"{where or 'it'} is {value!r:.60}, not {NAMES[kind]}")


def _can_be_written(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
