"""Every public name has a numpydoc docstring: those in `__all__` of a room, and their public methods."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

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


def rooms():
    """The packages of arcface_mx that state their public names."""
    names = [found.name for found in pkgutil.walk_packages(arcface_mx.__path__, "arcface_mx.") if found.ispkg]
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def is_documented_by_its_fields(value):
    """Named tuples and data classes may list their fields under Attributes instead of Parameters."""
    return inspect.isclass(value) and (hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__"))


def public_names():
    """Functions, classes and public methods of classes, by their import path; constants have no docstring."""
    for room in rooms():
        for name in importlib.import_module(room).__all__:
            value = getattr(importlib.import_module(room), name)
            if inspect.isclass(value):
                methods = [key for key, entry in vars(value).items() if inspect.isroutine(getattr(value, key))]
                # A method without a docstring that overrides another one has that method's docstring.
                bases = [vars(base) for base in value.__mro__[1:-1]]
                methods = [key for key in methods if vars(value)[key].__doc__ or not any(key in base for base in bases)]
                yield f"{room}.{name}"
                yield from (f"{room}.{name}.{key}" for key in methods if not key.startswith("_"))
            elif inspect.isroutine(value):
                yield f"{room}.{name}"


def errors_of(path):
    report = validation.validate(path)
    errors = [(code, text) for code, text in report["errors"] if code in CODES]
    value = validation.Validator._load_obj(path)
    if is_documented_by_its_fields(value) and "Attributes\n" in (value.__doc__ or ""):
        errors = [(code, text) for code, text in errors if code != "PR01"]
    return [f"{report['file']}:{report['file_line']} {path}: {code} {text}" for code, text in errors]


def test_rooms_state_their_public_names():
    assert {"arcface_mx.symbols", "arcface_mx.model"} <= set(rooms())


@pytest.mark.parametrize("path", list(public_names()))
def test_public_docstring_is_numpydoc(path):
    assert not errors_of(path), "\n".join(errors_of(path))
