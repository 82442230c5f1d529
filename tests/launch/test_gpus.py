"""Each worker has a GPU of its own; what the machines do not have is refused before anything starts."""

from __future__ import annotations

import json
import os
import re
import sys
import types

import pytest

from arcface_mx import cli
from arcface_mx.launch import gpus, horovod_store, probe
from arcface_mx.launch.gpus import assign_gpus
from arcface_mx.launch.launcher import Launch, run
from arcface_mx.util.errors import UserError


def machine(count, visible=None, nccl=True, cuda_build=True):
    return {"gpus": count, "cuda_build": cuda_build, "visible": visible, "nccl": nccl}


@pytest.fixture
def machines(monkeypatch):
    """What each host answers; None is this machine."""
    answers = {}
    monkeypatch.setattr(gpus, "ask", lambda host, ssh: answers[host])
    return answers


def seen_by(assigned):
    return [variables.get("CUDA_VISIBLE_DEVICES") for variables in assigned]


def test_workers_see_one_gpu_each_by_their_rank_on_the_host(machines):
    machines.update({None: machine(2), "a": machine(2), "b": machine(4, visible="5,GPU-1a2b,7,1")})
    assert seen_by(assign_gpus([None, None], "gpu", "ps")) == ["0", "1"]
    assert seen_by(assign_gpus(["a", "b", "a", "b"], "gpu", "ps")) == ["0", "5", "1", "GPU-1a2b"]


def test_a_list_of_gpus_means_the_same_for_each_worker(machines):
    machines[None] = machine(2)
    assert assign_gpus([None, None], "gpu(0)", "ps") == [{}, {}]
    assert assign_gpus([None, None], "gpu(0),gpu(1)", "ps") == [{}, {}]
    assert assign_gpus([None, None], "cpu(0)", "ps") == [{}, {}]


@pytest.mark.parametrize(
    "hosts, devices, engine, words",
    [
        ([None] * 3, "gpu", "ps", "3 workers need 3 GPUs, and MXNet sees 2 there.*--devices 'gpu(0)'"),
        (["a", None, "a"], "gpu", "ps", "2 workers on a need 2 GPUs, and MXNet sees 1 there"),
        (["none"], "gpu", "ps", "there is no gpu(0) on none. Number of GPUs that MXNet sees: 0.*is a CPU build"),
        ([None], "gpu(1),gpu(2)", "ps", "there is no gpu(2). Number of GPUs that MXNet sees: 2"),
        ([None], "gpu", "horovod", "built without NCCL.*recipes/horovod.sh --gpu"),
    ],
)
def test_what_is_missing_is_said_in_one_line(machines, hosts, devices, engine, words):
    machines.update({None: machine(2, nccl=False), "a": machine(1), "none": machine(0, cuda_build=False)})
    with pytest.raises(UserError, match=re.escape(words).replace(r"\.\*", ".*")):
        assign_gpus(hosts, devices, engine)


def test_horovod_sends_soon_on_gpus_unless_the_user_says_otherwise(machines, monkeypatch):
    machines[None] = machine(2)
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", "3")
    assert assign_gpus([None], "gpu", "horovod") == [
        {"CUDA_VISIBLE_DEVICES": "0", "HOROVOD_FUSION_THRESHOLD": "67108864"}
    ]
    assert assign_gpus([None], "cpu", "horovod") == [{}]


def test_nothing_starts_where_a_gpu_is_missing(machines, monkeypatch, capsys, tmp_path):
    machines[None] = machine(1)
    started = []
    monkeypatch.setattr("arcface_mx.launch.launcher.supervise", lambda processes, ssh: started.extend(processes) or 0)
    settings = tmp_path / "config.json"
    training = ["train", "--data", "faces", "--run", "run", "--devices", "gpu"]
    assert cli.main(["launch", "-n", "2", "--", *training]) == 2
    error = capsys.readouterr().err
    assert "2 workers need 2 GPUs" in error and error.count("\n") == 1 and not started
    # The devices may also come from a file.
    from arcface_mx.config import from_flat, to_json

    settings.write_text(json.dumps(to_json(from_flat({"devices": "gpu"}))))
    assert cli.main(["launch", "-n", "2", "--", "train", "--config", str(settings), "--run", "run"]) == 2
    machines[None] = machine(2)
    assert cli.main(["launch", "-n", "2", "--", *training]) == 0
    workers = [process.environment for process in started if process.name.startswith("worker")]
    assert seen_by(workers) == ["0", "1"]


def test_a_mistake_in_the_flags_of_the_training_names_its_flag(capsys):
    training = ["train", "--data", "faces", "--run", "run", "--batch-size", "0"]
    assert cli.main(["launch", "-n", "2", "--", *training]) == 2
    assert "--batch-size" in capsys.readouterr().err


def test_a_host_is_asked_over_ssh(fake_ssh, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "PROBE", ("-c", "import sys; print('greeting'); print('{\"gpus\": 3}')"))
    assert gpus.ask("node7", fake_ssh) == {"gpus": 3}
    assert (tmp_path / "hosts-seen").read_text() == "node7\n"
    assert gpus.ask(None) == {"gpus": 3}
    monkeypatch.setattr(gpus, "PROBE", ("-c", "exit(1)"))
    with pytest.raises(UserError, match="cannot ask node7 for its GPUs"):
        gpus.ask("node7", fake_ssh)


@pytest.mark.slow
def test_this_machine_is_asked_by_a_process_of_its_own():
    import mxnet as mx

    found = gpus.ask(None)
    assert found["gpus"] == mx.context.num_gpus()
    assert found["cuda_build"] == mx.runtime.Features().is_enabled("CUDA")
    assert found["visible"] == os.environ.get("CUDA_VISIBLE_DEVICES")


class StandIn(types.ModuleType):
    """What this project uses of horovod.mxnet before a run starts."""

    def __init__(self, nccl):
        super().__init__("horovod.mxnet")
        self.nccl_built, self.init = lambda: nccl, lambda: None


@pytest.fixture
def horovod(monkeypatch):
    """Return a function that installs a Horovod with or without NCCL."""

    def install(nccl):
        monkeypatch.setitem(sys.modules, "horovod", types.ModuleType("horovod"))
        monkeypatch.setitem(sys.modules, "horovod.mxnet", StandIn(nccl))
        sys.modules["horovod"].mxnet = sys.modules["horovod.mxnet"]
        monkeypatch.setattr(horovod_store, "require_horovod", lambda: None)

    return install


@pytest.mark.parametrize("version, built", [(0, False), (21500, True)])
def test_the_probe_asks_horovod_for_nccl(horovod, version, built):
    horovod(version)
    assert probe.probe()["nccl"] is built


def test_a_worker_refuses_gpus_without_nccl(horovod, monkeypatch):
    monkeypatch.setenv("HOROVOD_RANK", "0")
    horovod(0)
    with pytest.raises(UserError, match=r"`devices` gpu\(0\): .*without NCCL.*recipes/horovod.sh --gpu"):
        horovod_store.join("gpu(0)")
    assert horovod_store.join("cpu") is sys.modules["horovod.mxnet"]
    horovod(21500)
    assert horovod_store.join("gpu") is sys.modules["horovod.mxnet"]


def test_the_launcher_hands_engine_and_devices_on(machines, monkeypatch):
    machines[None] = machine(2, nccl=False)
    monkeypatch.setattr("arcface_mx.launch.launcher.require_horovod", lambda: None)
    with pytest.raises(UserError, match="without NCCL"):
        run(Launch(("train",), 2, engine="horovod", devices="gpu"))
