"""Tasks of srun and mpirun become the workers of one run."""

from __future__ import annotations

import http.server
import importlib.util
import os
import socket
import subprocess
import sys
import types

import pytest

from arcface_mx import cli
from arcface_mx.launch import gpus, tasks
from arcface_mx.launch.endpoint import FIRST_SOCKET, LOOPBACK
from arcface_mx.launch.hosts import free_port
from arcface_mx.launch.tasks import current_task, expand
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.launching import command, config
from tests.support.training import assert_same, final


def slurm(rank, size=2, local_rank=None, nodes="node7", **others):
    """Variables as srun sets them."""
    return {
        "SLURM_PROCID": str(rank),
        "SLURM_STEP_NUM_TASKS": str(size),
        "SLURM_NTASKS": "64",  # of the job
        "SLURM_LOCALID": str(rank if local_rank is None else local_rank),
        "SLURM_JOB_NODELIST": "node[1-64]",
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_JOB_ID": f"test{os.getpid()}",
        "SLURM_STEP_ID": "3",
        **others,
    }


def open_mpi(rank, size, local_rank, local_size, **others):
    numbers = {"RANK": rank, "SIZE": size, "LOCAL_RANK": local_rank, "LOCAL_SIZE": local_size}
    return {**{f"OMPI_COMM_WORLD_{name}": str(number) for name, number in numbers.items()}, **others}


def hydra(rank, size, local_rank, local_size):
    names = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
    return dict(zip(names, map(str, (rank, size, local_rank, local_size))))


@pytest.mark.parametrize(
    "environment, expected",
    [
        (slurm(1), (1, 2, 1, 2, 1, "node7")),
        (slurm(3, 4, 1, "b[08-09]"), (3, 4, 1, 2, 2, "b08")),
        (open_mpi(5, 8, 1, 4), (5, 8, 1, 4, 2, "")),
        (hydra(1, 2, 1, 2), (1, 2, 1, 2, 1, "")),
        # mpirun in a job of SLURM, which starts one daemon of mpirun on each host
        ({**slurm(0, 2, 0, "a,b"), **open_mpi(5, 8, 1, 4)}, (5, 8, 1, 4, 2, "")),
        ({**slurm(0, 2, 0, "a,b"), **hydra(2, 4, 0, 2)}, (2, 4, 0, 2, 2, "")),
        ({**slurm(1), "PMI_RANK": "1", "PMI_SIZE": "2"}, (1, 2, 1, 2, 1, "node7")),  # srun --mpi=pmi2
    ],
)
def test_the_variables_of_a_task_are_read(environment, expected):
    task = current_task(environment)
    assert (task.rank, task.size, task.local_rank, task.local_size, task.num_hosts, task.first_host) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {},
        slurm(0, 1),
        open_mpi(0, 1, 0, 1),
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"},  # a batch script, which runs once
        {**slurm(1), "DMLC_ROLE": "worker"},
        {**slurm(1), "HOROVOD_RANK": "1"},
    ],
)
def test_a_process_that_is_alone_or_was_launched_is_no_task(environment):
    assert current_task(environment) is None


def test_a_list_of_nodes_is_expanded():
    assert expand("n[08-10,3],login,r[1-2]c[5,6]-x") == [
        *("n08", "n09", "n10", "n3", "login"),
        *("r1c5-x", "r1c6-x", "r2c5-x", "r2c6-x"),
    ]


@pytest.fixture
def started(monkeypatch):
    """The processes that tasks would start, in their order."""
    processes = []
    monkeypatch.setattr(tasks, "supervise", lambda those: processes.extend(those) or 0)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return processes


def names(processes):
    return [process.name.split(" of ")[0] for process in processes]


def test_on_one_host_the_first_task_starts_scheduler_and_server(started, caplog):
    caplog.set_level("INFO", "arcface_mx")
    for rank in range(3):
        tasks.run(current_task(slurm(rank, 3)), ["--data", "x"], "dist_sync", "cpu")
    assert names(started) == ["scheduler", "server", "worker 0", "worker 1", "worker 2"]
    assert len({process.environment["DMLC_PS_ROOT_PORT"] for process in started}) == 1
    assert {process.environment["DMLC_LOCAL"] for process in started} == {"1"}
    assert started[0].environment["DMLC_NUM_WORKER"] == "3" and started[0].environment["DMLC_NUM_SERVER"] == "1"
    sockets = [process.environment["PORT"] for process in started[1:]]
    assert len(set(sockets)) == 4
    assert started[-1].arguments == ("-m", "arcface_mx", "train", "--data", "x", "--kvstore", "dist_sync")
    assert caplog.text.count("Only this user can open them") == 1


def test_each_host_has_a_server_and_all_tasks_meet_at_the_first(started, monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    monkeypatch.setattr(socket, "gethostbyname", lambda name: {"b08": "192.0.2.8"}[name])
    for rank in range(4):
        tasks.run(current_task(slurm(rank, 4, rank // 2, "b[08-09]")), [], "dist_sync", "cpu")  # dealt out in turn
    assert names(started) == ["scheduler", "server", "worker 0", "server", "worker 1", "worker 2", "worker 3"]
    ports = {process.environment["DMLC_PS_ROOT_PORT"] for process in started}
    assert len(ports) == 1 and 20_000 <= int(*ports) < 32_000
    assert {process.environment["DMLC_PS_ROOT_URI"] for process in started} == {"192.0.2.8"}
    assert started[0].environment["DMLC_NUM_SERVER"] == "2"
    assert not any("PORT" in process.environment or "DMLC_LOCAL" in process.environment for process in started)
    assert f"the scheduler on 192.0.2.8:{ports.pop()}" in caplog.text


def test_runs_of_different_steps_do_not_meet(started):
    for step in ("1", "2"):
        tasks.run(current_task(slurm(0, SLURM_STEP_ID=step)), [], "dist_sync", "cpu")
    schedulers = [process for process in started if process.name == "scheduler"]
    assert len({process.environment["DMLC_PS_ROOT_PORT"] for process in schedulers}) == 2


def test_mpirun_over_several_hosts_needs_an_address(started, monkeypatch):
    task = current_task(open_mpi(0, 4, 0, 2, PMIX_NAMESPACE="7"))
    with pytest.raises(UserError, match="set MASTER_ADDR"):
        tasks.run(task, [], "dist_sync", "cpu")
    monkeypatch.setenv("MASTER_ADDR", "192.0.2.8")
    monkeypatch.setenv("MASTER_PORT", "29500")
    tasks.run(task, [], "dist_sync", "cpu")
    assert started[0].environment["DMLC_PS_ROOT_URI"] == "192.0.2.8"
    assert started[0].environment["DMLC_PS_ROOT_PORT"] == "29500"


def test_a_first_host_that_only_it_reaches_is_refused(started, monkeypatch):
    monkeypatch.setattr(socket, "gethostbyname", lambda name: "127.0.1.1")
    with pytest.raises(UserError, match="b08 stands for 127.0.1.1.*MASTER_ADDR"):
        tasks.run(current_task(slurm(0, 4, 0, "b[08-09]")), [], "dist_sync", "cpu")


@pytest.mark.parametrize(
    "count, variables, expected",
    [
        (2, {}, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (1, {"SLURM_GPUS_PER_TASK": "1"}, [{"CUDA_VISIBLE_DEVICES": "0"}] * 2),  # SLURM shows each task its own
        (2, {"SLURM_GPUS_PER_TASK": "1"}, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
    ],
)
def test_each_task_has_a_gpu_of_its_own(started, monkeypatch, count, variables, expected):
    machine = {"gpus": count, "cuda_build": True, "visible": None, "nccl": False}
    monkeypatch.setattr(gpus, "ask", lambda host, ssh="ssh": machine)
    monkeypatch.setattr(tasks, "ask", gpus.ask)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for rank in range(2):
        tasks.run(current_task(slurm(rank)), [], "dist_sync", "gpu")
    workers = [process.environment for process in started if process.name.startswith("worker")]
    assert [{"CUDA_VISIBLE_DEVICES": worker["CUDA_VISIBLE_DEVICES"]} for worker in workers] == expected


def test_more_tasks_than_gpus_are_refused(started, monkeypatch):
    monkeypatch.setattr(
        gpus, "ask", lambda host, ssh="ssh": {"gpus": 1, "cuda_build": True, "visible": None, "nccl": True}
    )
    with pytest.raises(UserError, match="2 workers need 2 GPUs, and MXNet sees 1 there"):
        tasks.run(current_task(slurm(1)), [], "dist_sync", "gpu")
    assert not started


class StandInServer(http.server.HTTPServer):
    """What this project uses of Horovod's RendezvousHTTPServer."""

    def __init__(self, address, handler, verbose):
        super().__init__(address, http.server.BaseHTTPRequestHandler)

    def init(self, slots):
        StandInServer.slots = slots


@pytest.fixture
def horovod(monkeypatch):
    """Stand-ins for the two modules of Horovod that run the HTTP server."""
    for name, content in {
        "horovod.runner.common.util.hosts": {"SlotInfo": dict},
        "horovod.runner.http.http_server": {"RendezvousHTTPServer": StandInServer, "RendezvousHandler": None},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(tasks, "require_horovod", lambda: None)


def test_tasks_join_horovod_at_the_first_task(started, horovod, monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    monkeypatch.setenv("MASTER_PORT", str(free_port(LOOPBACK)))
    monkeypatch.setattr(tasks, "CONNECT_TIMEOUT", 0.0)
    first, second = (current_task(open_mpi(rank, 2, rank, 2)) for rank in range(2))
    with pytest.raises(UserError, match="the first task does not listen"):
        tasks.run(second, [], "horovod", "cpu")
    supervise = tasks.supervise

    def while_the_first_runs(processes):
        monkeypatch.setattr(tasks, "supervise", supervise)
        supervise(processes)
        return tasks.run(second, [], "horovod", "cpu")

    monkeypatch.setattr(tasks, "supervise", while_the_first_runs)
    assert tasks.run(first, ["--data", "x"], "horovod", "cpu") == 0
    assert names(started) == ["worker 0", "worker 1"]
    environments = [process.environment for process in started]
    assert [(one["HOROVOD_RANK"], one["HOROVOD_LOCAL_RANK"]) for one in environments] == [("0", "0"), ("1", "1")]
    assert {one["HOROVOD_GLOO_RENDEZVOUS_PORT"] for one in environments} == {os.environ["MASTER_PORT"]}
    assert {one["HOROVOD_GLOO_IFACE"] for one in environments} == {"lo"}
    assert started[0].arguments[-2:] == ("--kvstore", "horovod")
    assert f"{LOOPBACK}:{os.environ['MASTER_PORT']}" in caplog.text


def test_horovod_needs_consecutive_ranks_on_a_host(started, horovod):
    with pytest.raises(UserError, match="task 1 is number 0 on its host.*--distribution=block"):
        tasks.run(current_task(slurm(1, 4, 0, "a,b")), [], "horovod", "cpu")


@pytest.mark.parametrize(
    "flags, expected",
    [
        ([], ("dist_sync", "cpu")),
        (["--kvstore", "dist_device_sync"], ("dist_device_sync", "cpu")),
        (["--kvstore", "horovod", "--devices", "gpu"], ("horovod", "gpu")),
        (["--kvstore", "local"], None),  # each task trains alone
    ],
)
def test_the_command_line_becomes_a_task(monkeypatch, flags, expected):
    for name, value in slurm(1).items():
        monkeypatch.setenv(name, value)
    for name in ("DMLC_ROLE", "HOROVOD_RANK"):
        monkeypatch.delenv(name, raising=False)
    seen = []
    monkeypatch.setattr(tasks, "run", lambda task, words, *settings: seen.append((task.rank, words, settings)) or 0)
    monkeypatch.setattr("arcface_mx.train.run.train", lambda config: seen.append(None))
    words = ["--data", "x", "--run", "y", *flags]
    assert cli.main(["train", *words]) == 0
    assert seen == [(1, tuple(words), expected)] if expected else seen == [None]


def run_tasks(training, environments):
    """Run the command line of a training once in each environment, at the same time; return codes and outputs."""
    running = [
        subprocess.Popen(
            training,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        for environment in environments
    ]
    outputs = [process.communicate()[0] for process in running]
    return [process.returncode for process in running], outputs


def training_of(run, data, **values):
    words = command(run, data, **values)
    return [*words[: words.index("launch")], *words[words.index("train") :]]


@pytest.mark.slow
def test_two_tasks_end_with_the_weights_of_one_process(tmp_path, faces):
    one, two = (config(tmp_path, faces, name, steps=4) for name in ("one", "two"))
    train(one)
    codes, outputs = run_tasks(training_of(two.run.run, faces, steps=4), [slurm(rank) for rank in range(2)])
    assert codes == [0, 0], outputs
    assert "[worker 0] step 4/4" in outputs[0] and "[worker 1]" in outputs[1]  # ranks follow the tasks
    assert_same(final(one), final(two), 1e-5)
    first = FIRST_SOCKET + tasks._hash(current_task(slurm(0))) % FIRST_SOCKET
    assert not [number for number in range(first, first + 4) if os.path.exists(f"/tmp/{number}")]


@pytest.mark.slow
def test_tasks_of_two_hosts_connect_over_tcp(tmp_path, faces):
    environments = [{**slurm(rank, 2, 0, "node[1-2]"), "MASTER_ADDR": LOOPBACK} for rank in range(2)]
    codes, outputs = run_tasks(training_of(str(tmp_path / "run"), faces, steps=1), environments)
    assert codes == [0, 0], outputs
    assert "the scheduler on 127.0.0.1:" in outputs[0]
    assert final(config(tmp_path, faces, "run")).step == 1


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (recipes/horovod.sh)")
def test_two_tasks_train_with_horovod(tmp_path, faces):
    training = [*training_of(str(tmp_path / "run"), faces, steps=1), "--kvstore", "horovod"]
    codes, outputs = run_tasks(training, [open_mpi(rank, 2, rank, 2) for rank in range(2)])
    assert codes == [0, 0], outputs
    assert final(config(tmp_path, faces, "run")).step == 1
