"""What is built holds the whole package and runs from there, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The files that git knows, elsewhere: building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(folder / name), exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), folder / name, follow_symlinks=False)
    return folder


def setup(source, *arguments):
    subprocess.run([sys.executable, "setup.py", "-q", *arguments], cwd=source, check=True, capture_output=True)


def modules(source):
    """Paths, as installed, of all the package's Python and data files."""
    found = set()
    for folder, _, names in os.walk(source / "arcface_mx", followlinks=True):
        for name in names:
            if name.endswith((".py", ".csv", ".cc", ".h")) or name == "py.typed":
                found.add(os.path.relpath(os.path.join(folder, name), source))
    return found


def test_the_built_package_is_whole_and_runs(source, tmp_path):
    setup(source, "build", "--build-base", str(tmp_path / "build"))
    lib = tmp_path / "build" / "lib"
    built = {os.path.relpath(path, lib) for path in lib.rglob("*") if path.is_file()}
    assert built == modules(source)
    code = (
        "import arcface_mx, arcface_mx.data, arcface_mx.symbols as s; from arcface_mx.data.orl.orl import LANDMARKS; import os;"
        "assert os.path.exists(LANDMARKS); print(arcface_mx.__file__, s.__file__)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(lib)),
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == [str(lib / "arcface_mx/__init__.py"), str(lib / "arcface_mx/symbols/__init__.py")], (
        shown.stderr
    )


def test_the_source_archive_builds_the_same(source, tmp_path):
    setup(source, "sdist", "--dist-dir", str(tmp_path))
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path)
    unpacked = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert modules(unpacked) == modules(source)
    for name in ("LICENSE", "CITATION.cff", "CHANGELOG.md", "README.md", "pyproject.toml"):
        assert (unpacked / name).exists()


def test_versions_agree():
    import re

    from arcface_mx import __version__

    with open(os.path.join(ROOT, "CITATION.cff"), encoding="utf-8") as stream:
        assert re.search(r"^version: \"?([\d.]+)\"?$", stream.read(), re.M).group(1) == __version__
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as stream:
        assert re.search(r"^## ([\d.]+)", stream.read(), re.M).group(1) == __version__
