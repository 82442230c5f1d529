"""Every public name has a numpydoc docstring: those in `__all__` of a room, and their public methods."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import arcface_mx

validation = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed (extra `dev`)")

CODES = {
    "GL03",  # no double blank lines
    "GL06",  # sections have known names
    "GL07",  # and the standard order
    "GL08",  # there is a docstring
    "SS01",  # with a summary
    "SS03",  # that ends with a full stop
    "SS06",  # and fits on one line
    "PR01",  # every parameter is documented
    "PR02",  # and no other
    "PR03",  # in the order of the signature
    "PR04",  # with its type
    "PR09",  # and a description, if there is one, that ends with a full stop
    "PR10",  # "name : type"
    "RT01",  # what is returned is documented
    "RT05",  # and a description, if there is one, ends with a full stop
    "YD01",  # what is yielded is documented
}


# Where the names of `import arcface_mx as am` are defined.
FRONT_DOOR = ["arcface_mx.faces.detect", "arcface_mx.model.api", "arcface_mx.train.api", "arcface_mx.verify.api"]


def rooms():
    """The packages of arcface_mx that state their public names, and the modules of the front door."""
    names = FRONT_DOOR + [
        found.name for found in pkgutil.walk_packages(arcface_mx.__path__, "arcface_mx.") if found.ispkg
    ]
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def public_names():
    """Functions, classes and public methods of classes, by their import path; constants have no docstring."""
    for room in rooms():
        for name in importlib.import_module(room).__all__:
            value = getattr(importlib.import_module(room), name)
            if inspect.isclass(value):
                methods = [key for key in vars(value) if inspect.isroutine(getattr(value, key)) and key[0] != "_"]
                yield f"{room}.{name}"
                yield from (f"{room}.{name}.{key}" for key in methods if not inherits_docstring(value, key))
            elif inspect.isroutine(value):
                yield f"{room}.{name}"


def inherits_docstring(cls, method):
    """A method without a docstring that overrides one with a docstring has its documentation there."""
    return not vars(cls)[method].__doc__ and bool(inspect.getdoc(getattr(cls, method)))


def needs_no_entry(cls):
    """Parameters of a class that need no entry: fields listed under Attributes, and those of no constructor."""
    names = set()
    if "Attributes\n" in (cls.__doc__ or ""):
        names.update(getattr(cls, "__dataclass_fields__", ()), getattr(cls, "_fields", ()))
    if cls.__init__ in (object.__init__, Exception.__init__) or getattr(cls, "_is_protocol", False):
        names.update(("*args", "**kwargs"))
    return names


def is_excused(code, text, value):
    if code == "PR01" and inspect.isclass(value):
        return set(re.findall(r"'([^']+)'", text)) <= needs_no_entry(value)
    if code == "PR03":
        return hasattr(value, "__dataclass_fields__")  # inherited fields come first in the signature
    if code in ("RT01", "YD01") and not inspect.isclass(value):
        # What has no parameters may say in its summary what it returns.
        in_summary = re.match(r"(Return|Yield|Whether)", inspect.getdoc(value) or "")
        return bool(in_summary) and not set(inspect.signature(value).parameters) - {"self", "cls"}
    return False


def errors_of(path):
    report, value = validation.validate(path), validation.Validator._load_obj(path)
    errors = [(code, text) for code, text in report["errors"] if code in CODES and not is_excused(code, text, value)]
    return [f"{report['file']}:{report['file_line']} {path}: {code} {text}" for code, text in errors]


def test_rooms_state_their_public_names():
    assert {"arcface_mx.symbols", "arcface_mx.model"} <= set(rooms())


@pytest.mark.parametrize("path", list(public_names()))
def test_public_docstring_is_numpydoc(path):
    assert not errors_of(path), "\n".join(errors_of(path))
