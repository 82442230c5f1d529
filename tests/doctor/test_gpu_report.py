"""`doctor --gpu`: each probe is a process, finds what is wrong, and names its cure."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.doctor import children, gpu_report, probes, training
from arcface_mx.doctor.finding import Finding
from arcface_mx.losses import LOSSES


@pytest.fixture
def gpu_build(monkeypatch):
    monkeypatch.setattr(gpu_report, "is_gpu_build", lambda folder: True)
    monkeypatch.setattr(gpu_report, "check_device", lambda device: Finding(device, "multiplies"))


def recorded(answers):
    """A stand-in for `run_probe` that notes its calls and gives these answers."""
    calls = []

    def probe(name, device="", subject="", variables=None):
        calls.append((name, device, (variables or {}).get("NVIDIA_TF32_OVERRIDE", "as it is")))
        return answers.get(name, Finding(subject or name, "fine"))

    return calls, probe


def test_without_a_gpu_one_line_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(gpu_report, "is_gpu_build", lambda folder: False)
    monkeypatch.setattr(gpu_report, "installed_cards", lambda: [])
    assert main(["doctor", "--gpu"]) == 1
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and "the installed mxnet is a CPU build, and the driver shows no NVIDIA card" in shown
    monkeypatch.setattr(gpu_report, "installed_cards", lambda: [("Tesla T4", "7.5")])
    assert main(["doctor", "--gpu"]) == 1
    assert "Tesla T4: pip uninstall -y mxnet && pip install 'arcface-mx[gpu]'" in capsys.readouterr().out


def test_the_report_does_not_import_mxnet_which_may_be_what_is_broken():
    code = "import sys, arcface_mx.doctor.gpu_report; sys.exit('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["libraries", "driver", "count"])
def test_what_stops_everything_ends_the_report(gpu_build, name):
    calls, probe = recorded({name: Finding(name, "broken", False, "cure")})
    findings = list(gpu_report.examine_gpus(probe=probe))
    assert findings[-1].text == "broken" and calls[-1][0] == name and not any(device for _, device, _ in calls)


def test_every_gpu_is_examined_with_every_loss_and_without_tf32(gpu_build):
    calls, probe = recorded({"count": Finding("GPUs", "2"), "fusion": Finding("fusion", "off", None, "cure")})
    findings = list(gpu_report.examine_gpus(probe=probe))
    for device in ("gpu(0)", "gpu(1)"):
        for name in ("head", *LOSSES):
            assert (name, device, None) in calls and (name, device, "0") in calls
        for name in ("dropout", "resume", "float16", "memory"):
            assert (name, device, "as it is") in calls
    assert len([finding for finding in findings if finding.text == "multiplies"]) == 2
    calls, probe = recorded({"count": Finding("GPUs", "2")})
    assert list(gpu_report.examine_gpus("gpu(1)", probe)) and {device for _, device, _ in calls} == {"", "gpu(1)"}


def test_a_device_that_cannot_multiply_is_left(monkeypatch):
    monkeypatch.setattr(gpu_report, "check_device", lambda device: Finding(device, "hangs", False, "cure"))
    calls, probe = recorded({})
    assert [finding.text for finding in gpu_report.examine_device("gpu(0)", probe)] == ["hangs"] and not calls


@pytest.mark.parametrize(
    "code, words",
    [
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11 (SIGSEGV)"),
        ("raise RuntimeError('no kernel image')", "RuntimeError: no kernel image"),
    ],
)
def test_a_probe_that_dies_or_hangs_is_a_finding_with_a_cure(code, words):
    timeout = 0.5 if "sleep" in code else 60.0
    finding = children.run_probe("head", "gpu(0)", timeout=timeout, command=[sys.executable, "-c", code])
    assert finding.subject == "gpu(0) head" and finding.ok is False and words in finding.text and finding.remedy


def test_the_environment_of_a_probe_is_changed_and_what_it_prints_is_no_result(monkeypatch):
    monkeypatch.setenv("REMOVED", "1")
    code = (
        "import json, os; print('noise'); "
        "print(json.dumps({'text': os.environ['ADDED'] + str('REMOVED' in os.environ), 'ok': None, 'remedy': 'r'}))"
    )
    variables = {"ADDED": "yes ", "REMOVED": None}
    finding = children.run_probe("x", "", "name", variables, command=[sys.executable, "-c", code])
    assert finding == Finding("name", "yes False", None, "r")


def test_what_a_probe_raises_is_its_finding(monkeypatch, capfd):
    def broken(device):
        raise OSError("libcufft.so.10: cannot open shared object file: No such file or directory")

    monkeypatch.setitem(probes.OF_DEVICE, "head", broken)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    probes.main("head", "cpu(1)")
    result = json.loads(capfd.readouterr().out)
    assert result["ok"] is False and "libcufft" in result["text"] and "nvidia-cufft-cu11" in result["remedy"]


def test_missing_libraries_are_named_with_the_extra(monkeypatch):
    lacking = {"libnccl.so.2"}
    monkeypatch.setattr(probes, "_loads", lambda name: name not in lacking)
    monkeypatch.setattr(probes.cuda, "preload_libraries", lambda: ())
    finding = probes.libraries()
    assert finding.ok is False and "libnccl.so.2" in finding.text and "arcface-mx[gpu]" in finding.remedy
    lacking = {probes.cuda.DRIVER}
    assert "driver" in probes.libraries().remedy


@pytest.mark.parametrize(
    "version, cards, ok, words",
    [
        (12020, [70, 89], True, "driver for CUDA 12.2; compute capability of the cards: 7.0, 8.9"),
        (12020, [80, 90], False, "no code for 9.0"),
        (11000, [70], False, "520 or newer"),
        (12020, [], False, "nvidia-smi"),
    ],
)
def test_the_driver_and_the_cards_are_judged(monkeypatch, version, cards, ok, words):
    monkeypatch.setattr(probes.cuda, "driver_version", lambda: version)
    monkeypatch.setattr(probes.cuda, "architectures", lambda: cards)
    finding = probes.driver()
    assert finding.ok is ok and words in finding.text + finding.remedy


def test_fusion_that_cannot_work_is_not_wrong_but_has_a_cure(monkeypatch):
    monkeypatch.setattr(probes.cuda, "preload_libraries", lambda: ())
    monkeypatch.setattr(probes.cuda, "fusion_obstacle", lambda: "NVRTC 11.7 does not know compute capability 8.9")
    finding = probes.fusion()
    assert finding.ok is None and "NVRTC 11.7" in finding.text and "arcface-mx[gpu]" in finding.remedy


def test_dropout_that_ignores_the_seed_or_keeps_all_is_found(monkeypatch):
    assert probes.dropout("cpu(1)").ok
    seed = mx.random.seed
    monkeypatch.setattr(mx.random, "seed", lambda value: None)
    finding = probes.dropout("cpu(1)")
    assert finding.ok is False and "another mask" in finding.text and "--dropout 0" in finding.remedy
    monkeypatch.setattr(mx.random, "seed", lambda value: seed(1))
    assert probes.dropout("cpu(1)").ok is False  # two seeds, one mask


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["arcface", "triplet"])
def test_a_step_on_another_context_is_that_of_the_cpu_and_another_loss_is_not(monkeypatch, loss):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert probes.OF_DEVICE[loss]("cpu(1)").ok
    real = training.settings

    def changed(data, device, **values):
        margin = {"arcface": {"m": 0.45}, "triplet": {"margin": 0.3}}[loss] if device == "cpu(1)" else {}
        return real(data, device, **values, **margin)

    monkeypatch.setattr(training, "settings", changed)
    finding = probes.OF_DEVICE[loss]("cpu(1)")
    assert finding.ok is False and "do not train on it" in finding.remedy


def test_the_tolerance_is_that_of_tf32_unless_it_is_turned_off(monkeypatch):
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert training.step_limits("arcface") == training.TF32 and training.step_limits("triplet") == training.TF32_TUPLES
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert {training.step_limits(loss)["gradient"] for loss in LOSSES} == {1e-3}
    assert not training.is_within({"loss": 0.0, "gradient": np.nan}, training.FLOAT32)


@pytest.mark.slow
def test_a_probe_runs_in_a_process_of_its_own_and_half_precision_is_refused_on_a_cpu():
    finding = children.run_probe("head", "cpu(1)", variables={"NVIDIA_TF32_OVERRIDE": "0"})
    assert finding.ok and "limit 0.0001" in finding.text
    finding = children.run_probe("float16", "cpu(1)")
    assert finding.ok is False and finding.remedy == "train with --dtype float32"


@pytest.mark.slow
def test_a_resumed_run_is_compared_with_an_unbroken_one(monkeypatch):
    assert probes.resume("cpu(1)").ok
    nothing = SimpleNamespace(run=lambda command, **options: None, DEVNULL=None)
    monkeypatch.setattr(training, "subprocess", nothing)  # so nothing is resumed
    finding = probes.resume("cpu(1)")
    assert finding.ok is False and "other bits" in finding.text


@pytest.mark.slow
def test_the_memory_is_planned_for_what_is_free(monkeypatch):
    real, capacities = training.make_plan, []

    def with_capacity(workload, num_classes):
        capacities.append(workload.batch_size)
        return real(workload, num_classes, 6_000_000_000)

    monkeypatch.setattr(training, "make_plan", with_capacity)
    finding = probes.memory("cpu(1)")
    assert "6.0 GB free" in finding.text and f"at most {capacities[-1]} images" in finding.text
    assert finding.ok is None and 8 < capacities[-1] < 64
