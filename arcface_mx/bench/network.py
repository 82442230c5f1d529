"""Networks: embedding a batch, and a whole training step, against MXNet's default settings and PyTorch."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

from arcface_mx.bench import torch_peer
from arcface_mx.bench.products import PEAK_GFLOP
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing
from arcface_mx.platform import threads

ENGINE = "mxnet"
PEAK = "square product (peak)"
# name: network, width, side, embedding size, images a batch, classes
NETWORKS: Dict[str, Tuple[str, float, int, int, int, int]] = {
    "recipe": ("iresnet18", 0.25, 48, 128, 128, 1000),  # the default recipes' network
    "iresnet50": ("iresnet50", 1.0, 112, 512, 8, 10572),
    "mobilefacenet": ("mobilefacenet", 1.0, 112, 512, 16, 10572),
}


def measure(name: str, training: bool, repetitions: int, torch_python: str = "", defaults: bool = True) -> List[Timing]:
    """Images a second: MXNet's defaults (the baseline), ours, and PyTorch where its interpreter is named."""
    network, width, side, size, batch, classes = NETWORKS[name]
    shape = {"network": network, "width": width, "side": side, "size": size, "batch": batch, "classes": classes}
    work = gflop(network, width, side, size) * (3 if training else 1)
    entries = []
    if defaults:
        # Half of the cores, oneDNN's graph pass, the standard PReLU, the head as a graph.
        environment = {"OMP_NUM_THREADS": str(max(1, threads() // 2)), "MXNET_SUBGRAPH_BACKEND": "MKLDNN"}
        arguments = dict(shape, training=training, tuned=False)
        entries.append(Contestant("MXNet, default settings", __name__, arguments, environment, gflop=work))
    entries.append(Contestant("arcface-mx", __name__, dict(shape, training=training, tuned=True), gflop=work))
    if torch_python:
        peer = dict(shape, training=training, threads=threads())
        entries.append(Contestant("PyTorch, eager", torch_peer.__file__, peer, python=torch_python, gflop=work))
    entries.append(Contestant(PEAK, "arcface_mx.bench.products", {"kind": "peak"}, gflop=PEAK_GFLOP))
    return race(entries, repetitions, PEAK)


def gflop(network: str, width: float, side: int, size: int) -> float:
    """Forward work an image."""
    import mxnet as mx

    from arcface_mx import symbols
    from arcface_mx.bench.work import gflop_an_image

    data = mx.sym.Variable("data")
    return gflop_an_image(symbols.backbone(network, data, embedding_size=size, width=width, input_size=side), side)


def setup(
    network: str, width: float, side: int, size: int, batch: int, classes: int, training: bool, tuned: bool, devices: int = 1
) -> Callable[[], int]:
    """One network on a fixed random batch; `tuned`: the trainer's own choices. devices: CPU contexts, for training."""
    import mxnet as mx
    import numpy as np

    rng = np.random.default_rng(0)
    images = mx.nd.array(rng.integers(0, 256, (batch, 3, side, side)).astype(np.float32))
    labels = mx.nd.array(rng.integers(0, classes, batch).astype(np.float32))
    if training:
        return _training(network, width, side, size, classes, tuned, devices, images, labels)
    return _forward(network, width, side, size, images)


def _forward(network: str, width: float, side: int, size: int, images: Any) -> Callable[[], int]:
    import mxnet as mx

    from arcface_mx import symbols

    symbol = symbols.backbone(network, mx.sym.Variable("data"), embedding_size=size, width=width, input_size=side)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", images.shape)], for_training=False)
    module.init_params(mx.init.Xavier())

    def forward() -> int:
        module.forward(mx.io.DataBatch([images]), is_train=False)
        module.get_outputs()[0].wait_to_read()
        return images.shape[0]

    return forward


def _training(
    network: str, width: float, side: int, size: int, classes: int, tuned: bool, devices: int, images: Any, labels: Any
) -> Callable[[], int]:
    import mxnet as mx

    from arcface_mx.config import from_flat
    from arcface_mx.train.module import build_module, initialise, start_optimizer
    from arcface_mx.train.schedule import Schedule

    values = {"network": network, "width": width, "image_size": side, "embedding_size": size, "batch_size": len(labels)}
    config = from_flat(dict(values, head="auto" if tuned else "graph"))
    graph = _graph(config, classes, tuned)
    module = build_module(graph, config, [mx.cpu(number) for number in range(devices)])
    initialise(module, 0, {}, {})
    start_optimizer(module, config, Schedule.of(config), config.run.kvstore)
    data = mx.io.DataBatch([images], [labels])

    def step() -> int:
        module.forward_backward(data)
        module.update()
        mx.nd.waitall()
        return len(labels)

    return step


def _graph(config: Any, classes: int, tuned: bool) -> Any:
    from arcface_mx.train import graph

    if tuned:
        return graph.training_graph(config, classes)
    original = graph.embedding_symbol

    def standard(config: Any, training: bool = False) -> Any:
        return original(config, training=False)  # the standard PReLU

    graph.embedding_symbol = standard
    try:
        return graph.training_graph(config, classes)
    finally:
        graph.embedding_symbol = original
