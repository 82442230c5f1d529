"""Start the processes of one training run, here or over ssh, and end them together.

Engine "ps" starts MXNet's parameter server: a scheduler, servers and workers. Engine "horovod" starts
workers only, which find each other through a small HTTP server in the launcher.
"""

from __future__ import annotations

import logging
import secrets
import shlex
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from arcface_mx.flags import flag_value
from arcface_mx.launch.endpoint import (
    FIRST_SOCKET,
    describe,
    remove_sockets,
    server_variables,
    socket_variables,
)
from arcface_mx.launch.gpus import assign_gpus
from arcface_mx.launch.hosts import check_hosts, free_port, own_address
from arcface_mx.launch.rendezvous import describe_rendezvous, loopback_only, rendezvous, require_horovod
from arcface_mx.launch.supervise import ProcessSpec, supervise
from arcface_mx.util.environment import threads_of_each
from arcface_mx.util.errors import UserError

LOGGER = logging.getLogger(__name__)
KVSTORES = {"ps": ("dist_sync", "dist_device_sync"), "horovod": ("horovod",)}  # the first is the default
SERVER = ("-m", "arcface_mx.launch.server")


@dataclass(frozen=True)
class Launch:
    """A training run of several processes.

    Servers and workers are each dealt out to the hosts in turn. Without hosts, all processes run on
    this machine.
    """

    command: Tuple[str, ...]  # of the training, without "arcface-mx"
    workers: int
    servers: int = 1  # Horovod has none
    hosts: Tuple[str, ...] = ()  # as ssh takes them
    address: str = ""  # at which the hosts reach this machine; by default that of its host name
    ssh: str = "ssh"
    engine: str = "ps"  # or "horovod"
    devices: str = "cpu"  # of the training; "gpu" gives each worker a GPU of its own


def run(launch: Launch) -> int:
    """Run a training to its end, and return the exit code of `supervise`."""
    _check(launch)
    with ExitStack() as stack:
        return supervise(_processes(launch, stack), launch.ssh)


def announce(text: str) -> None:
    """Log a message of the launcher."""
    LOGGER.info("launch: %s", text)


def training_arguments(command: Sequence[str], engine: str) -> Tuple[str, ...]:
    """Return the arguments of Python for a worker, with the engine's store if the command names none."""
    store = () if flag_value(command, "--kvstore") else ("--kvstore", KVSTORES[engine][0])
    return ("-m", "arcface_mx", *command, *store)


def _check(launch: Launch) -> None:
    for name in ("workers", "servers"):
        if getattr(launch, name) < 1:
            raise UserError(f"`{name}` must be at least 1, got {getattr(launch, name)}")
    if launch.engine == "horovod" and launch.servers > 1:
        raise UserError(f"`servers` must be 1 with `engine` horovod, which has no servers, got {launch.servers}")
    if launch.command[:1] != ("train",):
        raise UserError("launch only starts trainings: write arcface-mx launch -n 2 -- train …")
    check_hosts(launch.hosts)
    if launch.hosts and not shutil.which(shlex.split(launch.ssh)[0]):
        raise UserError(f"`ssh`: there is no program {launch.ssh}")
    kvstore = flag_value(launch.command, "--kvstore")
    if kvstore and kvstore not in KVSTORES[launch.engine]:
        raise UserError(f"--kvstore {kvstore} does not go with `engine` {launch.engine}; remove it")
    if launch.engine == "horovod":
        require_horovod()


def _processes(launch: Launch, stack: ExitStack) -> List[ProcessSpec]:
    """List the processes of a run, and say where they listen. What they need here lasts until `stack` closes."""
    hosts: Tuple[Optional[str], ...] = launch.hosts or (None,)
    host_of = [hosts[rank % len(hosts)] for rank in range(launch.workers)]
    gpus = assign_gpus(host_of, launch.devices, launch.engine, launch.ssh)
    address = own_address(launch.address, launch.hosts)
    shared = {"PYTHONUNBUFFERED": "1"}
    if not launch.hosts:
        shared["OMP_NUM_THREADS"] = threads_of_each(launch.workers)
    servers: List[ProcessSpec] = []
    if launch.engine == "horovod":
        workers = stack.enter_context(rendezvous([host or "localhost" for host in host_of], address))
        shared.update({} if launch.hosts else loopback_only())
        announce(describe_rendezvous(workers[0], local=not launch.hosts))
    else:
        servers, workers = _parameter_server(launch, address, shared, stack)
    training = training_arguments(launch.command, launch.engine)
    return [
        *servers,
        *(
            ProcessSpec(f"worker {rank}", training, {**shared, **worker, **gpu}, host)
            for rank, (worker, gpu, host) in enumerate(zip(workers, gpus, host_of))
        ),
    ]


def _parameter_server(
    launch: Launch, address: str, shared: Dict[str, str], stack: ExitStack
) -> Tuple[List[ProcessSpec], List[Dict[str, str]]]:
    """Return scheduler and servers, and the environment of each worker. Adds to `shared`."""
    number = free_port(address) if launch.hosts else FIRST_SOCKET + secrets.randbelow(FIRST_SOCKET)
    stack.callback(remove_sockets, number, launch.servers + launch.workers)
    announce(describe(address, number))
    shared.update(server_variables(address, number, launch.workers, launch.servers))
    servers = [ProcessSpec("scheduler", SERVER, {**shared, "DMLC_ROLE": "scheduler"})]
    for server in range(launch.servers):
        environment = {**shared, **socket_variables(number, server), "DMLC_ROLE": "server"}
        host = launch.hosts[server % len(launch.hosts)] if launch.hosts else None
        servers.append(ProcessSpec(f"server {server}", SERVER, environment, host))
    return servers, [
        {**socket_variables(number, launch.servers + worker), "DMLC_ROLE": "worker"} for worker in range(launch.workers)
    ]
