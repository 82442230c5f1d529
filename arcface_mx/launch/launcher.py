"""Start the processes of one training run, here or over ssh; all end together.

Engine "ps": MXNet's parameter server, a scheduler, servers and workers. Engine "horovod": workers alone,
which find each other at a small server in this process.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arcface_mx.launch.processes import Child, end, how_it_ended, start
from arcface_mx.launch.rendezvous import rendezvous, require_horovod
from arcface_mx.util.environment import available_cores
from arcface_mx.util.errors import LOST_WORKER_CODE, UserError

FAREWELL = 20.0  # seconds in which the others end when the first has ended well; verification is over by then
SETTLE = 5.0  # seconds in which the culprit's own end shows, where one that lost it has ended first
STORES = {"ps": ("dist_sync", "dist_device_sync"), "horovod": ("horovod",)}  # an engine's --kvstore, its default first
SERVER = ["-m", "arcface_mx.launch.server"]
PASSED_ON = ("OMP_NUM_THREADS", "ARCFACE_", "MXNET_", "PS_", "HOROVOD_", "CUDA_", "LD_LIBRARY_PATH", "PYTHONPATH")


@dataclass(frozen=True)
class Launch:
    """What to start. `command`: an arcface-mx command line, without "arcface-mx"; hosts: none is here."""

    command: Tuple[str, ...]
    workers: int
    servers: int
    hosts: Tuple[str, ...] = ()
    address: str = ""  # of this machine, as the hosts see it
    ssh: str = "ssh"
    engine: str = "ps"  # or "horovod", which has no servers


def read_hosts(path: str) -> Tuple[str, ...]:
    """One host a line, as ssh takes it; # starts a comment. UserError where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            hosts = tuple(line.split("#")[0].strip() for line in stream)
    except OSError as error:
        raise UserError(f"--hosts {path}: {error.strerror}")
    hosts = tuple(host for host in hosts if host)
    if not hosts:
        raise UserError(f"--hosts {path}: names no host")
    return hosts


def check(launch: Launch) -> None:
    """Raise UserError, naming the flag, where it makes no sense."""
    if launch.workers < 1 or launch.servers < 1:
        raise UserError("-n and -s must be at least 1")
    if launch.engine == "horovod" and launch.servers > 1:
        raise UserError(f"-s {launch.servers}: Horovod has no servers; leave -s out")
    if not launch.command or launch.command[0] != "train":
        raise UserError("launch starts trainings: write arcface-mx launch -n 2 -- train …")
    if launch.hosts and not shutil.which(shlex.split(launch.ssh)[0]):
        raise UserError(f"--ssh {launch.ssh}: no such program")
    store = _named_store(launch.command)
    if store and store not in STORES[launch.engine]:
        raise UserError(f"--kvstore {store} does not go with --engine {launch.engine}; leave it out")
    if launch.engine == "horovod":
        require_horovod()


def run(launch: Launch) -> int:
    """Run to the end; 0 where every worker ended well, else 1 (2: a worker refused its input). Nothing stays behind."""
    check(launch)
    children: List[Child] = []
    before = {number: signal.signal(number, _raise) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with ExitStack() as stack:
            for member in _members(launch, stack):
                children.append(_start(member, launch))
            return _watch(children)
    except KeyboardInterrupt:
        print("launch: interrupted; ending all", file=sys.stderr, flush=True)
        return 130
    finally:
        end(children)
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Member:
    """One process to start. host: None is here."""

    name: str
    host: Optional[str]
    words: List[str]
    added: Dict[str, str]  # to the environment


def _members(launch: Launch, stack: ExitStack) -> List[Member]:
    """All processes of the run; what they need in this one lives as long as `stack`."""
    shared, hosts = _shared_environment(launch), launch.hosts or (None,)
    training = ["-m", "arcface_mx", *_with_store(launch)]

    def members(role: str, words: List[str], added: List[Dict[str, str]]) -> List[Member]:
        return [Member(f"{role} {n}", hosts[n % len(hosts)], words, dict(shared, **own)) for n, own in enumerate(added)]

    if launch.engine == "horovod":
        of_workers = [hosts[n % len(hosts)] or "localhost" for n in range(launch.workers)]
        found = stack.enter_context(rendezvous(of_workers, _address(launch), bool(launch.hosts)))
        return members("worker", training, found)
    servers = members("server", SERVER, launch.servers * [{"DMLC_ROLE": "server"}])
    workers = members("worker", training, launch.workers * [{"DMLC_ROLE": "worker"}])
    return [Member("scheduler", None, SERVER, dict(shared, DMLC_ROLE="scheduler")), *servers, *workers]


def _with_store(launch: Launch) -> List[str]:
    """The training's command line, with the engine's --kvstore where it names none."""
    named = _named_store(launch.command)
    return [*launch.command] if named else [*launch.command, "--kvstore", STORES[launch.engine][0]]


def _named_store(command: Sequence[str]) -> str:
    for word, following in zip(command, [*command[1:], ""]):
        flag, _, value = word.partition("=")
        if flag == "--kvstore":
            return value or following
    return ""


def _watch(children: List[Child]) -> int:
    workers = [child for child in children if child.name.startswith("worker")]
    limit: Optional[float] = None
    while not all(child.code == 0 for child in workers):
        failed = next((child for child in children if child.code not in (None, 0)), None)
        if failed is None and limit is None and any(child.code == 0 for child in children):
            limit = time.monotonic() + FAREWELL  # the first has left; a whole run ends at once
        if failed is None and limit is not None and time.monotonic() > limit:
            failed = next(child for child in children if child.code == 0)
        if failed is not None:
            failed = _culprit(failed, children)
            return _report(failed, failed in workers)
        time.sleep(0.1)
    return 0


def _culprit(failed: Child, children: List[Child]) -> Child:
    """The one that brought the others down: not one that says that it lost another, if that one shows."""

    def is_victim(child: Child) -> bool:
        return child.code in (LOST_WORKER_CODE, -signal.SIGABRT)

    limit = time.monotonic() + SETTLE
    while is_victim(failed) and time.monotonic() < limit and any(child.code is None for child in children):
        time.sleep(0.05)
        failed = next((child for child in children if child.code not in (None, 0) and not is_victim(child)), failed)
    return next((child for child in children if child.code not in (None, 0) and not is_victim(child)), failed)


def _report(failed: Child, worker: bool) -> int:
    code = failed.code or 0
    failed.reader.join(timeout=2.0)  # its last words first
    print(f"launch: {failed.name} {how_it_ended(code)}; ending the others", file=sys.stderr, flush=True)
    if worker and code == 2:
        return 2
    print("launch: the same command goes on from the run's last checkpoint", file=sys.stderr, flush=True)
    return 1


def _start(member: Member, launch: Launch) -> Child:
    command = [sys.executable, *member.words]
    if member.host is None:
        return start(member.name, command, dict(os.environ, **member.added))
    variables = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
    settings = ["{}={}".format(*item) for item in sorted(dict(variables, **member.added).items())]
    # -tt gives it a terminal, so that it ends when the connection does.
    remote = f"cd {shlex.quote(os.getcwd())} && exec env {' '.join(map(shlex.quote, settings + command))}"
    return start(member.name, [*shlex.split(launch.ssh), "-tt", member.host, remote], dict(os.environ))


def _shared_environment(launch: Launch) -> Dict[str, str]:
    shared = {"PYTHONUNBUFFERED": "1"}
    if launch.engine == "ps":
        shared.update(
            DMLC_PS_ROOT_URI=_address(launch),
            DMLC_PS_ROOT_PORT=str(_free_port()),
            DMLC_NUM_WORKER=str(launch.workers),
            DMLC_NUM_SERVER=str(launch.servers),
        )
    if not launch.hosts:
        if launch.engine == "ps":
            shared["DMLC_NODE_HOST"] = _address(launch)
        else:
            shared["HOROVOD_GLOO_IFACE"] = os.environ.get("HOROVOD_GLOO_IFACE") or "lo"
        shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
            max(1, available_cores() // launch.workers)
        )
    return shared


def _address(launch: Launch) -> str:
    """Of this machine, as the workers reach it."""
    return launch.address or (_own_address() if launch.hosts else "127.0.0.1")


def _own_address() -> str:
    return socket.gethostbyname(socket.gethostname())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _raise(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
