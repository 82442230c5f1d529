"""recipes/gpu_check.sh runs all its parts, kills and resumes a run, and says which part failed."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A command that notes its calls. `train` writes a checkpoint; started anew, the run `killed` then waits to be killed.
COMMAND = """#!/bin/bash
echo "$@" >>{calls}
what=$1
while [ $# -gt 0 ]; do case $1 in --run) run=$2 ;; --json) echo '{{}}' >"$2" ;; esac; shift; done
if [ "$what" = doctor ]; then exit {doctor}; fi
if [ "$what" != train ]; then exit 0; fi
new=; [ -e "$run" ] || new=yes
mkdir -p "$run/checkpoints/step-00000002"
echo {{}} >"$run/config.json"
echo weights >"$run/checkpoints/step-00000002/arrays.params"
case $run in *killed) ;; *) exit ;; esac
if [ $new ]; then sleep 60; fi
echo {weights} >"$run/checkpoints/step-00000002/arrays.params"
"""


@pytest.fixture
def check(tmp_path):
    """Run the script with such a command; return its exit code, the codes of its parts and the calls."""

    def run(doctor=0, weights="weights", devices="gpu(0),gpu(1)"):
        command, calls, out = tmp_path / "arcface-mx", tmp_path / "calls", tmp_path / "out"
        command.write_text(COMMAND.format(calls=calls, doctor=doctor, weights=weights))
        command.chmod(0o755)
        settings = {"ARCFACE_MX": command, "DATA": tmp_path, "OUT": out, "DEVICES": devices, "STEPS": "4"}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        done = subprocess.run(["bash", f"{ROOT}/recipes/gpu_check.sh"], env=environment, capture_output=True, text=True)
        summary = json.loads((out / "summary.json").read_text())
        codes = {part["part"]: part["code"] for part in summary["parts"]}
        return done.returncode, codes, calls.read_text().splitlines()

    return run


def test_all_parts_run_and_become_one_archive(check, tmp_path):
    code, codes, calls = check()
    assert code == 0
    assert codes == dict.fromkeys(("doctor", "bench", "train", "kill", "resume", "same_bits"), 0)
    assert calls[0].startswith("doctor --gpu gpu(0),gpu(1) --json")
    assert calls[1].startswith("bench gpu --devices gpu(0),gpu(1)")
    assert len(calls) == 5 and calls[3] == calls[4]  # the same command continues
    assert "--deterministic" in calls[2] and "--batch-size 128" in calls[2]  # 64 images a device
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"out/summary.json", "out/bench.json", "out/doctor.json", "out/killed/config.json"} <= names
    assert not any("checkpoints" in name for name in names)


@pytest.mark.parametrize("values, part", [({"weights": "others"}, "same_bits"), ({"doctor": 1}, "doctor")])
def test_a_part_that_fails_is_named_and_the_others_run(check, values, part):
    code, codes, calls = check(**values)
    assert code == 1 and len(calls) == 5
    assert {name for name, value in codes.items() if value} == {part}


def test_results_of_before_are_kept(tmp_path):
    environment = dict(os.environ, OUT=str(tmp_path), ARCFACE_MX="/bin/false")
    done = subprocess.run(["bash", f"{ROOT}/recipes/gpu_check.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "is there already" in done.stderr
