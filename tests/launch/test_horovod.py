"""With Horovod, processes end with the weights of one process with the joint batch, and survive faults.

Tests that start Horovod's processes are skipped if it is not installed. The arithmetic of centres that
are split over processes is also tested without it, in tests/parallel/test_communicator.py.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess

import pytest

from arcface_mx import cli
from arcface_mx.launch import rendezvous
from arcface_mx.launch.launcher import Launch, run
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.launching import (
    any_alive,
    children,
    command,
    config,
    finish,
    kill_in_the_middle,
    start_until,
)
from tests.support.training import assert_same, events, final

needs_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (recipes/horovod.sh builds it)"
)
TWO = ("--engine", "horovod", "-n", "2")
RANKS = {"variable": "HOROVOD_RANK", "expected": ("0", "1")}
CENTRES = {"parallel": "centres", "inter_weight": 1.0, "intra_weight": 1.0}


@needs_horovod
@pytest.mark.parametrize(
    "values",
    [{}, CENTRES, {"parallel": "centres", "loss": "softmax", "devices": "cpu(0),cpu(1)"}],
    ids=["data", "centres", "centres, 2 devices each"],
)
def test_two_processes_end_with_the_weights_of_one_with_the_joint_batch(tmp_path, faces, values):
    one = config(tmp_path, faces, "one", **dict(values, parallel="data", devices="cpu"))
    train(one)
    code, output = finish(command(str(tmp_path / "two"), faces, TWO, **values))
    assert code == 0, output
    two = config(tmp_path, faces, "two")
    assert_same(final(one), final(two), 1e-5)
    assert sorted(os.listdir(one.run.run)) == sorted(os.listdir(two.run.run))
    assert events(two, "step")[-1].keys() == events(one, "step")[-1].keys()


@needs_horovod
@pytest.mark.parametrize("values", [{}, CENTRES], ids=["data", "centres"])
def test_a_killed_worker_is_named_and_the_same_command_resumes(tmp_path, faces, values):
    one = config(tmp_path, faces, "one", **dict(values, parallel="data"))
    train(one)
    command_line = command(str(tmp_path / "two"), faces, TWO, **values)
    code, output, _ = kill_in_the_middle(command_line, "1", **RANKS)
    assert code == 1
    assert "launch: worker 1 was ended by SIGKILL; ending the others" in output
    code, output = finish(command_line)
    assert code == 0 and "checkpoints/step-0000000" in output, output
    assert_same(final(one), final(config(tmp_path, faces, "two")), 1e-5)


@needs_horovod
def test_an_interrupted_run_is_saved_by_all_and_resumes_as_one_process(tmp_path, faces):
    """The checkpoint holds the whole classifier, so any number of processes can resume from it."""
    one = config(tmp_path, faces, "one", steps=30, **dict(CENTRES, parallel="data"))
    train(one)
    command_line = command(str(tmp_path / "two"), faces, TWO, steps=30, checkpoint_every=1000, **CENTRES)
    launcher, output = start_until(command_line, "step 3/")
    workers = children(launcher.pid, "HOROVOD_RANK")
    launcher.send_signal(signal.SIGTERM)
    output += "".join(launcher.stdout.readlines())
    assert launcher.wait() == 130 and "interrupted after step" in output, output
    assert not any_alive(workers)
    two = config(tmp_path, faces, "two", steps=30, checkpoint_every=1000, **dict(CENTRES, parallel="data"))
    assert 3 <= final(two).step < 30
    train(two)
    assert_same(final(one), final(two), 1e-5)


@needs_horovod
def test_sampled_centres_with_a_batch_drawn_from_parts_of_the_data(tmp_path, tiny_faces):
    values = {
        "parallel": "centres",
        "sample_rate": 0.5,
        "batch_size": 4,
        "steps": 3,
        "margin_ramp": 0.5,
        "mirror": True,
    }
    code, output = finish(command(str(tmp_path / "run"), tiny_faces, TWO, **values))
    assert code == 0, output
    assert final(config(tmp_path, tiny_faces, "run", **values)).step == 3


@needs_horovod
def test_a_mistake_in_the_training_ends_the_run_with_one_line(tmp_path, faces):
    code, output = finish(command(str(tmp_path / "run"), faces, TWO, batch_size=5))
    assert code == 2
    assert "--batch-size must be a multiple of the 2 workers, got 5" in output and "Traceback" not in output
    assert not os.path.exists(str(tmp_path / "run"))


@needs_horovod
def test_the_same_command_line_reaches_the_hosts_over_ssh(tmp_path, faces, fake_ssh):
    hosts = tmp_path / "hosts"
    hosts.write_text("node1\nnode2\n")
    flags = TWO + ("--hosts", str(hosts), "--ssh", fake_ssh, "--address", "127.0.0.1")
    environment = dict(os.environ, HOROVOD_GLOO_IFACE="lo")  # both hosts are this machine
    done = subprocess.run(
        command(str(tmp_path / "run"), faces, flags, steps=1), capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((tmp_path / "hosts-seen").read_text().split()) == ["node1", "node2"]
    assert final(config(tmp_path, faces, "run")).step == 1


@needs_horovod
def test_the_store_needs_the_launcher(tmp_path, faces, monkeypatch):
    monkeypatch.delenv("HOROVOD_RANK", raising=False)
    with pytest.raises(UserError, match="launch --engine horovod"):
        train(config(tmp_path, faces, "run", kvstore="horovod"))


def test_one_line_says_how_to_build_a_missing_horovod(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rendezvous.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Horovod is not installed.*recipes/horovod.sh"):
        run(Launch(("train",), 2, 1, engine="horovod"))
    training = ["train", "--data", "faces", "--run", str(tmp_path / "run")]
    assert cli.main(["launch", *TWO, "--", *training]) == 2
    assert "Horovod is not installed" in capsys.readouterr().err.splitlines()[0]
    with pytest.raises(UserError, match="Horovod is not installed"):
        train(config(tmp_path, "faces", "run", kvstore="horovod"))


def test_centres_cannot_be_split_over_workers_of_the_parameter_server():
    from arcface_mx.train.worker import Worker

    with pytest.raises(UserError, match="--engine horovod"):
        Worker("dist_sync", 0, 2).check("centres", skip_bad_batches=0)


def test_workers_are_ranked_within_and_across_hosts():
    ranks = rendezvous.rank_workers(["a", "b", "a"])
    assert [(rank["rank"], rank["local_rank"], rank["local_size"]) for rank in ranks] == [
        (0, 0, 2),
        (1, 0, 1),
        (2, 1, 2),
    ]
    assert [(rank["cross_rank"], rank["cross_size"]) for rank in ranks] == [(0, 2), (1, 2), (0, 1)]
    assert {rank["size"] for rank in ranks} == {3}
