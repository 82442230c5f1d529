"""Wheel and source archive contain the whole package, and the package runs away from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from arcface_mx import __version__

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the files in git, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = os.path.join(ROOT, name)
        if os.path.lexists(path) and not name.startswith(("tests/", "recipes/results/")):
            os.makedirs(os.path.dirname(folder / name), exist_ok=True)
            shutil.copy(path, folder / name, follow_symlinks=False)
    return folder


def setup(source, *arguments):
    subprocess.run([sys.executable, "setup.py", "-q", *arguments], cwd=source, check=True, capture_output=True)


def package_files(source):
    """Paths of the package's Python and data files, as they are installed."""
    paths = set()
    for folder, _, names in os.walk(source / "arcface_mx", followlinks=True):
        within = os.path.relpath(folder, source)
        if within.startswith(tuple(os.path.join("arcface_mx", "recipes", name) for name in ("bench", "results"))):
            continue  # scripts for a checkout, and what was measured
        for name in names:
            if within.startswith(os.path.join("arcface_mx", "recipes")) and name.endswith(".py"):
                continue  # makes pages of a checkout
            if name.endswith((".py", ".csv", ".cc", ".h", ".sh", ".json")) or name == "py.typed":
                paths.add(os.path.relpath(os.path.join(folder, name), source))
    return paths


@pytest.mark.slow
def test_built_package_is_complete_and_runs(source, tmp_path):
    setup(source, "build", "--build-base", str(tmp_path / "build"))
    lib = tmp_path / "build" / "lib"
    built = {os.path.relpath(path, lib) for path in lib.rglob("*") if path.is_file()}
    assert built == package_files(source)
    names = ("paper.csv", "paper_angles.csv", "softmax.sh", "lib/common.sh")
    recipes = {f"arcface_mx/recipes/{name}" for name in names}
    assert {"arcface_mx/symbols/margin.py", *recipes} <= built
    code = (
        "import arcface_mx, arcface_mx.data, arcface_mx.symbols as s; import os;"
        "from arcface_mx.data.orl.orl import LANDMARKS; from arcface_mx.report.paper import default_path;"
        "assert os.path.exists(LANDMARKS) and os.path.exists(default_path()); print(arcface_mx.__file__, s.__file__)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(lib)),
        capture_output=True,
        text=True,
    )
    expected = [str(lib / "arcface_mx/__init__.py"), str(lib / "arcface_mx/symbols/__init__.py")]
    assert shown.stdout.split() == expected, shown.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "arcface_mx", "recipe"],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(lib)),
        capture_output=True,
        text=True,
    )
    assert "\narcface_m0.50 " in listed.stdout, listed.stderr


@pytest.mark.slow
def test_source_archive_contains_the_same_package(source, tmp_path):
    setup(source, "sdist", "--dist-dir", str(tmp_path))
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path)
    unpacked = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert package_files(unpacked) == package_files(source)
    for name in ("LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "pyproject.toml"):
        assert (unpacked / name).exists()


def test_versions_agree():
    with open(os.path.join(ROOT, "CITATION.cff"), encoding="utf-8") as stream:
        assert re.search(r"^version: \"?([\d.]+)\"?$", stream.read(), re.M).group(1) == __version__
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as stream:
        assert re.search(r"^## ([\d.]+)", stream.read(), re.M).group(1) == __version__
