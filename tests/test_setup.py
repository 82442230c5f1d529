"""The set-up script installs one build of MXNet, and refuses what cannot work in one line."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A Python that answers with its version, notes what pip is asked to do, and makes environments of itself.
STUB = """#!/bin/sh
case "$*" in
  *version_info*) echo "$STUB_VERSION" ;;
  "-m venv "*) [ -z "$STUB_NO_VENV" ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/pyvenv.cfg" ;;
  "-m pip "*) echo "$*" >>"$STUB_LOG" ;;
  *system_libraries.py) [ -z "$STUB_LACKS" ] || { echo "The system lacks $STUB_LACKS." >&2; exit 1; } ;;
  --version) echo "Python $STUB_VERSION" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the set-up script, and a stub of Python beside it."""
    (tmp_path / "recipes" / "lib").mkdir(parents=True)
    shutil.copy(os.path.join(ROOT, "recipes", "lib", "setup.sh"), tmp_path / "recipes" / "lib")
    (tmp_path / "setup.py").write_text("# the requirements\n")
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def set_up(checkout, builds=(), extras="demo", **variables):
    """Run the script; return exit code, what pip was asked to do, and the messages."""
    site = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    shutil.rmtree(site, ignore_errors=True)
    for build in builds:
        (site / f"{build}-1.9.1.dist-info").mkdir(parents=True)
    log = checkout / "log"
    log.write_text("")
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(checkout / "python"), "STUB_VERSION": "3.11"}
    environment.update({"STUB_LOG": str(log), "STUB_LACKS": "", "STUB_NO_VENV": "", **variables})
    script = f"set -euo pipefail; . recipes/lib/setup.sh {extras}; echo set up"
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode or done.stdout.endswith("set up\n")
    shared = ("--quiet ", "--disable-pip-version-check ", "--no-compile ")
    calls = [functools.reduce(lambda text, flag: text.replace(flag, ""), shared, line) for line in log.open()]
    return done.returncode, [line.rstrip()[len("-m pip ") :] for line in calls if "anny" not in line], done.stderr


CPU, GPU = "install --editable .[cpu,demo]", "install --editable .[gpu,demo]"


@pytest.mark.parametrize(
    "builds, variables, calls",
    [
        ([], {}, [CPU]),
        ([], {"MXNET": "mxnet-cu117"}, [GPU]),
        (["mxnet_cu117"], {}, [GPU]),  # a GPU build stays
        (["mxnet"], {"MXNET": "mxnet-cu117"}, ["uninstall --yes mxnet", GPU]),
        (["mxnet_cu117"], {"MXNET": "mxnet"}, ["uninstall --yes mxnet-cu117", CPU]),
        (["mxnet_cu112"], {}, ["install --editable .[demo]"]),  # so does one that somebody has chosen
        # Of two builds each has overwritten files of the other.
        (["mxnet", "mxnet_cu117"], {}, ["uninstall --yes mxnet mxnet-cu117", GPU]),
    ],
)
def test_one_build_of_mxnet_is_installed(checkout, builds, variables, calls):
    code, made, _ = set_up(checkout, builds, **variables)
    assert (code, made) == (0, calls)


def test_nothing_is_installed_twice_until_the_requirements_or_the_build_change(checkout):
    assert set_up(checkout)[1] == [CPU]
    assert set_up(checkout, ["mxnet"])[1] == []
    assert set_up(checkout, ["mxnet"], MXNET="mxnet")[1] == []
    assert set_up(checkout, ["mxnet"], extras="demo,plots")[1] == ["install --editable .[cpu,demo,plots]"]
    assert set_up(checkout, ["mxnet"], MXNET="mxnet-cu117")[1] == ["uninstall --yes mxnet", GPU]
    assert set_up(checkout, [])[1] == [CPU]
    (checkout / "setup.py").write_text("# other requirements\n")
    assert set_up(checkout, ["mxnet"])[1] == [CPU]


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"STUB_VERSION": "3.7"}, "PYTHON is {python}, Python 3.7; arcface-mx runs on Python 3.8 to 3.13"),
        ({"STUB_VERSION": "3.14"}, "PYTHON is {python}, Python 3.14; arcface-mx runs on Python 3.8 to 3.13"),
        ({"PYTHON": "no-such-python"}, "PYTHON is no-such-python, which is no Python interpreter"),
        ({"MXNET": "mxnet-cu90"}, "MXNET is mxnet-cu90; choose mxnet (CPU) or mxnet-cu117 (NVIDIA GPU)"),
        ({"STUB_NO_VENV": "1"}, "{python} cannot make an environment. On Debian and Ubuntu, run as root: "),
        ({"STUB_LACKS": "libgomp.so.1"}, "The system lacks libgomp.so.1."),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(checkout, variables, message):
    code, calls, messages = set_up(checkout, **variables)
    assert code == 2 and not calls and messages.count("\n") == 1
    assert not (checkout / ".venv" / "bin" / "python").exists()
    assert message.format(python=checkout / "python") in messages


def test_another_python_than_that_of_the_environment_is_refused(checkout):
    assert set_up(checkout)[0] == 0
    (checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho 3.9\n")
    code, calls, messages = set_up(checkout, ["mxnet"])
    assert code == 2 and not calls and "has Python 3.9; remove that folder, or set VENV" in messages


def test_a_package_without_setup_py_is_sent_to_the_command(checkout):
    (checkout / "setup.py").unlink()
    code, calls, messages = set_up(checkout)
    assert code == 2 and not calls and "use: arcface-mx recipe NAME" in messages


def test_a_folder_that_is_no_virtual_environment_is_refused(checkout):
    (checkout / "linked" / "bin").mkdir(parents=True)
    (checkout / "linked" / "bin" / "python").symlink_to(checkout / "python")
    code, calls, errors = set_up(checkout, VENV=str(checkout / "linked"))
    assert (code, calls) == (2, [])
    assert f"VENV is {checkout / 'linked'}, which is no virtual environment" in errors


def test_a_long_installation_says_that_it_goes_on(checkout):
    (checkout / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.2\n")
    (checkout / "sleep").chmod(0o755)
    script = ". recipes/lib/setup.sh demo; with_progress /bin/sleep 1"
    environment = {"PATH": f"{checkout}:{os.environ['PATH']}", "PYTHON": str(checkout / "python")}
    environment.update({"STUB_VERSION": "3.11", "STUB_LOG": os.devnull, "STUB_LACKS": "", "STUB_NO_VENV": ""})
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"^… \d s$", done.stdout, re.MULTILINE)
