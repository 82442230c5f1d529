"""The doctor finds what is wrong, and says what to do about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.doctor import checks, gpus, head
from arcface_mx.doctor.finding import Finding


def test_a_machine_that_is_ready(tmp_path, capsys, monkeypatch):
    path = tmp_path / "doctor.json"
    monkeypatch.setattr(checks, "gpus", lambda: [Finding("GPUs", "not checked")])  # the cards here may be too new
    assert main(["doctor", "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "head" in shown and "within" in shown and "mxnet" in shown and "WRONG" not in shown
    assert {"arcface-mx", "python", "mxnet", "threads", "head", "GPUs"} <= {
        entry["subject"] for entry in json.loads(path.read_text())
    }


def test_a_cpu_build_beside_cards_is_named(monkeypatch):
    monkeypatch.setattr(gpus, "installed_cards", lambda: [("NVIDIA H100", "9.0"), ("Tesla T4", "7.5")])
    ok = {finding.text: finding.ok for finding in gpus.gpus()}
    assert ok["NVIDIA H100, compute capability 9.0"] is None and ok["Tesla T4, compute capability 7.5"]


def test_a_wrong_head_is_noticed(monkeypatch, capsys):
    real = head._mxnet
    monkeypatch.setattr(head, "_mxnet", lambda *arguments: [values * (1 + 1e-3) for values in real(*arguments)])
    assert [finding.ok for finding in checks.head()] == [False]
    assert main(["doctor"]) == 1
    assert "WRONG  head" in capsys.readouterr().out


def test_the_gradients_of_the_reference_are_those_of_finite_differences():
    random = np.random.RandomState(1)
    x, w, label = random.normal(size=(4, 8)), random.normal(size=(6, 8)), np.asarray([0, 5, 2, 2])
    logits, by_x, by_w = head._reference(x, w, label, np.ones((4, 6)))

    def total(x, w):
        return head._reference(x, w, label, np.ones((4, 6)))[0].sum()

    for array, gradient in ((x, by_x), (w, by_w)):
        index, step = (1, 3), 1e-6
        array[index] += step
        above = total(x, w)
        array[index] -= 2 * step
        below = total(x, w)
        array[index] += step
        assert (above - below) / (2 * step) == pytest.approx(gradient[index], rel=1e-5)
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (x, w)]
    angle = np.arccos((unit[0] * unit[1][label]).sum(1))
    np.testing.assert_allclose(logits[np.arange(4), label], 64 * np.cos(angle + 0.5))


@pytest.mark.slow
def test_the_product_runs_in_a_child_process():
    result = gpus.run_matmul("cpu(0)")
    assert result["seconds"] > 0 and result["error"] < gpus.TOLERANCE


@pytest.mark.parametrize(
    "code, words",
    [
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
        ("import os; os.abort()", "ended by signal 6"),
        ("raise RuntimeError('no kernel image')", "RuntimeError: no kernel image"),
        ("print('nonsense')", "exit code 0"),
        ('print(\'{"seconds": 1, "error": 5.0}\')', "computes wrongly"),
    ],
)
def test_a_device_that_hangs_dies_or_computes_wrongly(code, words):
    options = {"timeout": 0.5} if "sleep" in code else {}
    finding = gpus.check_device("gpu(0)", command=[sys.executable, "-c", code], **options)
    assert finding.ok is False and words in finding.text + finding.remedy


@pytest.mark.slow
def test_a_missing_gpu_is_a_finding():
    assert "there is no gpu(77)" in gpus.run_matmul("gpu(77)")["failed"]


@pytest.mark.parametrize(
    "capability, fits",
    [("7.0", True), ("7.5", True), ("8.9", True), ("8.0", True), ("9.0", False), ("3.5", False), ("unknown", False)],
)
def test_the_wheels_have_code_for_some_cards(capability, fits):
    assert gpus.is_supported(capability) is fits


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(checks, "version_of", lambda package: None)
    findings = {finding.subject: finding for finding in checks.versions() + checks.extras()}
    assert (
        findings["mxnet"].ok is False
        and findings["onnx"].ok is None
        and findings["onnx"].remedy == "pip install 'arcface-mx[export]'"
    )


def test_a_check_that_fails_is_a_finding():
    def broken():
        raise ImportError("libcuda.so.1: cannot open")

    assert "libcuda.so.1" in checks.safely(broken)[0].text


@pytest.mark.parametrize("place", ["cache", "not/yet/there"])
def test_a_relative_cache_folder_that_is_not_there_yet(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCFACE_MX_CACHE", place)
    assert [finding.ok for finding in checks.cache()] == [True]


def test_the_cache_folder_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("ARCFACE_MX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [finding.text for finding in checks.cache()] == [str(tmp_path / "arcface-mx")]


def test_a_missing_mxnet_is_a_finding(monkeypatch):
    monkeypatch.setitem(sys.modules, "mxnet", None)
    assert {finding.subject for finding in checks.examine() if finding.ok is False} == {"head", "gpus"}


def test_two_builds_of_mxnet_are_named_with_the_command_that_leaves_one(monkeypatch):
    versions = {"mxnet": "1.9.1", "mxnet-cu117": "1.9.1", "numpy": "1.26.4"}
    monkeypatch.setattr(checks, "version_of", versions.get)
    wrong = [finding for finding in checks.versions() if finding.ok is False and finding.text != "not installed"]
    assert [finding.subject for finding in wrong] == ["mxnet"]
    assert wrong[0].remedy == "pip uninstall -y mxnet mxnet-cu117 && pip install 'arcface-mx[gpu]'"


NUMPY_2 = """
import sys, numpy
numpy.__version__ = "2.1.0"
from importlib import metadata
real = metadata.version
metadata.version = lambda name: "2.1.0" if name == "numpy" else real(name)
from arcface_mx.cli import main
print("exit code", main(sys.argv[1:]))
"""


def test_numpy_2_is_a_finding_and_for_other_commands_an_error_of_one_line():
    """The doctor itself works with NumPy 2, which MXNet cannot be imported with."""
    lines = {}
    for words in (["doctor"], ["plan", "--classes", "10"]):
        done = subprocess.run([sys.executable, "-c", NUMPY_2, *words], capture_output=True, text=True)
        lines[words[0]] = (done.stdout.splitlines(), done.stderr.splitlines())
    report, errors = lines["doctor"]
    assert not errors and report[-1] == "exit code 1"
    assert any(line.startswith("WRONG  numpy ") and line.endswith("2.1.0: pip install 'numpy<2'") for line in report)
    assert any(line.startswith("WRONG  head ") and "needs numpy < 2" in line for line in report)
    report, errors = lines["plan"]
    assert report == ["exit code 2"] and len(errors) == 1 and "Run: pip install 'numpy<2'" in errors[0]


def test_missing_libraries_and_programs_are_named_with_their_packages(monkeypatch):
    assert [finding.ok for finding in checks.system()] == [True]
    monkeypatch.setattr(checks, "missing_libraries", lambda: ["libGL.so.1"])
    (finding,) = checks.system()
    assert finding.ok is False and "libGL.so.1" in finding.text and "apt-get install -y libgl1 " in finding.remedy
    monkeypatch.setattr(checks.shutil, "which", lambda program: None)
    missing = {finding.subject: finding for finding in checks.programs()}
    assert missing["g++"].ok is None and "dnf install -y gcc-c++" in missing["g++"].remedy


def test_every_package_of_an_extra_is_listed():
    path = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "setup.py")
    with open(path, encoding="utf-8") as stream:
        extras = stream.read().split("EXTRAS = {")[1].split('    "test": [')[0].split('    "demo"')[1]
    packages = set(re.findall(r'"([A-Za-z][\w-]*)(?:==|>=)', extras))
    assert "onnxruntime" in packages and packages <= {package for package, _, _ in checks.OPTIONAL}
