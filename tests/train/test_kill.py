"""Killed at random moments, a run ends as an unbroken one; the form with 200 kills is a command (kill.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.slow
def test_runs_killed_25_times_end_with_the_same_bits(tmp_path):
    counts = tmp_path / "counts.json"
    # A process of its own: children are forked from one that has not used MXNet's engine yet.
    command = [sys.executable, "-m", "tests.support.kill", "--kills", "25", "--seed", "16", "--json", str(counts)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(counts.read_text())
    assert found["kills"] >= 25 and found["differing"] == 0
    assert found["by time"] and found["by file system call"] and found["in a checkpoint's writing"]
