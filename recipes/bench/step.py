"""A training step of ArcFace on a face set; baseline: one batch again and again, without a reader."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any, Callable, Iterator, List, Optional, Tuple

from cases import Case
from head import peak_case

from arcface_mx.bench.networks import NETWORKS, Network
from arcface_mx.util.errors import UserError


def cases(network: str, data: str, batch_size: Optional[int] = None) -> List[Case]:
    """Images per second of a step, and the share of it that waits for the reader."""
    if not data:
        raise UserError("`data` is missing: name a folder with train.rec")
    shape = NETWORKS[network]._replace(batch_size=batch_size or NETWORKS[network].batch_size)
    gflop = 3 * shape.forward_gflop()  # the backward pass is twice the work
    arguments = {"network": shape, "data": os.path.abspath(data)}
    return [
        Case("one batch, again and again", setup, dict(arguments, reading=False), gflop),
        Case("batches from the reader", setup, dict(arguments, reading=True), gflop),
        peak_case(),
    ]


def setup(network: Network, data: str, reading: bool) -> Callable[[], Tuple[int, Optional[float]]]:
    """The step of the training loop: the next batch is read while the devices work on this one.

    It returns the number of images and, with `reading`, the seconds spent waiting for the reader.
    """
    import mxnet as mx

    module, batches = training_module(network, data)
    if not reading:
        batches = itertools.repeat(next(batches))
    following = [next(batches)]

    def step() -> Tuple[int, Optional[float]]:
        batch = following.pop()
        module.forward_backward(mx.io.DataBatch([batch.pixels], [mx.nd.array(batch.labels)]))
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
        return network.batch_size, waited if reading else None

    return step


def training_module(network: Network, data: str) -> Tuple[Any, Iterator[Any]]:
    """The module of the trainer with its optimizer, on one CPU, and the batches of its reader."""
    from arcface_mx.config import from_flat
    from arcface_mx.train.module import build_module, initialise, start_optimizer
    from arcface_mx.train.resolve import resolve
    from arcface_mx.train.worker import join

    config = from_flat(
        {
            "data": data,
            "head": "auto",
            "network": network.backbone,
            "width": network.width,
            "image_size": network.image_size,
            "embedding_size": network.embedding_size,
            "batch_size": network.batch_size,
            "run": os.path.join(data, ".bench"),  # nothing is written there
        }
    )
    run = resolve(config, join(config.run.kvstore))
    module = build_module(run)
    initialise(module, 0, {}, {})
    start_optimizer(module, run)
    return module, run.reader.batches()
