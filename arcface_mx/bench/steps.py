"""Training steps and a reader outside of a run folder, for measurements. Nothing is written."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, Dict, Tuple

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import RandomSampler
from arcface_mx.train.loop import Trainer
from arcface_mx.train.module import build_module, initialise, start_optimizer
from arcface_mx.train.resolve import Run
from arcface_mx.train.state import RunState
from arcface_mx.util.environment import available_cores


def make_trainer(run: Run) -> Tuple[Trainer, Any, Dict[str, Any]]:
    """Return a trainer from scratch, its module, and a dict for the metrics of its last report."""
    module = build_module(run)
    initialise(module, run.options.seed, {}, {})
    scheduler = start_optimizer(module, run)
    metrics: Dict[str, Any] = {}
    log: Any = SimpleNamespace(
        step=lambda: None,
        say=lambda text: None,
        warn=lambda text: None,
        event=lambda kind, **values: None,
        progress=lambda step, epoch, lr, values: metrics.update(values),
    )
    return Trainer(run, module, scheduler, RunState(0, {}, {}, {}, {}), log), module, metrics


def read_batches(folder: str, batch_size: int, batches: int) -> int:
    """Read so many batches of a face set in random order; return the number of images."""
    index = RecordIndex.open(folder)
    augmentation = Augmentation(min(index.height, index.width))
    threads = available_cores()
    reader = RecordReader(index, RandomSampler(len(index), 0), augmentation, batch_size, seed=0, threads=threads)
    for batch in itertools.islice(reader.batches(), batches):
        batch.pixels.wait_to_read()
    return batches * batch_size
