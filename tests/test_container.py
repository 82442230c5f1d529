"""The container file can be built, as far as that can be checked without a container engine."""

from __future__ import annotations

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from arcface_mx.cli.shared.commands import split_command
from arcface_mx.data.rendered.makehuman import VERSION, WHEEL
from arcface_mx.util.mxnet_import import NEWEST_PYTHON, OLDEST_PYTHON
from arcface_mx.util.system_libraries import LIBRARIES

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.M)).splitlines()


def instructions(name):
    """The arguments of each instruction of a name."""
    return [line[len(name) + 1 :] for line in LINES if line.startswith(name + " ")]


def copied():
    """Each source that is copied, with its target."""
    return [(source, words[-1]) for words in map(str.split, instructions("COPY")) for source in words[:-1]]


def extras():
    """The extras of setup.py by name."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    return set(re.findall(r'^    "(\w+)": \[', text, re.M))


def test_every_instruction_is_known_and_the_python_is_supported():
    known = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in LINES if line} == known
    version = re.fullmatch(r"python:(\d)\.(\d+)-slim-bookworm", instructions("FROM")[0])
    assert OLDEST_PYTHON <= tuple(map(int, version.groups())) <= NEWEST_PYTHON


def test_what_is_copied_exists_is_in_git_and_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    top = {name.split("/")[0] for name in listed}
    for source, _ in copied():
        assert (ROOT / source).exists() and source in kept
        assert source in top or not any(listed)
    assert kept == {source for source, _ in copied()}


def test_the_system_packages_and_extras_are_those_of_the_project():
    packages = instructions("RUN")[0]
    assert {entry.apt for entry in LIBRARIES.values()} <= set(packages.split())
    asked = re.search(r'"\.\[(.*?)\]"', instructions("RUN")[1]).group(1).split(",")
    assert asked[0] == "${BUILD}" and instructions("ARG") == ["BUILD=cpu"]
    assert {"cpu", "gpu", *asked[1:]} <= extras()
    assert f"--no-deps {WHEEL}=={VERSION}" in instructions("RUN")[1]


def test_the_commands_of_the_pages_fit_the_file():
    """Every `docker` line names a build argument and a command that exist."""
    seen = 0
    for page in ("Dockerfile", "README.md", "recipes/gpu.md"):
        for line in re.findall(r"^(?:#   )?(docker .*)$", (ROOT / page).read_text(encoding="utf-8"), re.M):
            words = shlex.split(line, comments=True)
            if words[1] == "build":
                assert words[-1] == "."
                assert not re.findall(r"--build-arg (?!BUILD=(?:cpu|gpu) )", line)
            else:
                image = next(number for number, word in enumerate(words) if word.startswith("arcface-mx"))
                assert split_command(words[image + 1 :])[0], line
                assert ("--gpus" in words) == words[image].endswith("-gpu")
            seen += 1
    assert seen >= 4


@pytest.mark.slow
def test_what_is_copied_is_enough_to_build_the_package(tmp_path):
    for source, target in copied():
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "results", "*.egg-info")
            shutil.copytree(ROOT / source, tmp_path / target, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    subprocess.run([sys.executable, "setup.py", "-q", "build"], cwd=tmp_path, check=True, capture_output=True)
    built = tmp_path / "build" / "lib" / "arcface_mx"
    for name in ("cli/doctor.py", "symbols/margin.py", "data/orl/landmarks.csv", "recipes/softmax.sh"):
        assert (built / name).exists(), name
