"""What a user of the builders alone meets."""

from __future__ import annotations

import ast
import inspect
import pathlib
import re
import subprocess
import sys

import arcface_mx.symbols

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent / "support" / "ten_lines.py"
README = HERE.parents[1] / "README.md"
FOLDER = pathlib.Path(arcface_mx.symbols.__file__).resolve().parent


def test_ten_lines_train_a_network() -> None:
    ran = subprocess.run([sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stderr
    [(name, loss)] = ast.literal_eval(ran.stdout)
    assert name == "loss"
    assert -0.01 < loss < 5.0  # 10 before training


def test_readme_shows_the_script_that_runs() -> None:
    shown = README.read_text(encoding="utf-8")
    assert SCRIPT.read_text(encoding="utf-8") in shown or "from arcface_mx.symbols import" not in shown


def test_every_public_name_says_what_it_does() -> None:
    for name in arcface_mx.symbols.__all__:
        assert inspect.getdoc(getattr(arcface_mx.symbols, name)), name


def test_builders_import_mxnet_and_gluoncv_only() -> None:
    """And one another: no trainer, no NDArray, no file, no **kwargs."""
    allowed = {"mxnet", "gluoncv", "arcface_mx.symbols", "__future__", "typing", "math", "json", "ast", "difflib"}
    for path in FOLDER.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"mx\.nd\b|\bopen\(|\*\*[a-z]\w*\s*:", text), path.name
        assert len(text.splitlines()) < (150 if path.name == "margin.py" else 400), path.name
        for node in ast.walk(ast.parse(text)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for module in modules:
                assert any(module == root or module.startswith(root + ".") for root in allowed), (path.name, module)
