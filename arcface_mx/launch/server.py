"""Run a scheduler or a server of MXNet's parameter server that takes no commands from the network.

With DMLC_ROLE set, `import mxnet` starts a server that unpickles what command 0 carries, so that
everybody who can connect runs code here. Workers of this project never send an optimizer. This server
therefore refuses the command, and nothing is unpickled.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from arcface_mx.launch.endpoint import prepare_socket

CONTROLLER = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)  # of MXKVStoreRunServer


def serve(role: str) -> None:
    """Run a "scheduler" or a "server" until the workers end the run."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SLURM sends it to all; the workers need this process to save
    os.environ.pop("DMLC_ROLE", None)  # else `import mxnet` would start MXNet's own server
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    os.environ["DMLC_ROLE"] = role
    with prepare_socket():
        store = mx.kv.create("dist_sync")
        controller = CONTROLLER(_refuse)  # the reference must live as long as the server
        check_call(_LIB.MXKVStoreRunServer(store.handle, controller, None))


def _refuse(command: int, body: object, handle: object) -> None:
    print(f"refused command {command} from the network; this server takes no optimizer", file=sys.stderr, flush=True)


if __name__ == "__main__":
    serve(os.environ["DMLC_ROLE"])
