"""Print as one line of JSON what this machine offers to workers. The launcher runs it on each host.

A process of its own asks, because the launcher itself must not hold a GPU.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict


def probe() -> Dict[str, Any]:
    """Return the number of GPUs that MXNet sees, and what the installed builds can do with GPUs."""
    import mxnet as mx

    return {
        "gpus": mx.context.num_gpus(),
        "cuda_build": mx.runtime.Features().is_enabled("CUDA"),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "nccl": _nccl(),
    }


def _nccl() -> bool:
    """Return whether Horovod is installed and was built with NCCL."""
    try:
        import horovod.mxnet as hvd
    except ImportError:
        return False
    return bool(hvd.nccl_built())


if __name__ == "__main__":
    print(json.dumps(probe()), flush=True)
