"""mypy finds nothing in the package: hints of public functions are what the code does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_mypy_is_clean(tmp_path):
    # mypy reads folders, not setup.py's package_dir: it is shown the package as it installs.
    package = tmp_path / "arcface_mx"
    package.mkdir()
    for name in os.listdir(os.path.join(ROOT, "arcface_mx")):
        os.symlink(os.path.join(ROOT, "arcface_mx", name), package / name)
    for name in ("symbols", "data"):
        os.symlink(os.path.join(ROOT, name), package / name)
    command = [sys.executable, "-m", "mypy", "--config-file", os.path.join(ROOT, "pyproject.toml"), "-p", "arcface_mx"]
    cache = ["--cache-dir", os.path.join(ROOT, ".mypy_cache", "installed")]
    done = subprocess.run(command + cache, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
