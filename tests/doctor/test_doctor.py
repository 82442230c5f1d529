"""The doctor finds what is wrong and says how to mend it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.doctor import checks, head, product


def test_a_sound_machine(tmp_path, capsys, monkeypatch):
    path = tmp_path / "doctor.json"
    monkeypatch.setattr(checks, "gpus", lambda: [checks.Finding("GPUs", "left out")])  # those here may be too new
    assert main(["doctor", "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "head" in shown and "within" in shown and "mxnet" in shown and "WRONG" not in shown
    assert {"arcface-mx", "python", "mxnet", "threads", "head", "GPUs"} <= {
        entry["subject"] for entry in json.loads(path.read_text())
    }


def test_a_cpu_build_beside_cards_is_named(monkeypatch):
    monkeypatch.setattr(checks, "cards_of_the_machine", lambda: [("NVIDIA H100", "9.0"), ("Tesla T4", "7.5")])
    found = {finding.text: finding for finding in checks.gpus()}
    assert found["NVIDIA H100, compute capability 9.0"].ok is None and found["Tesla T4, compute capability 7.5"].ok


def test_a_wrong_head_is_noticed(monkeypatch, capsys):
    real = head._mxnet
    monkeypatch.setattr(head, "_mxnet", lambda *arguments: [values * (1 + 1e-3) for values in real(*arguments)])
    assert [finding.ok for finding in checks.head()] == [False]
    assert main(["doctor"]) == 1
    assert "WRONG  head" in capsys.readouterr().out


def test_the_doctors_reference_is_the_tests_own():
    random = np.random.RandomState(1)
    x, w, label = random.normal(size=(4, 8)), random.normal(size=(6, 8)), np.asarray([0, 5, 2, 2])
    logits, by_x, by_w = head._reference(x, w, label, np.ones((4, 6)))

    def total(x, w):
        return head._reference(x, w, label, np.ones((4, 6)))[0].sum()

    for array, gradient in ((x, by_x), (w, by_w)):
        place, step = (1, 3), 1e-6
        array[place] += step
        above = total(x, w)
        array[place] -= 2 * step
        below = total(x, w)
        array[place] += step
        assert (above - below) / (2 * step) == pytest.approx(gradient[place], rel=1e-5)
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (x, w)]
    angle = np.arccos((unit[0] * unit[1][label]).sum(1))
    np.testing.assert_allclose(logits[np.arange(4), label], 64 * np.cos(angle + 0.5))


def test_a_product_in_a_child():
    outcome = product.product_in_child("cpu(0)")
    assert 0 < outcome["seconds"] < 60 and outcome["error"] < 1e-2


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
    finding = checks.on_device("gpu(0)", command=[sys.executable, "-c", code], **options)
    assert finding.ok is False and words in finding.text + finding.remedy


def test_a_gpu_that_is_not_there_is_a_finding():
    assert "there is no gpu(7)" in product.product_in_child("gpu(7)")["failed"]


@pytest.mark.parametrize(
    "capability, fits",
    [("7.0", True), ("7.5", True), ("8.9", True), ("8.0", True), ("9.0", None), ("3.5", None), ("unknown", None)],
)
def test_which_cards_the_wheels_hold_code_for(capability, fits):
    assert checks._fits(capability)[0] is fits


def test_what_is_missing_is_named_with_the_command_that_gets_it(monkeypatch):
    monkeypatch.setattr(checks, "version_of", lambda package: None)
    found = {finding.subject: finding for finding in checks.versions() + checks.extras()}
    assert (
        found["mxnet"].ok is False
        and found["onnx"].ok is None
        and found["onnx"].remedy.startswith("pip install onnx==")
    )


def test_a_check_that_fails_is_a_finding():
    def broken():
        raise ImportError("libcuda.so.1: cannot open")

    assert "libcuda.so.1" in checks._safely(broken)[0].text


@pytest.mark.parametrize("place", ["cache", "not/yet/there"])
def test_a_relative_cache_folder_that_is_not_there_yet(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCFACE_MX_CACHE", place)
    assert [finding.ok for finding in checks.cache()] == [True]


def test_the_cache_folder_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("ARCFACE_MX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [finding.text for finding in checks.cache()] == [str(tmp_path / "arcface-mx")]
