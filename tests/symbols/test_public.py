"""The builders can be used alone: their example runs, and they depend on MXNet and GluonCV only."""

from __future__ import annotations

import ast
import inspect
import pathlib
import subprocess
import sys
from typing import Iterator, Tuple

import pytest

import arcface_mx.symbols

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent / "support" / "ten_lines.py"
FOLDER = pathlib.Path(arcface_mx.symbols.__file__).resolve().parent
PAGE = FOLDER / "README.md"
FILES = sorted(FOLDER.rglob("*.py"))

IMPORTS = {"mxnet", "gluoncv", "arcface_mx.symbols", "__future__", "typing", "math", "json", "ast", "difflib"}


@pytest.mark.slow
def test_ten_lines_train_a_network() -> None:
    ran = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    [(name, loss)] = ast.literal_eval(ran.stdout)
    assert name == "loss"
    assert -0.01 < loss < 5.0  # 10 before training


def test_page_shows_the_script_that_runs() -> None:
    assert SCRIPT.read_text(encoding="utf-8") in PAGE.read_text(encoding="utf-8")


def test_page_lists_every_public_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in arcface_mx.symbols.__all__:
        assert f"`{name}`" in page, name


def test_every_public_name_has_a_docstring() -> None:
    for name in arcface_mx.symbols.__all__:
        assert inspect.getdoc(getattr(arcface_mx.symbols, name)), name


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def names_used(tree: ast.AST) -> Iterator[Tuple[str, int]]:
    """Names and attributes such as `open` and `mx.nd`, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_builders_import_mxnet_gluoncv_and_one_another_only(path: pathlib.Path) -> None:
    for module in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
        assert any(module == root or module.startswith(root + ".") for root in IMPORTS), module


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_builders_touch_neither_arrays_nor_files_nor_unnamed_arguments(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name, line in names_used(tree):
        assert name not in ("open", "mx.nd", "mx.np"), f"line {line}: {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"line {node.lineno}: **{node.args.kwarg and node.args.kwarg.arg}"
