"""The launcher's side of Horovod: rank and variables of each worker, and the HTTP server that connects them."""

from __future__ import annotations

import collections
import importlib.util
import os
import threading
from contextlib import contextmanager
from typing import Dict, Iterator, List, Sequence

from arcface_mx.util.errors import UserError

BUILD = "build it against this MXNet with recipes/horovod.sh (g++ and cmake, 5 to 20 minutes; by hand: recipes/gpu.md)"
NO_NCCL = (
    "the installed Horovod was built without NCCL, so it cannot add the gradients of GPUs; "
    "build it with recipes/horovod.sh --gpu, or use --engine ps"
)
# Timeouts in seconds, for variables that the user has not set.
TIMEOUTS = {
    # The other workers wait while rank 0 verifies. Horovod would call that a stall after one minute.
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "3600",
    # For connecting, and for one exchange. Importing mxnet on a busy machine takes a while.
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "120",
}


def require_horovod() -> None:
    """Raise UserError, which says how to build Horovod, if it is not installed."""
    if importlib.util.find_spec("horovod") is None:
        raise UserError(f"Horovod is not installed; {BUILD}")


def rank_workers(hosts: Sequence[str]) -> List[Dict[str, int]]:
    """Return rank and size of each worker in Horovod's three groups, given the host of each worker.

    The local group of a worker are the workers on its host. Its cross group are the workers on all
    hosts that have the same local rank.
    """
    ranks, workers_on = [], collections.Counter(hosts)
    for rank, host in enumerate(hosts):
        local_rank = hosts[:rank].count(host)
        cross_group = [name for name, count in workers_on.items() if count > local_rank]
        ranks.append(
            {
                "rank": rank,
                "size": len(hosts),
                "local_rank": local_rank,
                "local_size": workers_on[host],
                "cross_rank": cross_group.index(host),
                "cross_size": len(cross_group),
            }
        )
    return ranks


@contextmanager
def rendezvous(hosts: Sequence[str], address: str, port: int = 0) -> Iterator[List[Dict[str, str]]]:
    """Run the HTTP server at one address of this machine, and yield the environment of each worker.

    `hosts` has the host of each worker. The server asks for no password. Port 0 stands for a free one.
    """
    from horovod.runner.common.util.hosts import SlotInfo
    from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

    try:
        server = RendezvousHTTPServer((address, port), RendezvousHandler, 0)
    except OSError as error:
        raise UserError(f"`address`: Horovod's rendezvous server cannot listen on {address}:{port} ({error.strerror})")
    server.init([SlotInfo(hostname=host, **numbers) for host, numbers in zip(hosts, rank_workers(hosts))])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield worker_variables(hosts, address, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def worker_variables(hosts: Sequence[str], address: str, port: int) -> List[Dict[str, str]]:
    """Return the environment of each worker, with which it joins the others at the HTTP server."""
    common = {
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        **{name: seconds for name, seconds in TIMEOUTS.items() if name not in os.environ},
    }
    return [
        {
            **common,
            "HOROVOD_HOSTNAME": host,
            **{f"HOROVOD_{name.upper()}": str(value) for name, value in numbers.items()},
        }
        for host, numbers in zip(hosts, rank_workers(hosts))
    ]


def loopback_only() -> Dict[str, str]:
    """Return the variable that keeps the workers' connections on this machine."""
    return {"HOROVOD_GLOO_IFACE": os.environ.get("HOROVOD_GLOO_IFACE") or "lo"}


def describe_rendezvous(worker: Dict[str, str], local: bool) -> str:
    """Say in two or three sentences what listens where, and who may reach it."""
    address, port = (worker["HOROVOD_GLOO_RENDEZVOUS_" + name] for name in ("ADDR", "PORT"))
    who = "all users of this machine" if local else "everybody in its network"
    advice = "" if local else " Use a network that you trust."
    return (
        f"Horovod's rendezvous server listens on {address}:{port}, and each worker on a free TCP port. They ask for "
        f"no password: {who} can reach them and disturb the run.{advice}"
    )
