"""Two workers on this machine end with the weights of one, also after faults in the middle of the run."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from arcface_mx.launch import hosts
from arcface_mx.launch.launcher import Launch, run
from arcface_mx.train.run import train
from arcface_mx.util import environment
from arcface_mx.util.errors import UserError
from tests.support.launching import any_alive, children, command, config, finish, kill_in_the_middle, start_until
from tests.support.training import assert_same, final


@pytest.mark.slow
def test_a_run_resumes_after_a_worker_is_killed_and_ends_as_on_one_device(tmp_path, faces, tiny_pairs):
    verified = {"eval": (tiny_pairs,), "eval_every": 3}
    one, two = (config(tmp_path, faces, name, **verified) for name in ("one", "two"))
    train(one)
    command_line = command(two.run.run, faces, **verified)
    code, output, _ = kill_in_the_middle(command_line, "worker")
    assert code == 1
    assert "was ended by SIGKILL; ending the others" in output and "launch: worker" in output
    code, output = finish(command_line)
    assert code == 0, output
    assert "checkpoints/step-0000000" in output
    assert_same(final(one), final(two), 1e-5)
    assert sorted(os.listdir(two.run.run)) == sorted(os.listdir(one.run.run))


@pytest.mark.slow
def test_an_interrupted_run_is_saved_and_resumes_as_one_process(tmp_path, faces):
    one, two = (config(tmp_path, faces, name, steps=30, checkpoint_every=1000) for name in ("one", "two"))
    train(one)
    launcher, output = start_until(command(two.run.run, faces, steps=30, checkpoint_every=1000), "step 3/")
    processes = children(launcher.pid)
    servers = [pid for role in ("scheduler", "server") for pid in processes[role]]
    for pid in (*servers, launcher.pid):  # as SLURM does
        os.kill(pid, signal.SIGTERM)
    output += "".join(launcher.stdout.readlines())
    assert launcher.wait() == 130 and output.count("interrupted after step") == 2, output
    assert not any_alive(processes)
    assert 3 <= final(two).step < 30
    train(two)
    assert_same(final(one), final(two), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["server", "scheduler"])
def test_a_killed_server_or_scheduler_ends_the_run_and_is_named(tmp_path, faces, victim):
    command_line = command(str(tmp_path / "run"), faces, ("-n", "1"), steps=40_000)
    code, output, _ = kill_in_the_middle(command_line, victim)
    assert code == 1
    assert f"launch: {victim}" in output


@pytest.mark.slow
def test_a_mistake_in_the_training_ends_the_run_with_one_line(tmp_path, faces):
    code, output = finish(command(str(tmp_path / "run"), faces, batch_size=5))
    assert code == 2
    assert "--batch-size must be a multiple of the 2 workers, got 5" in output
    assert not os.path.exists(str(tmp_path / "run"))


@pytest.mark.slow
def test_the_same_command_line_reaches_the_hosts_over_ssh(tmp_path, faces, fake_ssh):
    hosts = tmp_path / "hosts"
    hosts.write_text("node1\nnode2\n")
    flags = ("-n", "2", "--hosts", str(hosts), "--ssh", fake_ssh, "--address", "127.0.0.1")
    done = subprocess.run(command(str(tmp_path / "run"), faces, flags, steps=1), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((tmp_path / "hosts-seen").read_text().split()) == ["node1", "node1", "node2"]
    assert final(config(tmp_path, faces, "run")).step == 1


def test_a_distributed_store_needs_the_launcher(tmp_path, faces, monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    with pytest.raises(UserError, match="arcface-mx launch"):
        train(config(tmp_path, faces, "run", kvstore="dist_sync"))


@pytest.mark.parametrize("given, expected", [("", "4"), ("3", "3")])
def test_workers_on_one_machine_share_its_cores(monkeypatch, given, expected):
    seen = []
    monkeypatch.setattr("arcface_mx.launch.launcher.supervise", lambda processes, ssh: seen.extend(processes) or 0)
    monkeypatch.setattr(environment, "available_cores", lambda: 8)
    monkeypatch.setattr(environment, "GIVEN_THREADS", given)
    run(Launch(("train",), 2))
    assert {process.environment["OMP_NUM_THREADS"] for process in seen} == {expected}


@pytest.mark.parametrize("given", ["", "3"])
def test_hosts_get_the_number_of_threads_only_if_the_user_has_set_it(monkeypatch, given):
    monkeypatch.setattr(hosts, "GIVEN_THREADS", given)
    monkeypatch.setenv("OMP_NUM_THREADS", given or "8")  # importing arcface_mx has set the latter
    line = hosts.ssh_command("ssh", "node1", ["-m", "x"], {}, terminal=True)[-1]
    assert ("OMP_NUM_THREADS=" in line) == bool(given)
