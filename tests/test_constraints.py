"""`recipes/lib/constraints.txt` pins every package of setup.py by version and hash."""

from __future__ import annotations

import os
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXTRAS = ("demo", "detect", "rendered", "plots", "export", "tensorboard", "completion", "test")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def pinned():
    """The pinned requirements, each with the number of its hashes."""
    with open(os.path.join(ROOT, "recipes", "lib", "constraints.txt"), encoding="utf-8") as stream:
        text = re.sub(r"^#.*\n", "", stream.read(), flags=re.M).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [
        (Requirement(line.split("--hash")[0]), len(re.findall(r"--hash=sha256:[0-9a-f]{64}", line))) for line in lines
    ]


@pytest.fixture(scope="module")
def wanted():
    """The requirements of setup.py that an installation for work and tests has."""
    import setuptools

    found = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(setuptools, "setup", lambda **values: found.update(values))
    patch.chdir(ROOT)
    try:
        with open("setup.py", encoding="utf-8") as stream:
            exec(
                compile(stream.read(), os.path.join(ROOT, "setup.py"), "exec"),
                {"__file__": os.path.join(ROOT, "setup.py")},
            )
    finally:
        patch.undo()
    names = found["install_requires"] + [name for extra in EXTRAS for name in found["extras_require"][extra]]
    return [Requirement(name) for name in names]


def applies(requirement, python):
    full = f"{sys.version_info[0]}.{sys.version_info[1]}.0" if python is None else python + ".1"
    environment = {"python_version": python, "python_full_version": full, "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_every_line_has_one_version_and_hashes(pinned):
    for requirement, hashes in pinned:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)) and hashes, requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_of_setup_py_is_pinned_in_its_range(pinned, wanted, python):
    versions = {}
    for requirement, _ in pinned:
        if applies(requirement, python):
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"{name} has two versions for Python {python}"
            versions[name] = str(requirement.specifier)[2:]
    for requirement in wanted:
        if applies(requirement, python):
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version} is pinned"
