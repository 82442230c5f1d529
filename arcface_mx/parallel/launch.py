"""Start a scheduler, servers and workers of one training run, here or over ssh; all end together."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from arcface_mx.errors import UserError
from arcface_mx.parallel.processes import Child, end, how_it_ended, start
from arcface_mx.platform import available_cores

FAREWELL = 20.0  # seconds in which the others end when the first has ended well; verification is over by then
SERVER = ["-m", "arcface_mx.parallel.server"]
PASSED_ON = ("OMP_NUM_THREADS", "ARCFACE_", "MXNET_", "PS_", "CUDA_", "LD_LIBRARY_PATH", "PYTHONPATH")


@dataclass(frozen=True)
class Launch:
    """What to start. `command`: an arcface-mx command line, without "arcface-mx"; hosts: none is here."""

    command: Tuple[str, ...]
    workers: int
    servers: int
    hosts: Tuple[str, ...] = ()
    address: str = ""  # of this machine, as the hosts see it
    ssh: str = "ssh"


def read_hosts(path: str) -> Tuple[str, ...]:
    """One host a line, as ssh takes it; # starts a comment. UserError where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            hosts = tuple(line.split("#")[0].strip() for line in stream)
    except OSError as error:
        raise UserError("--hosts %s: %s" % (path, error.strerror))
    hosts = tuple(host for host in hosts if host)
    if not hosts:
        raise UserError("--hosts %s: names no host" % path)
    return hosts


def check(launch: Launch) -> None:
    """Raise UserError, naming the flag, where it makes no sense."""
    if launch.workers < 1 or launch.servers < 1:
        raise UserError("-n and -s must be at least 1")
    if not launch.command or launch.command[0] != "train":
        raise UserError("launch starts trainings: write arcface-mx launch -n 2 -- train …")
    if launch.hosts and not shutil.which(shlex.split(launch.ssh)[0]):
        raise UserError("--ssh %s: no such program" % launch.ssh)


def run(launch: Launch) -> int:
    """Run to the end; 0 where every worker ended well, else 1 (2: a worker refused its input). Nothing stays behind."""
    check(launch)
    command = list(launch.command)
    if not any(word.split("=")[0] == "--kvstore" for word in command):
        command += ["--kvstore", "dist_sync"]
    shared = _shared_environment(launch)
    children: List[Child] = []
    before = {number: signal.signal(number, _raise) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        training = ["-m", "arcface_mx", *command]
        for role, count, words in (("scheduler", 1, SERVER), ("server", launch.servers, SERVER), ("worker", launch.workers, training)):
            for number in range(count):
                name, host = "%s %d" % (role, number), launch.hosts[number % len(launch.hosts)] if launch.hosts else None
                if role == "scheduler":
                    name, host = role, None
                children.append(_start(name, host, words, dict(shared, DMLC_ROLE=role), launch))
        return _watch(children)
    except KeyboardInterrupt:
        print("launch: interrupted; ending all", file=sys.stderr, flush=True)
        return 130
    finally:
        end(children)
        for number, handler in before.items():
            signal.signal(number, handler)


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
            return _report(failed, failed in workers)
        time.sleep(0.1)
    return 0


def _report(failed: Child, worker: bool) -> int:
    code = failed.code or 0
    failed.reader.join(timeout=2.0)  # its last words first
    print("launch: %s %s; ending the others" % (failed.name, how_it_ended(code)), file=sys.stderr, flush=True)
    if worker and code == 2:
        return 2
    print("launch: the same command goes on from the run's last checkpoint", file=sys.stderr, flush=True)
    return 1


def _start(name: str, host: Optional[str], words: List[str], added: Dict[str, str], launch: Launch) -> Child:
    if host is None:
        return start(name, [sys.executable, *words], dict(os.environ, **added))
    variables = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
    settings = ["%s=%s" % item for item in sorted(dict(variables, **added).items())]
    # -tt gives it a terminal, so that it ends when the connection does.
    remote = "cd %s && exec env %s" % (shlex.quote(os.getcwd()), " ".join(map(shlex.quote, settings + [sys.executable, *words])))
    return start(name, [*shlex.split(launch.ssh), "-tt", host, remote], dict(os.environ))


def _shared_environment(launch: Launch) -> Dict[str, str]:
    address = launch.address or (_own_address() if launch.hosts else "127.0.0.1")
    shared = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(_free_port()),
        "DMLC_NUM_WORKER": str(launch.workers),
        "DMLC_NUM_SERVER": str(launch.servers),
        "PYTHONUNBUFFERED": "1",
    }
    if not launch.hosts:
        shared["DMLC_NODE_HOST"] = address
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, available_cores() // launch.workers))
        shared["OMP_NUM_THREADS"] = threads
    return shared


def _own_address() -> str:
    return socket.gethostbyname(socket.gethostname())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _raise(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
