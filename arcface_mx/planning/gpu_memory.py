"""Memory that only runs on GPUs need, beside the arrays of the graph.

Read in the sources of MXNet 1.9.1; none of it was measured on a GPU.
"""

from __future__ import annotations

from typing import Dict, Iterable, List

from arcface_mx.model.backbone import Backbone
from arcface_mx.model.embedder import BATCH_SIZES
from arcface_mx.planning.memory_estimate import BYTES, inference_bytes, parameter_bytes

# One for each device. MXNET_CUDNN_AUTOTUNE_DEFAULT=2 and 0 limit it to 1 GB (`util/devices.py`), 1 does not.
WORKSPACE = 1 << 30
# The CUDA context, the code of MXNet's kernels, and the handles of cuDNN and cuBLAS: 0.5 to 1 GB.
CONTEXT = 750_000_000
# Parts that are an upper bound or an estimate. A run is not refused because of them.
ESTIMATES = ("cuDNN workspace, at most", "CUDA context and libraries, about")
SUMS = "sums of gradients"


def gpu_parts(keys: Iterable[int], devices: int, kvstore: str) -> Dict[str, float]:
    """Return the bytes on the fullest GPU, by purpose.

    Parameters
    ----------
    keys : iterable of int
        Bytes of each array whose gradients are added over the devices of a process.
    devices : int
        GPUs of a process.
    kvstore : str
    """
    parts: Dict[str, float] = dict(zip(ESTIMATES, (WORKSPACE, CONTEXT)))
    if devices > 1 and "device" in kvstore:
        parts[SUMS] = devices * _largest_load(keys, devices)
    return parts


def _largest_load(keys: Iterable[int], devices: int) -> int:
    """Return the bytes of the arrays that are added on the fullest GPU.

    The store adds an array on one GPU, in a buffer for the sum and devices − 1 copies of the others. It
    gives each array, the largest first, to the GPU that has the least (CommDevice in `src/kvstore/comm.h`).
    """
    loads: List[int] = [0] * devices
    for size in sorted(keys, reverse=True):
        loads[loads.index(min(loads))] += size
    return max(loads)


def evaluation_bytes(backbone: Backbone) -> int:
    """Return the bytes of a verification during training: its layers, and its own copy of the weights."""
    symbol, shape = backbone.symbol(), (BATCH_SIZES["gpu"], *backbone.input_shape)
    images = BYTES * BATCH_SIZES["gpu"] * backbone.input_shape[0] * backbone.image_size**2
    weights = parameter_bytes(symbol, ["data"], data=(1, *backbone.input_shape))[1]
    return inference_bytes(symbol, data=shape) + weights + images
