"""Matrix products alone: what the machine can do, and the three that a head cannot do without."""

from __future__ import annotations

from typing import Callable

ENGINE = "mxnet"
PEAK_SIDE = 1536
PEAK_GFLOP = 2e-9 * PEAK_SIDE**3


def setup(kind: str, samples: int = 0, classes: int = 0, size: int = 0) -> Callable[[], int]:
    """ "peak": a square product by FullyConnected, which is oneDNN's. "head": cosine, dx, dW by the same."""
    import mxnet as mx
    import numpy as np

    rows, columns, depth = (PEAK_SIDE,) * 3 if kind == "peak" else (samples, classes, size)
    rng = np.random.default_rng(0)
    x, w = (mx.nd.array(rng.normal(size=shape).astype(np.float32)) for shape in ((rows, depth), (columns, depth)))
    if kind == "peak":

        def square() -> int:
            mx.nd.FullyConnected(x, w, no_bias=True, num_hidden=columns).wait_to_read()
            return 1

        return square
    graph = mx.sym.FullyConnected(mx.sym.Variable("x"), mx.sym.Variable("w"), no_bias=True, num_hidden=columns)
    gradients = {"x": mx.nd.zeros(x.shape), "w": mx.nd.zeros(w.shape)}
    executor = graph.bind(mx.cpu(), {"x": x, "w": w}, gradients)
    head = mx.nd.zeros((rows, columns))

    def three() -> int:
        executor.forward(is_train=True)
        executor.backward(head)
        mx.nd.waitall()
        return 1

    return three
