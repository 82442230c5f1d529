"""`srun arcface-mx train …` and `mpirun -np 4 arcface-mx train …`: each task becomes a worker of one run.

A task starts its worker as a child. With MXNet's parameter server, the first task also starts the
scheduler, and the first task of each host starts a server. With Horovod, the first task runs the HTTP
server through which the workers connect.
"""

from __future__ import annotations

import os
import re
import socket
import time
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from arcface_mx.launch.endpoint import (
    FIRST_SOCKET,
    LOOPBACK,
    describe,
    remove_sockets,
    server_variables,
    socket_variables,
)
from arcface_mx.launch.gpus import ask, assign_gpus, has_own_gpus
from arcface_mx.launch.launcher import SERVER, announce
from arcface_mx.launch.rendezvous import (
    describe_rendezvous,
    loopback_only,
    rendezvous,
    require_horovod,
    worker_variables,
)
from arcface_mx.launch.supervise import ProcessSpec, supervise
from arcface_mx.util.environment import GIVEN_THREADS, available_cores
from arcface_mx.util.errors import UserError

# Variables with rank, size, local rank and local size.
OPEN_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
HYDRA = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")  # mpirun of MPICH and Intel MPI
FIRST_PORT, PORTS = 20_000, 12_000  # below those that the system gives to others
CONNECT_TIMEOUT = 300.0  # seconds in which the first task must listen


@dataclass(frozen=True)
class Task:
    """One of several processes that srun or mpirun has started, and that form one run.

    Attributes
    ----------
    rank, size : int
    local_rank, local_size : int
        Number of this task on its host, and number of tasks there.
    num_hosts : int
    first_host : str
        Name of the host of rank 0, "" if the starter does not tell it.
    job : str
        What the tasks of this run have in common, and those of other runs have not.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    num_hosts: int
    first_host: str
    job: str


def current_task(environment: Mapping[str, str]) -> Optional[Task]:
    """Return this process as a task, or None if it is alone or a launcher has started it.

    mpirun is asked first, because it may itself run in a job of SLURM.
    """
    if "DMLC_ROLE" in environment or "HOROVOD_RANK" in environment:
        return None
    for names in (OPEN_MPI, HYDRA):
        if all(name in environment for name in names):
            return _mpi_task(environment, *(int(environment[name]) for name in names))
    if "SLURM_PROCID" in environment and any(name.startswith("SLURM_STEP") for name in environment):
        return _slurm_task(environment)
    return None  # also in a batch script of SLURM, which is one process whatever the number of tasks


def _mpi_task(environment: Mapping[str, str], rank: int, size: int, local_rank: int, local_size: int) -> Optional[Task]:
    if size == 1:
        return None
    hosts = -(-size // local_size)
    job = environment.get("PMIX_NAMESPACE") or environment.get("OMPI_MCA_ess_base_jobid") or ""
    return Task(rank, size, local_rank, local_size, hosts, "", job or (f"parent {os.getppid()}" if hosts == 1 else ""))


def _slurm_task(environment: Mapping[str, str]) -> Optional[Task]:
    size = int(environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or 1)
    if size == 1:
        return None
    nodes = expand(environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST") or "localhost")
    job = f"{environment.get('SLURM_JOB_ID', os.getppid())}.{environment.get('SLURM_STEP_ID', '')}"
    local_rank = int(environment.get("SLURM_LOCALID", 0))
    return Task(
        int(environment["SLURM_PROCID"]), size, local_rank, -(-size // len(nodes)), len(nodes), nodes[0], "slurm " + job
    )


def expand(nodes: str) -> List[str]:
    """Return the hosts of a list as SLURM writes it, for example "node[01-03,7],login"."""
    hosts: List[str] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodes):
        bracket = re.search(r"\[([^\]]*)\]", part)
        if not bracket:
            hosts.append(part)
            continue
        for numbers in bracket.group(1).split(","):
            first, _, last = numbers.partition("-")
            for number in range(int(first), int(last or first) + 1):
                hosts += expand(part[: bracket.start()] + str(number).zfill(len(first)) + part[bracket.end() :])
    return hosts


def run(task: Task, arguments: Sequence[str], kvstore: str, devices: str) -> int:
    """Train as one worker of a run, and return the exit code of `supervise`.

    Parameters
    ----------
    task : Task
    arguments : sequence of str
        Those of `arcface-mx train`.
    kvstore : str
        "horovod", "dist_sync" or "dist_device_sync".
    devices : str
        Devices of the training.
    """
    engine = "horovod" if kvstore == "horovod" else "ps"
    if engine == "horovod":
        require_horovod()
    own = {**_gpu(task, devices, engine), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": _threads(task)}
    with ExitStack() as stack:
        others, worker = (_horovod if engine == "horovod" else _parameter_server)(task, stack)
        training = ("-m", "arcface_mx", "train", *arguments, "--kvstore", kvstore)
        return supervise([*others, ProcessSpec(f"worker {task.rank}", training, {**worker, **own})])


def _parameter_server(task: Task, stack: ExitStack) -> Tuple[List[ProcessSpec], Dict[str, str]]:
    """Return the scheduler and the server that this task starts, and the environment of its worker."""
    address, port = _meeting_point(task)
    number = port if task.num_hosts > 1 else FIRST_SOCKET + _hash(task) % FIRST_SOCKET
    shared = server_variables(address, number, task.size, task.num_hosts)
    processes = []
    if task.rank == 0:
        announce(describe(address, number))
        stack.callback(remove_sockets, number, 1 + task.size)
        processes.append(ProcessSpec("scheduler", SERVER, {**shared, "DMLC_ROLE": "scheduler"}))
    if task.local_rank == 0:
        environment = {**shared, **socket_variables(number, 0), "DMLC_ROLE": "server"}
        processes.append(ProcessSpec(f"server of {socket.gethostname()}", SERVER, environment))
    return processes, {**shared, **socket_variables(number, 1 + task.rank), "DMLC_ROLE": "worker"}


def _horovod(task: Task, stack: ExitStack) -> Tuple[List[ProcessSpec], Dict[str, str]]:
    """Run the HTTP server in the first task, and return the environment of this task's worker."""
    if task.rank % task.local_size != task.local_rank:
        raise UserError(
            f"task {task.rank} is number {task.local_rank} on its host, but Horovod needs the same number of tasks on "
            "each host and consecutive ranks there: use srun --distribution=block --ntasks-per-node"
        )
    address, port = _meeting_point(task)
    hosts = [f"host{rank // task.local_size}" for rank in range(task.size)]
    local = task.num_hosts == 1
    if task.rank == 0:
        workers = stack.enter_context(rendezvous(hosts, address, port))
        announce(describe_rendezvous(workers[0], local))
    else:
        workers = worker_variables(hosts, address, port)
        _wait_for(address, port)
    return [], {**workers[task.rank], **(loopback_only() if local else {})}


def _meeting_point(task: Task) -> Tuple[str, int]:
    """Return address and port at which the first task listens. MASTER_ADDR and MASTER_PORT choose others."""
    port = int(os.environ.get("MASTER_PORT") or FIRST_PORT + _hash(task) % PORTS)
    name = os.environ.get("MASTER_ADDR") or (LOOPBACK if task.num_hosts == 1 else task.first_host)
    if not name:
        raise UserError(
            "mpirun does not tell the host of its first task: set MASTER_ADDR to that host's address for all tasks"
        )
    try:
        address = socket.gethostbyname(name)
    except OSError:
        raise UserError(f"the host of the first task, {name}, has no IP address; set MASTER_ADDR to its address")
    if task.num_hosts > 1 and address.startswith("127.") and not os.environ.get("MASTER_ADDR"):
        raise UserError(f"{name} stands for {address}, which other hosts cannot reach; set MASTER_ADDR to its address")
    return address, port


def _hash(task: Task) -> int:
    return zlib.crc32(f"{os.getuid()} {task.job}".encode())


def _wait_for(address: str, port: int) -> None:
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while True:
        try:
            socket.create_connection((address, port), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise UserError(f"the first task does not listen on {address}:{port}; MASTER_PORT chooses another port")
            time.sleep(0.2)


def _gpu(task: Task, devices: str, engine: str) -> Dict[str, str]:
    """Return the variables that give this task its GPU. SLURM may have given each task GPUs of its own."""
    workers, local_rank = task.local_size, task.local_rank
    if has_own_gpus(devices) and "SLURM_GPUS_PER_TASK" in os.environ and ask(None)["gpus"] < workers:
        workers, local_rank = 1, 0
    return assign_gpus([None] * workers, devices, engine)[local_rank]


def _threads(task: Task) -> str:
    """Return the threads of this task: those the user or SLURM gives it, or its cores, or its share of the host's."""
    cores = available_cores()
    if cores == os.cpu_count():  # srun or mpirun has not bound this task to cores
        cores = max(1, cores // task.local_size)
    return GIVEN_THREADS or os.environ.get("SLURM_CPUS_PER_TASK") or str(cores)
