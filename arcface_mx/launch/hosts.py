"""The machines of a run: their names, how this machine is reached from them, and commands on them."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from typing import Dict, List, Sequence, Tuple

from arcface_mx.launch.endpoint import LOOPBACK
from arcface_mx.util.environment import GIVEN_THREADS
from arcface_mx.util.errors import UserError

# Environment variables that go to other hosts, by the start of their names.
FORWARDED = ("OMP_NUM_THREADS", "ARCFACE_", "MXNET_", "PS_", "HOROVOD_", "CUDA_", "LD_LIBRARY_PATH", "PYTHONPATH")


def read_hosts(path: str) -> Tuple[str, ...]:
    """Read a file with one host a line. A "#" starts a comment."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.split("#")[0].strip() for line in stream]
    except OSError as error:
        raise UserError(f"`hosts`: {path}: {error.strerror}")
    except UnicodeDecodeError:
        raise UserError(f"`hosts`: {path} is not a text file in UTF-8")
    hosts = tuple(line for line in lines if line)
    if not hosts:
        raise UserError(f"`hosts`: {path} names no host")
    check_hosts(hosts)
    return hosts


def check_hosts(hosts: Sequence[str]) -> None:
    """Raise UserError for a name that ssh would read as an option."""
    for host in hosts:
        if host.startswith("-"):
            raise UserError(f"`hosts`: {host!r} is no host name, because it begins with a hyphen")


def ssh_command(
    ssh: str, host: str, arguments: Sequence[str], environment: Dict[str, str], terminal: bool
) -> List[str]:
    """Return the command that runs Python on a host in this folder. A terminal ends it with the connection."""
    forwarded = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
    if not GIVEN_THREADS:
        forwarded.pop("OMP_NUM_THREADS", None)  # the number of cores of this machine
    settings = [f"{name}={value}" for name, value in sorted({**forwarded, **environment}.items())]
    words = " ".join(map(shlex.quote, [*settings, sys.executable, *arguments]))
    line = f"cd {shlex.quote(os.getcwd())} && exec env {words}"
    return [*shlex.split(ssh), *(["-tt"] if terminal else []), "--", host, line]


def own_address(address: str, hosts: Sequence[str]) -> str:
    """Return the IP address at which the workers reach this machine: that of `address` or of the host name."""
    if not address and not hosts:
        return LOOPBACK
    name = address or socket.gethostname()
    try:
        number = socket.gethostbyname(name)
    except OSError:
        raise UserError(
            f"`address`: the name {name} has no IP address; give the one at which the hosts reach this machine"
        )
    if number.startswith("127.") and not address:
        raise UserError(
            f"`address` is missing: the host name {name} stands for {number}, which other machines cannot reach"
        )
    return number


def free_port(address: str) -> int:
    """Return a TCP port of this machine that is free at this moment."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            raise UserError(f"`address`: {address} is no address of this machine")
        return int(probe.getsockname()[1])
