"""Networks: embedding a batch, and a whole training step, against MXNet's default settings and PyTorch."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from typing import Any, Callable, Dict, List, Tuple

from arcface_mx.bench import torch_peer
from arcface_mx.bench.race import PEAK, Contestant, peak, race
from arcface_mx.bench.timing import Timing
from arcface_mx.util.environment import available_cores, num_threads

ENGINE = "mxnet"
READING = "arcface-mx, reading a face set"
READ_IMAGES, PEOPLE = 256, 32
# Networks that oneDNN's graph pass breaks from the second batch on ("We can't generate TBlob for MKLDNN data").
FAILS_FUSED = ("mobilefacenet",)
# name: network, width, side, embedding size, images a batch, classes
NETWORKS: Dict[str, Tuple[str, float, int, int, int, int]] = {
    "recipe": ("iresnet18", 0.25, 48, 128, 128, 1000),  # the default recipes' network
    "iresnet50": ("iresnet50", 1.0, 112, 512, 8, 10572),
    "mobilefacenet": ("mobilefacenet", 1.0, 112, 512, 16, 10572),
}


def measure(name: str, training: bool, repetitions: int, torch_python: str = "", defaults: bool = True) -> List[Timing]:
    """Images a second: MXNet's defaults (the baseline), ours, PyTorch where its interpreter is named, and in training
    ours with batches read from a face set, with the share of time that waits for them."""
    network, width, side, size, batch, classes = NETWORKS[name]
    shape = {"network": network, "width": width, "side": side, "size": size, "batch": batch, "classes": classes}
    work = gflop(network, width, side, size) * (3 if training else 1)
    entries = []
    if defaults:
        # Half of the cores, oneDNN's graph pass, the standard PReLU, the head as a graph.
        fused = training or name not in FAILS_FUSED  # the pass leaves training graphs alone
        environment = {
            "OMP_NUM_THREADS": str(max(1, num_threads() // 2)),
            "MXNET_SUBGRAPH_BACKEND": "MKLDNN" if fused else "default",
        }
        title = "MXNet, default settings" + ("" if fused else " but for the graph pass, which fails here")
        entries.append(
            Contestant(title, __name__, dict(shape, training=training, tuned=False), environment, gflop=work)
        )
    entries.append(Contestant("arcface-mx", __name__, dict(shape, training=training, tuned=True), gflop=work))
    if torch_python:
        peer = dict(shape, training=training, threads=num_threads())
        entries.append(Contestant("PyTorch, eager", torch_peer.__file__, peer, python=torch_python, gflop=work))
    entries.append(peak())
    with tempfile.TemporaryDirectory() as folder:
        if training:
            write_faces(folder, side, max(READ_IMAGES, 4 * batch))
            entries.insert(
                -1, Contestant(READING, __name__, dict(shape, training=True, tuned=True, folder=folder), gflop=work)
            )
        return race(entries, repetitions, PEAK)


def write_faces(folder: str, side: int, images: int) -> None:
    """A face set of smooth noise: `images` JPEG files of side×side."""
    import cv2
    import numpy as np

    from arcface_mx.data.recordio.writer import RecordWriter

    rng = np.random.default_rng(0)
    with RecordWriter(folder, side, side) as writer:
        for number in range(images):
            pixels = cv2.resize(
                rng.integers(0, 256, (8, 8, 3)).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC
            )
            writer.add(number * min(PEOPLE, images) // images, cv2.imencode(".jpg", pixels)[1].tobytes())


def gflop(network: str, width: float, side: int, size: int) -> float:
    """Forward work an image."""
    import mxnet as mx

    from arcface_mx import symbols
    from arcface_mx.planning.cost import forward_operations

    data = mx.sym.Variable("data")
    symbol = symbols.backbone(network, data, embedding_size=size, width=width, input_size=side)
    return forward_operations(symbol, data=(1, 3, side, side)) / 1e9


def setup(
    network: str,
    width: float,
    side: int,
    size: int,
    batch: int,
    classes: int,
    training: bool,
    tuned: bool,
    devices: int = 1,
    folder: str = "",
) -> Callable[[], Any]:
    """One network on a fixed random batch; `tuned`: the trainer's own choices. For training, devices: CPU contexts; folder:
    a face set to read batches from, as the training loop does, which also gives the seconds waited for it."""
    import mxnet as mx
    import numpy as np

    rng = np.random.default_rng(0)
    images = mx.nd.array(rng.integers(0, 256, (batch, 3, side, side)).astype(np.float32))
    labels = mx.nd.array(rng.integers(0, classes, batch).astype(np.float32))
    if training:
        return _training(network, width, side, size, classes, tuned, devices, images, labels, folder)
    return _forward(network, width, side, size, images, tuned)


def _forward(network: str, width: float, side: int, size: int, images: Any, tuned: bool) -> Callable[[], int]:
    """A forward pass; `tuned`: of the form that the embedder runs."""
    import mxnet as mx

    from arcface_mx import symbols
    from arcface_mx.model.optimise import optimise

    symbol = symbols.backbone(network, mx.sym.Variable("data"), embedding_size=size, width=width, input_size=side)
    module = _bound(symbol, images)
    module.init_params(mx.init.Xavier())
    if tuned:
        plain = module.get_params()
        symbol, args, aux = optimise(symbol, plain[0], plain[1], "data", (side, side))
        module = _bound(symbol, images)
        module.set_params(args, aux)

    def forward() -> int:
        module.forward(mx.io.DataBatch([images]), is_train=False)
        module.get_outputs()[0].wait_to_read()
        return int(images.shape[0])

    return forward


def _bound(symbol: Any, images: Any) -> Any:
    import mxnet as mx

    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", images.shape)], for_training=False)
    return module


def _training(
    network: str,
    width: float,
    side: int,
    size: int,
    classes: int,
    tuned: bool,
    devices: int,
    images: Any,
    labels: Any,
    folder: str,
) -> Callable[[], Any]:
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
    if folder:
        return _reading(module, folder, config.data)
    data = mx.io.DataBatch([images], [labels])

    def step() -> int:
        module.forward_backward(data)
        module.update()
        mx.nd.waitall()
        return len(labels)

    return step


def _reading(module: Any, folder: str, data: Any) -> Callable[[], Tuple[int, float]]:
    """A step as the training loop takes it: the next batch is fetched while the devices work on this one."""
    import mxnet as mx

    from arcface_mx.reader.image_view import open_view
    from arcface_mx.reader.native_reader import FaceStream

    stream = FaceStream(open_view(folder), dataclasses.replace(data, data=folder), seed=0, threads=available_cores())
    waiting = [next(stream)]

    def step() -> Tuple[int, float]:
        batch = waiting.pop()
        module.forward_backward(mx.io.DataBatch([batch.pixels], [mx.nd.array(batch.labels)]))
        outputs = module.get_outputs()
        start = time.perf_counter()
        waiting.append(next(stream))
        fetched = time.perf_counter()
        for output in outputs:
            output.wait_to_read()
        waited = fetched - start if time.perf_counter() - fetched < 1e-3 else 0.0  # else the devices were not done
        module.update()
        mx.nd.waitall()
        return len(batch.labels), waited

    return step


def _graph(config: Any, classes: int, tuned: bool) -> Any:
    from arcface_mx.losses.graph import training_graph

    if tuned:
        return training_graph.training_graph(config, classes)
    original = training_graph.embedding_symbol

    def standard(config: Any, training: bool = False) -> Any:
        return original(config, training=False)  # the standard PReLU

    training_graph.embedding_symbol = standard
    try:
        return training_graph.training_graph(config, classes)
    finally:
        training_graph.embedding_symbol = original
