"""--engine horovod: the weights of one process with the joint batch, centres split over processes, faults, resume.

Tests that start Horovod's processes skip where it is not installed. The arithmetic of centres split over
processes is tested without it in test_ranks.py.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess

import pytest

from arcface_mx import cli
from arcface_mx.config import from_flat
from arcface_mx.launch import Launch, rendezvous, run
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.launch.test_launcher import SETTINGS, command, fail_in_the_middle, family, forty, start  # noqa: F401  (a fixture)
from tests.launch.test_processes import alive
from tests.support.training import assert_same, events, final

needs_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (recipes/horovod.sh builds it)"
)
TWO = ("--engine", "horovod", "-n", "2")
RANKS = {"variable": "HOROVOD_RANK", "everybody": ("0", "1")}
CENTRES = {"parallel": "centres", "inter_weight": 1.0, "intra_weight": 1.0}


def config(tmp_path, data, name, **values):
    return from_flat(dict(SETTINGS, data=data, run=str(tmp_path / name), **values))


def launched(words):
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ended.returncode, ended.stdout


@needs_horovod
@pytest.mark.parametrize(
    "values",
    [{}, CENTRES, {"parallel": "centres", "loss": "softmax", "devices": "cpu(0),cpu(1)"}],
    ids=["data", "centres", "centres, 2 devices each"],
)
def test_two_processes_end_with_the_weights_of_one_with_the_joint_batch(tmp_path, forty, values):  # noqa: F811
    one = config(tmp_path, forty, "one", **dict(values, parallel="data", devices="cpu"))
    train(one)
    code, said = launched(command(str(tmp_path / "two"), forty, TWO, **values))
    assert code == 0, said
    two = config(tmp_path, forty, "two")
    assert_same(final(one), final(two), 1e-5)
    assert sorted(os.listdir(one.run.run)) == sorted(os.listdir(two.run.run))
    assert events(two, "step")[-1].keys() == events(one, "step")[-1].keys()


@needs_horovod
@pytest.mark.parametrize("values", [{}, CENTRES], ids=["data", "centres"])
def test_a_worker_killed_in_the_middle_is_named_and_the_same_command_goes_on(tmp_path, forty, values):  # noqa: F811
    one = config(tmp_path, forty, "one", **dict(values, parallel="data"))
    train(one)
    words = command(str(tmp_path / "two"), forty, TWO, **values)
    code, said, seconds = fail_in_the_middle(words, "1", **RANKS)
    assert code == 1 and seconds < 30
    assert "launch: worker 1 was ended by SIGKILL; ending the others" in said
    code, said = launched(words)
    assert code == 0 and "checkpoints/step-0000000" in said, said
    assert_same(final(one), final(config(tmp_path, forty, "two")), 1e-5)


@needs_horovod
def test_an_interrupted_run_is_saved_by_all_and_goes_on_as_one_process(tmp_path, forty):  # noqa: F811
    """The checkpoint holds the whole classifier: any number of processes can go on from it."""
    one = config(tmp_path, forty, "one", steps=30, **dict(CENTRES, parallel="data"))
    train(one)
    launcher = start(command(str(tmp_path / "two"), forty, TWO, steps=30, checkpoint_every=1000, **CENTRES))
    said = []
    for line in launcher.stdout:
        said.append(line)
        if "step 3/" in line:
            break
    members = family(launcher.pid, "HOROVOD_RANK")
    launcher.send_signal(signal.SIGTERM)
    said = "".join(said + launcher.stdout.readlines())
    assert launcher.wait() == 130 and "interrupted after step" in said, said
    assert not any(alive(pid) for pids in members.values() for pid in pids)
    two = config(tmp_path, forty, "two", steps=30, checkpoint_every=1000, **dict(CENTRES, parallel="data"))
    assert 3 <= final(two).step < 30
    train(two)
    assert_same(final(one), final(two), 1e-5)


@needs_horovod
def test_sampled_centres_and_a_batch_drawn_from_parts_of_the_data(tmp_path, tiny_faces):
    values = {
        "parallel": "centres",
        "sample_rate": 0.5,
        "batch_size": 4,
        "steps": 3,
        "margin_ramp": 0.5,
        "mirror": True,
    }
    code, said = launched(command(str(tmp_path / "run"), tiny_faces, TWO, **values))
    assert code == 0, said
    assert final(config(tmp_path, tiny_faces, "run", **values)).step == 3


@needs_horovod
def test_a_workers_mistake_is_one_line_and_ends_all(tmp_path, forty):  # noqa: F811
    code, said = launched(command(str(tmp_path / "run"), forty, TWO, batch_size=5))
    assert code == 2
    assert "--batch-size must be a multiple of the 2 workers, got 5" in said and "Traceback" not in said
    assert not os.path.exists(str(tmp_path / "run"))


@needs_horovod
def test_over_ssh_the_same_command_line_reaches_the_host(tmp_path, forty):  # noqa: F811
    """With a stand-in for ssh that notes the host and runs the line here."""
    ssh, hosts = tmp_path / "ssh", tmp_path / "hosts"
    ssh.write_text(f'#!/bin/sh\necho "$2" >> "{tmp_path}/hosts-seen"\nexec sh -c "$3"\n')
    ssh.chmod(0o755)
    hosts.write_text("node1\nnode2\n")
    before = TWO + ("--hosts", str(hosts), "--ssh", str(ssh), "--address", "127.0.0.1")
    environment = dict(os.environ, HOROVOD_GLOO_IFACE="lo")  # both hosts are this machine
    ended = subprocess.run(
        command(str(tmp_path / "run"), forty, before, steps=1), capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert sorted((tmp_path / "hosts-seen").read_text().split()) == ["node1", "node2"]
    assert final(config(tmp_path, forty, "run")).step == 1


@needs_horovod
def test_the_store_needs_the_launcher(tmp_path, forty, monkeypatch):  # noqa: F811
    monkeypatch.delenv("HOROVOD_RANK", raising=False)
    with pytest.raises(UserError, match="launch --engine horovod"):
        train(config(tmp_path, forty, "run", kvstore="horovod"))


def test_without_horovod_one_line_says_how_to_build_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rendezvous.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Horovod is not installed.*recipes/horovod.sh"):
        run(Launch(("train",), 2, 1, engine="horovod"))
    assert (
        cli.main(
            [
                "launch",
                "--engine",
                "horovod",
                "-n",
                "2",
                "--",
                "train",
                "--data",
                "faces",
                "--run",
                str(tmp_path / "run"),
            ]
        )
        == 2
    )
    assert "Horovod is not installed" in capsys.readouterr().err.splitlines()[0]
    with pytest.raises(UserError, match="Horovod is not installed"):
        train(config(tmp_path, "faces", "run", kvstore="horovod"))


def test_centres_over_workers_of_mxnets_servers_are_refused():
    from arcface_mx.train.worker import Worker

    with pytest.raises(UserError, match="--engine horovod"):
        Worker("dist_sync", 0, 2).check("centres", skip_bad_batches=0)


def test_places_of_workers_on_hosts():
    found = rendezvous.rank_workers(["a", "b", "a"])
    assert [(place["rank"], place["local_rank"], place["local_size"]) for place in found] == [
        (0, 0, 2),
        (1, 0, 1),
        (2, 1, 2),
    ]
    assert [(place["cross_rank"], place["cross_size"]) for place in found] == [(0, 2), (1, 2), (0, 1)]
    assert {place["size"] for place in found} == {3}
