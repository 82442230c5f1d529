"""Killed commands leave nothing half-written and end well when they run again; tests.kill_trial is the longer form."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.kill_cases import CASES, faults_after_kill, faults_at_end

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.slow
def test_commands_that_are_killed_end_with_the_same_bytes(tmp_path):
    out = tmp_path / "trial.txt"
    cases = ["data pack of a zip file", "embed", "gallery build"]
    command = [sys.executable, "-m", "tests.kill_trial", "--kills", "8", "--out", str(out), "--only", *cases]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "faulty rounds 0" in out.read_text() and all(f"\n{case}: killed" in out.read_text() for case in cases)


WHOLE = {"packed/train.rec": b"abc", "packed/property": b"1"}


@pytest.mark.parametrize(
    "found, faults",
    [
        ({}, []),
        (WHOLE, []),
        ({".packed.new-x/train.rec": b"a"}, []),
        ({"packed/train.rec": b"abc"}, ["packed/property is missing"]),
        (dict(WHOLE, **{"packed/train.rec": b"ab"}), ["packed/train.rec is half-written"]),
        (dict(WHOLE, other=b""), ["other is there"]),
    ],
)
def test_what_is_half_written_after_a_kill_is_noticed(found, faults):
    assert faults_after_kill(CASES["data pack"], found, WHOLE) == faults


def test_what_is_left_or_differs_at_the_end_is_noticed():
    found = {"packed/train.rec": b"other", ".packed.new-x/": b""}
    faults = [".packed.new-x/ is left over", "packed/property is missing", "packed/train.rec differs"]
    assert faults_at_end(found, WHOLE) == faults


def test_a_checkpoint_without_all_its_files_is_noticed():
    step = "run/checkpoints/step-00000002/"
    reference = {step + "arrays.params": b"a", step + "state.json": b"b"}
    assert faults_after_kill(CASES["train"], {step + "state.json": b"b"}, reference) == [
        step + "arrays.params is missing"
    ]
