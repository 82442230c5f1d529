"""Start the processes of one training run, here or over ssh, and end them together.

Engine "ps" starts MXNet's parameter server: a scheduler, servers and workers. Engine "horovod" starts
workers only, which find each other through a small HTTP server in the launcher.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from arcface_mx.flags import flag_value
from arcface_mx.launch.processes import Child, start, terminate
from arcface_mx.launch.rendezvous import rendezvous, require_horovod
from arcface_mx.launch.watch import watch
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import UserError

KVSTORES = {"ps": ("dist_sync", "dist_device_sync"), "horovod": ("horovod",)}  # the first is the default
SERVER = ["-m", "arcface_mx.launch.server"]
# Environment variables that go to other hosts, by the start of their names.
FORWARDED = ("OMP_NUM_THREADS", "ARCFACE_", "MXNET_", "PS_", "HOROVOD_", "CUDA_", "LD_LIBRARY_PATH", "PYTHONPATH")


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


class ProcessSpec(NamedTuple):
    """A process to start. Without a host it runs on this machine."""

    name: str
    host: Optional[str]
    arguments: List[str]  # of the Python interpreter
    environment: Dict[str, str]  # in addition to that of the launcher


def read_hosts(path: str) -> Tuple[str, ...]:
    """Read a file with one host a line. A "#" starts a comment."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.split("#")[0].strip() for line in stream]
    except OSError as error:
        raise UserError(f"`hosts`: {path}: {error.strerror}")
    hosts = tuple(line for line in lines if line)
    if not hosts:
        raise UserError(f"`hosts`: {path} names no host")
    return hosts


def run(launch: Launch) -> int:
    """Run a training to its end, and return the exit code. No process outlives this function.

    The code is 130 if the launcher was interrupted, and otherwise that of `watch`.
    """
    _check(launch)
    children: List[Child] = []
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with ExitStack() as stack:
            for process in _processes(launch, stack):
                children.append(_start(process, launch.ssh))
            return watch(children)
    except KeyboardInterrupt:
        print("launch: interrupted; ending all processes", file=sys.stderr, flush=True)
        return 130
    finally:
        terminate(children)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _check(launch: Launch) -> None:
    for name in ("workers", "servers"):
        if getattr(launch, name) < 1:
            raise UserError(f"`{name}` must be at least 1, got {getattr(launch, name)}")
    if launch.engine == "horovod" and launch.servers > 1:
        raise UserError(f"`servers` must be 1 with `engine` horovod, which has no servers, got {launch.servers}")
    if launch.command[:1] != ("train",):
        raise UserError("launch only starts trainings: write arcface-mx launch -n 2 -- train …")
    if launch.hosts and not shutil.which(shlex.split(launch.ssh)[0]):
        raise UserError(f"`ssh`: there is no program {launch.ssh}")
    kvstore = flag_value(launch.command, "--kvstore")
    if kvstore and kvstore not in KVSTORES[launch.engine]:
        raise UserError(f"--kvstore {kvstore} does not go with `engine` {launch.engine}; remove it")
    if launch.engine == "horovod":
        require_horovod()


def _processes(launch: Launch, stack: ExitStack) -> List[ProcessSpec]:
    """List the processes of a run. The rendezvous server that Horovod needs runs until `stack` closes."""
    hosts, shared = launch.hosts or (None,), _shared_environment(launch)
    training = ["-m", "arcface_mx", *launch.command]
    if not flag_value(launch.command, "--kvstore"):
        training += ["--kvstore", KVSTORES[launch.engine][0]]

    def dealt_out(role: str, arguments: List[str], environments: List[Dict[str, str]]) -> List[ProcessSpec]:
        return [
            ProcessSpec(f"{role} {number}", hosts[number % len(hosts)], arguments, dict(shared, **environment))
            for number, environment in enumerate(environments)
        ]

    if launch.engine == "horovod":
        host_of_worker = [hosts[rank % len(hosts)] or "localhost" for rank in range(launch.workers)]
        environments = stack.enter_context(rendezvous(host_of_worker, _address(launch), public=bool(launch.hosts)))
        return dealt_out("worker", training, environments)
    return [
        ProcessSpec("scheduler", None, SERVER, dict(shared, DMLC_ROLE="scheduler")),
        *dealt_out("server", SERVER, [{"DMLC_ROLE": "server"}] * launch.servers),
        *dealt_out("worker", training, [{"DMLC_ROLE": "worker"}] * launch.workers),
    ]


def _start(process: ProcessSpec, ssh: str) -> Child:
    command = [sys.executable, *process.arguments]
    if process.host is None:
        return start(process.name, command, dict(os.environ, **process.environment))
    forwarded = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
    settings = [f"{name}={value}" for name, value in sorted(dict(forwarded, **process.environment).items())]
    line = f"cd {shlex.quote(os.getcwd())} && exec env {' '.join(map(shlex.quote, settings + command))}"
    # -tt gives the process a terminal, so that it ends when the connection does.
    return start(process.name, [*shlex.split(ssh), "-tt", process.host, line], dict(os.environ))


def _shared_environment(launch: Launch) -> Dict[str, str]:
    """Return the variables that all processes of a run have in common."""
    shared = {"PYTHONUNBUFFERED": "1"}
    if launch.engine == "ps":
        shared.update(
            DMLC_PS_ROOT_URI=_address(launch),
            DMLC_PS_ROOT_PORT=str(_free_port()),
            DMLC_NUM_WORKER=str(launch.workers),
            DMLC_NUM_SERVER=str(launch.servers),
        )
    if launch.hosts:
        return shared
    if launch.engine == "ps":
        shared["DMLC_NODE_HOST"] = _address(launch)
    else:
        shared["HOROVOD_GLOO_IFACE"] = os.environ.get("HOROVOD_GLOO_IFACE") or "lo"
    threads = max(1, available_cores() // launch.workers)
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(threads)
    return shared


def _address(launch: Launch) -> str:
    """Return the address at which the workers reach this machine."""
    if launch.address or not launch.hosts:
        return launch.address or "127.0.0.1"
    return socket.gethostbyname(socket.gethostname())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
