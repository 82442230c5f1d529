"""The embedding of a batch by each engine; baseline: the graph as it was trained, in MXNet."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import numpy as np
from cases import Case
from head import peak_case

from arcface_mx.bench.networks import NETWORKS

CASES = {
    "trained": "MXNet, graph as trained",
    "mxnet": "engine mxnet (BatchNorm folded, fast PReLU, fused)",
    "onnx": "engine onnx (ONNX Runtime)",
    "int8": "engine int8 (ONNX Runtime)",
}


def cases(network: str, batch_size: Optional[int] = None) -> List[Case]:
    """Images per second of each engine."""
    shape = NETWORKS[network]
    images, gflop = batch_size or shape.batch_size, shape.forward_gflop()
    return [
        *(
            Case(title, setup, {"network": network, "images": images, "engine": key}, gflop)
            for key, title in CASES.items()
        ),
        peak_case(),
    ]


def setup(network: str, images: int, engine: str) -> Callable[[], int]:
    """An engine with random parameters on a fixed batch of random images."""
    import mxnet as mx

    shape = NETWORKS[network]._replace(batch_size=images)
    pixels, symbol = shape.random_images(), shape.symbol()
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", pixels.shape)], for_training=False)
    module.init_params(mx.init.Xavier())
    if engine == "trained":
        batch = mx.io.DataBatch([mx.nd.array(pixels)])

        def embed() -> Any:
            module.forward(batch, is_train=False)
            return module.get_outputs()[0].asnumpy()
    else:
        embed = _engine(engine, symbol, module.get_params(), pixels)

    def run() -> int:
        embed()
        return images

    return run


def _engine(name: str, symbol: Any, parameters: Any, pixels: np.ndarray) -> Callable[[], np.ndarray]:
    import mxnet as mx

    from arcface_mx.export.int8 import quantise
    from arcface_mx.model import engines

    size = (pixels.shape[2], pixels.shape[3])
    network = engines.Network(symbol, parameters[0], parameters[1], "data", size, name)
    if name == "mxnet":
        engine: Any = engines.MxnetEngine(network, [mx.cpu()])
    elif name == "onnx":
        engine = engines.onnx_engine(network)
    else:
        engine = engines.OnnxEngine(quantise(network.folded().to_onnx({}), pixels), name)
    return lambda: engine.start(pixels, len(pixels))()
