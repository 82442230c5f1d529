"""A package that can be called, because its name is also the natural name of a function."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType


class _CallablePackage(ModuleType):
    """A package whose call is the call of the function `api.NAME`, where NAME is the package's own name."""

    @property
    def __wrapped__(self) -> object:
        return getattr(importlib.import_module(self.__name__ + ".api"), self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__wrapped__)  # type: ignore[arg-type]

    def __call__(self, *positional: object, **named: object) -> object:
        return self.__wrapped__(*positional, **named)  # type: ignore[operator]


def make_callable(package: str) -> None:
    """Let a call of the package `a.b` be a call of `a.b.api.b`, which is imported then."""
    sys.modules[package].__class__ = _CallablePackage
