"""`bench step`: a training step of ArcFace; baseline: the same batch again and again, without a reader."""

from __future__ import annotations

import itertools
import time
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np

from arcface_mx.bench.cases import Case
from arcface_mx.bench.head import peak_case
from arcface_mx.bench.networks import NETWORKS, Network
from arcface_mx.bench.reader import open_reader
from arcface_mx.data.recordio.index import RecordIndex


def cases(network: str, batch_size: Optional[int] = None, data: str = "") -> List[Case]:
    """Images per second of a step; with `data` also of one that reads, and its share of waiting for the reader."""
    shape = NETWORKS[network]._replace(batch_size=batch_size or NETWORKS[network].batch_size)
    gflop = 3 * shape.forward_gflop()  # the backward pass is twice the work
    result = [Case("the same batch", setup, {"network": shape}, gflop)]
    if data:
        shape = shape._replace(classes=RecordIndex.open(data).num_classes)
        result.append(Case("batches from DATA", setup, {"network": shape, "data": data}, gflop))
    return [*result, peak_case()]


def setup(network: Network, data: str = "") -> Callable[[], Tuple[int, Optional[float]]]:
    """The step of the training loop: the next batch is read while the devices work on this one.

    It returns the number of images and, with `data`, the seconds spent waiting for the reader.
    """
    import mxnet as mx

    module, batches = training_module(network), _batches(network, data)
    following = [next(batches)]

    def step() -> Tuple[int, Optional[float]]:
        module.forward_backward(following.pop())
        outputs = module.get_outputs()
        start = time.perf_counter()
        following.append(next(batches))
        fetched = time.perf_counter()
        for output in outputs:
            output.wait_to_read()
        # The step only waited for the reader if the devices had finished before.
        waited = fetched - start if time.perf_counter() - fetched < 1e-3 else 0.0
        module.update()
        mx.nd.waitall()
        return network.batch_size, waited if data else None

    return step


def _batches(network: Network, data: str) -> Iterator[Any]:
    """Batches from the face set `data`, or the same random batch again and again."""
    import mxnet as mx

    if not data:
        labels = np.random.default_rng(0).integers(0, network.classes, network.batch_size)
        yield from itertools.repeat(mx.io.DataBatch([mx.nd.array(network.random_images())], [mx.nd.array(labels)]))
    for batch in open_reader(data, network.batch_size, network.image_size):
        yield mx.io.DataBatch([batch.pixels], [mx.nd.array(batch.labels)])


def training_module(network: Network) -> Any:
    """The module of the trainer, with its optimizer, on one CPU."""
    import mxnet as mx

    from arcface_mx.config import from_flat
    from arcface_mx.losses.training_graph import training_graph
    from arcface_mx.train.module import build_module, initialise, start_optimizer
    from arcface_mx.train.schedule import Schedule

    values = {"network": network.backbone, "head": "auto"}
    for name in ("width", "image_size", "embedding_size", "batch_size"):
        values[name] = getattr(network, name)
    config = from_flat(values)
    module = build_module(training_graph(config, network.classes), config, [mx.cpu()])
    initialise(module, 0, {}, {})
    start_optimizer(module, config, Schedule.of(config), config.run.kvstore)
    return module
