"""Several workers on loopback, as processes: the weights of one, and faults in the middle of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from arcface_mx.config import from_flat
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.train.run import train
from tests.conftest import TINY_SIDE, tiny_photo
from tests.launch.test_processes import alive
from tests.support.training import TINY, assert_same, final

IMAGES = 40  # a step sees them all, so that the order in which workers read them does not matter
SETTINGS = dict(
    TINY, freeze_batchnorm=True, mirror=False, lr=0.001, batch_size=IMAGES, steps=8, log_every=1, checkpoint_every=2
)


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("forty") / "faces")
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for person in range(5):
            for photo in range(IMAGES // 5):
                writer.add(person, tiny_photo(person, photo))
    return folder


def command(run, data, before=("-n", "2"), **values):
    flags = []
    for name, value in dict(SETTINGS, **values).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(flag if value else "--no-" + flag[2:])
        else:
            flags += [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return [sys.executable, "-m", "arcface_mx", "launch", *before, "--", "train", "--data", data, "--run", run, *flags]


def start(words):
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def family(pid, variable="DMLC_ROLE"):
    """Processes that `pid` started, by an environment variable of theirs."""
    found = {}
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as stream:
                parent = int(stream.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{name}/environ", "rb") as stream:
                variables = dict(entry.split(b"=", 1) for entry in stream.read().split(b"\0") if b"=" in entry)
        except (OSError, ValueError):
            continue
        if parent == pid:
            found.setdefault(variables[variable.encode()].decode(), []).append(int(name))
    return found


def fail_in_the_middle(
    words, victim, after="step 3/", variable="DMLC_ROLE", everybody=("scheduler", "server", "worker")
):
    """Kill one process of a run once a line with `after` appears; (exit code, output, seconds until the end).

    variable: says which process is which; `everybody`: its values.
    """
    launcher, said = start(words), []
    for line in launcher.stdout:
        said.append(line)
        if after in line:
            break
    members = family(launcher.pid, variable)
    assert sorted(members) == list(everybody), "".join(said)
    os.kill(members[victim][-1], signal.SIGKILL)
    began = time.monotonic()
    said += launcher.stdout.readlines()
    code = launcher.wait()
    seconds = time.monotonic() - began
    assert not any(alive(pid) for pids in members.values() for pid in pids)
    return code, "".join(said), seconds


def test_a_worker_killed_in_the_middle_and_the_run_ends_as_on_one_device(tmp_path, forty):
    one = from_flat(dict(SETTINGS, data=forty, run=str(tmp_path / "one")))
    train(one)
    words = command(str(tmp_path / "two"), forty)
    code, said, seconds = fail_in_the_middle(words, "worker")
    assert code == 1 and seconds < 30
    assert "was ended by SIGKILL; ending the others" in said and "launch: worker" in said
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "checkpoints/step-0000000" in again.stdout
    assert_same(final(one), final(from_flat(dict(SETTINGS, data=forty, run=str(tmp_path / "two")))), 1e-5)
    assert sorted(os.listdir(str(tmp_path / "two"))) == sorted(os.listdir(str(tmp_path / "one")))


@pytest.mark.parametrize("victim", ["server", "scheduler"])
def test_a_server_or_scheduler_killed_in_the_middle(tmp_path, forty, victim):
    code, said, seconds = fail_in_the_middle(command(str(tmp_path / "run"), forty, ("-n", "1"), steps=100_000), victim)
    assert code == 1 and seconds < 30
    assert f"launch: {victim}" in said


def test_a_workers_mistake_is_one_line_and_ends_all(tmp_path, forty):
    ended = subprocess.run(command(str(tmp_path / "run"), forty, batch_size=5), capture_output=True, text=True)
    assert ended.returncode == 2
    assert "--batch-size must be a multiple of the 2 workers, got 5" in ended.stdout
    assert not os.path.exists(str(tmp_path / "run"))


def test_over_ssh_the_same_command_line_reaches_the_host(tmp_path, forty):
    """With a stand-in for ssh that notes the host and runs the line here."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$2" >> "{tmp_path}/hosts-seen"\nexec sh -c "$3"\n')
    ssh.chmod(0o755)
    hosts = tmp_path / "hosts"
    hosts.write_text("node1\nnode2\n")
    before = ("-n", "2", "--hosts", str(hosts), "--ssh", str(ssh), "--address", "127.0.0.1")
    ended = subprocess.run(command(str(tmp_path / "run"), forty, before, steps=1), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert sorted((tmp_path / "hosts-seen").read_text().split()) == ["node1", "node1", "node2"]
    assert final(from_flat(dict(SETTINGS, data=forty, run=str(tmp_path / "run")))).step == 1


def test_a_distributed_store_needs_the_launcher(tmp_path, forty, monkeypatch):
    from arcface_mx.util.errors import UserError

    monkeypatch.delenv("DMLC_ROLE", raising=False)
    with pytest.raises(UserError, match="arcface-mx launch"):
        train(from_flat(dict(SETTINGS, data=forty, run=str(tmp_path / "run"), kvstore="dist_sync")))
