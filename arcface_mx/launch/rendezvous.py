"""The launcher's side of Horovod: each worker's place, and the small HTTP server where workers find each other."""

from __future__ import annotations

import collections
import importlib.util
import os
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Sequence

from arcface_mx.util.errors import UserError

BUILD = (
    "build it against this MXNet with recipes/horovod.sh (g++ and cmake, 5 to 20 minutes; by hand: recipes/scaling.md)"
)


def require_horovod() -> None:
    """Raise UserError, with what builds it, where Horovod is not installed."""
    if importlib.util.find_spec("horovod") is None:
        raise UserError(f"Horovod is not installed; {BUILD}")


def places(hosts: Sequence[str]) -> List[Dict[str, int]]:
    """rank, size and Horovod's local and cross numbers of each worker, from the host of each.

    local: among the workers of a host; cross: among the workers with the same local rank.
    """
    on_host = collections.Counter(hosts)
    found, seen = [], collections.Counter()  # type: ignore[var-annotated]
    for rank, host in enumerate(hosts):
        local = seen[host]
        seen[host] += 1
        peers = [other for other in on_host if on_host[other] > local]
        found.append(
            {
                "rank": rank,
                "size": len(hosts),
                "local_rank": local,
                "local_size": on_host[host],
                "cross_rank": peers.index(host),
                "cross_size": len(peers),
            }
        )
    return found


@contextmanager
def rendezvous(hosts: Sequence[str], address: str, everywhere: bool) -> Iterator[List[Dict[str, str]]]:
    """Environment of each worker, for as long as the server runs.

    hosts: of each worker, by name. everywhere: other machines must reach the server; it asks nobody who
    they are, so that it otherwise listens on `address` alone.
    """
    from horovod.runner.common.util.hosts import SlotInfo
    from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

    server = RendezvousHTTPServer(("" if everywhere else address, 0), RendezvousHandler, 0)
    where = places(hosts)
    server.init([SlotInfo(hostname=host, **place) for host, place in zip(hosts, where)])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield [_environment(host, place, address, server.server_address[1]) for host, place in zip(hosts, where)]
    finally:
        server.shutdown()
        server.server_close()


# Where the user has not chosen.
TIMES = {
    # The others wait while rank 0 verifies; Horovod would call that a stall after one minute.
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "3600",
    # Of finding each other, and of one exchange: a busy machine takes a while to import mxnet.
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "120",
}


def _environment(host: str, place: Dict[str, int], address: str, port: Any) -> Dict[str, str]:
    variables = {"HOROVOD_" + name.upper(): str(value) for name, value in place.items()}
    variables.update(
        HOROVOD_HOSTNAME=host,
        HOROVOD_GLOO_RENDEZVOUS_ADDR=address,
        HOROVOD_GLOO_RENDEZVOUS_PORT=str(port),
        HOROVOD_CONTROLLER="gloo",
        HOROVOD_CPU_OPERATIONS="gloo",
    )
    variables.update({name: seconds for name, seconds in TIMES.items() if name not in os.environ})
    return variables
