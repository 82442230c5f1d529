"""The faster engine for a network on this machine, MXNet or ONNX Runtime, by a short measurement."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Dict, List

import numpy as np

from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.engines import Engine, MxnetEngine, Network, onnx_engine
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

LOGGER = logging.getLogger(__name__)
BATCH = 8  # images, the default of a CPU
ROUNDS = 3  # the engines take turns, so that other work on the machine slows both
SECONDS = 0.1  # of a turn, which has at least two batches
TOLERANCE = 1e-4  # of elements of unit embeddings, as for exported forms


def auto_engine(network: Network, contexts: List[mx.Context]) -> Engine:
    """Return the faster engine for a network, and log the choice.

    MXNet is taken on GPUs, where ONNX Runtime cannot be used, and where its embeddings differ by more than TOLERANCE.
    """
    reference = MxnetEngine(network, contexts)
    try:
        if any(context.device_type != "cpu" for context in contexts):
            raise UserError("ONNX Runtime runs on the CPU only")
        other = onnx_engine(network)
        pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 3) + network.size).astype(np.float32)
        expected, embeddings = (
            unit_vectors(engine.start(pixels, BATCH)(), network.name) for engine in (reference, other)
        )
        if not np.abs(expected - embeddings).max() <= TOLERANCE:
            raise UserError("the embeddings of ONNX Runtime differ")
    except UserError as reason:
        LOGGER.info("engine mxnet (%s)", reason)
        return reference
    engines: Dict[str, Engine] = {"mxnet": reference, "onnx": other}
    fastest = dict.fromkeys(engines, float("inf"))
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            fastest[name] = min(fastest[name], _seconds(engine, pixels))
    chosen = min(fastest, key=lambda name: fastest[name])
    rates = " and ".join(f"{len(pixels) / seconds:.3g} with {name}" for name, seconds in fastest.items())
    LOGGER.info("engine %s: measured were %s images/s", chosen, rates)
    return engines[chosen]


def _seconds(engine: Engine, pixels: np.ndarray) -> float:
    """Return the time of the fastest batch of a turn."""
    taken: List[float] = []
    while len(taken) < 2 or sum(taken) < SECONDS:
        start = time.perf_counter()
        engine.start(pixels, len(pixels))()
        taken.append(time.perf_counter() - start)
    return min(taken)
