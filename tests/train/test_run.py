"""The configuration is resolved once: below `resolve` nobody takes it, replaces fields of it or looks a loss up."""

from __future__ import annotations

import ast
import pathlib
import re

import arcface_mx

PACKAGE = pathlib.Path(arcface_mx.__file__).parent
ROOMS = ("train", "parallel", "reader", "losses", "launch", "planning", "model")
# What turns a configuration into objects, compares it with a stored one, or reads it from a run folder.
MAY_TAKE_IT = {
    "train/run.py": {"train"},
    "train/resolve.py": {"resolve", "_record"},
    "planning/workload.py": {"of"},
}


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]


def takes_the_configuration(function):
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return any(argument.annotation and "TrainConfig" in ast.dump(argument.annotation) for argument in arguments)


def test_only_the_resolving_functions_take_the_configuration():
    takers = {}
    for room in ROOMS:
        for path in (PACKAGE / room).glob("*.py"):
            names = {function.name for function in functions(path) if takes_the_configuration(function)}
            if names:
                takers[f"{room}/{path.name}"] = names
    assert takers == MAY_TAKE_IT


def test_no_loss_is_looked_up_by_name_below_the_command_line():
    for room in ROOMS:
        for path in (PACKAGE / room).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bfind_loss\b", text), path
            assert not re.search(r"from arcface_mx.losses import .*LOSSES", text), path


def test_private_names_of_mxnets_module_stand_in_one_file():
    private = ("._exec_group", "._updater", "._optimizer", "._param_names", "._arg_params", "._aux_params")
    for path in PACKAGE.rglob("*.py"):
        if path.name == "mx_module.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and "." + node.attr in private:
                assert isinstance(node.value, ast.Name) and node.value.id == "self", (path, node.lineno)
