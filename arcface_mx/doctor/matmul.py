"""Time a matrix product on one device.

`python -m arcface_mx.doctor.matmul 'gpu(0)'` prints the result as a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Dict

import mxnet as mx
import numpy as np

from arcface_mx.util.devices import parse_devices

SIZE = 1024


def matmul(device: str) -> Dict[str, float]:
    """Multiply two random matrices; return the time in seconds and the largest difference from NumPy."""
    context = parse_devices(device)[0]
    random = np.random.RandomState(0)
    left, right = (random.uniform(-1, 1, (SIZE, SIZE)).astype(np.float32) for _ in range(2))
    a, b = (mx.nd.array(values, ctx=context) for values in (left, right))
    mx.nd.dot(a, b).wait_to_read()  # the first product includes the loading of the kernels
    start = time.perf_counter()
    product = mx.nd.dot(a, b)
    product.wait_to_read()
    seconds = time.perf_counter() - start
    exact = left.astype(np.float64) @ right.astype(np.float64)
    return {"seconds": seconds, "error": float(np.abs(product.asnumpy() - exact).max())}


if __name__ == "__main__":
    print(json.dumps(matmul(sys.argv[1])))
