"""Where the processes of MXNet's parameter server (ps-lite) listen, and who can reach them.

ps-lite asks nobody for a name or a password. On one machine its processes use Unix sockets that only
their user can open. Over several machines they listen on TCP ports, each process on the one address
through which its machine reaches the scheduler.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Dict, Iterator

LOOPBACK = "127.0.0.1"
SOCKETS = "/tmp"  # ps-lite knows no other folder
FIRST_SOCKET = 10**9  # ps-lite names a socket by a number, as it names a port; these are above all ports


def server_variables(address: str, number: int, workers: int, servers: int) -> Dict[str, str]:
    """Return the variables that all processes of a parameter server share.

    `number` is that of the scheduler: a TCP port at `address`, or a Unix socket if it is at least
    FIRST_SOCKET.
    """
    variables = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(number),
        "DMLC_NUM_WORKER": str(workers),
        "DMLC_NUM_SERVER": str(servers),
    }
    return {**variables, "DMLC_LOCAL": "1", "DMLC_NODE_HOST": LOOPBACK} if number >= FIRST_SOCKET else variables


def socket_variables(number: int, process: int) -> Dict[str, str]:
    """Return the variable with the Unix socket of a process, or none if it takes a free TCP port.

    Servers are numbered from 0, and workers from there on. ps-lite ranks by these numbers, so that
    worker k has rank k on one machine.
    """
    return {"PORT": str(number + 1 + process)} if number >= FIRST_SOCKET else {}


def describe(address: str, number: int) -> str:
    """Say in one sentence or two what listens where, and who may reach it."""
    if number >= FIRST_SOCKET:
        return f"MXNet's parameter server listens on Unix sockets in {SOCKETS}. Only this user can open them."
    return (
        f"MXNet's parameter server listens on TCP ports: the scheduler on {address}:{number}, servers and workers "
        "on free ports of their own addresses. It asks for no password: everybody who reaches these ports can read "
        "and disturb the run. Use a network that you trust."
    )


def remove_sockets(number: int, processes: int) -> None:
    """Remove the Unix sockets that a scheduler and other processes have left because they were killed."""
    for name in range(number, number + 1 + processes) if number >= FIRST_SOCKET else ():
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(SOCKETS, str(name)))


@contextlib.contextmanager
def prepare_socket() -> Iterator[None]:
    """Choose the address at which ps-lite listens in this process, and let nobody else open a Unix socket."""
    os.environ.pop("DMLC_RANK", None)  # of another run: this process would take that rank
    if os.environ.get("DMLC_LOCAL") != "1":
        os.environ.pop("PORT", None)  # of another program: ps-lite would listen there
    if not os.environ.get("DMLC_NODE_HOST") and not os.environ.get("DMLC_INTERFACE"):
        # ps-lite would take the first interface of this machine.
        os.environ["DMLC_NODE_HOST"] = address_towards(os.environ["DMLC_PS_ROOT_URI"])
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def address_towards(peer: str) -> str:
    """Return the address of this machine from which it reaches another one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))
        return str(probe.getsockname()[0])
