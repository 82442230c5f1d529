"""A timed matrix product on one device, as a process of its own: old CUDA builds hang on newer cards.

`python -m arcface_mx.doctor.product 'gpu(0)'` prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Dict, Optional, Sequence

SIDE = 1024
TIMEOUT = 90.0  # seconds; the first use of a GPU loads hundreds of MB of kernels


def product(device: str) -> Dict[str, Any]:
    """{"seconds": of one product of two 1024×1024 matrices, "error": largest difference from numpy's}."""
    import time

    import mxnet as mx
    import numpy as np

    from arcface_mx.util.devices import parse_devices

    context = parse_devices(device)[0]
    random = np.random.RandomState(0)
    left, right = (random.uniform(-1, 1, (SIDE, SIDE)).astype(np.float32) for _ in range(2))
    first, second = (mx.nd.array(values, ctx=context) for values in (left, right))
    mx.nd.dot(first, second).wait_to_read()
    start = time.perf_counter()
    result = mx.nd.dot(first, second)
    result.wait_to_read()
    seconds = time.perf_counter() - start
    exact = left.astype(np.float64) @ right.astype(np.float64)
    return {"seconds": seconds, "error": float(np.abs(result.asnumpy() - exact).max())}


def product_in_child(device: str, timeout: float = TIMEOUT, command: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """As `product`, in a child process that is stopped after `timeout` seconds; {"failed": reason} where it fails."""
    words = list(command or [sys.executable, "-m", "arcface_mx.doctor.product"]) + [device]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer within {timeout:g} s: the CUDA build of MXNet has no code for this card"}
    try:
        found = json.loads(ended.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        found = None
    if ended.returncode < 0:
        return {"failed": f"ended by signal {-ended.returncode}"}
    if ended.returncode or not isinstance(found, dict):
        return {"failed": (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]}
    return found


if __name__ == "__main__":
    print(json.dumps(product(sys.argv[1])))
