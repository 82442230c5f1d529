"""`arcface-mx bench`: how fast this machine trains and embeds, and what takes the time of a step."""

from __future__ import annotations

import itertools
import os
import re
import statistics
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from arcface_mx.bench.gpu import make_faces
from arcface_mx.bench.networks import NETWORKS
from arcface_mx.bench.results import report
from arcface_mx.bench.steps import make_trainer
from arcface_mx.config import from_flat
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.engines import onnx_engine
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.train.module import batch_inputs, embedding_module, read_state
from arcface_mx.train.resolve import Run, resolve
from arcface_mx.train.threads import choose_threads
from arcface_mx.train.worker import join
from arcface_mx.util.errors import UserError
from arcface_mx.util.progress import duration

SECONDS = 6.0  # of each of the measurements
NUM_EMBEDDED = 64  # images that are embedded again and again
ENGINES = {"mxnet": ("MXNet", None), "onnx": ("ONNX Runtime", onnx_engine)}
WAITING, OTHERS = "waiting for images", "other work"  # decoding on the same cores, and checks
ADVICE = {
    "network": "a smaller network, smaller images or a GPU help",
    "head": "`head` native, fewer classes or `sample_rate` help",
    "update": "larger batches help",
    WAITING: "more `decode_threads` or a faster disk help",
    OTHERS: "more cores help",
}


def measure_machine(
    network: str = "recipe",
    data: str = "",
    devices: str = "cpu",
    batch_size: Optional[int] = None,
    classes: int = 1000,
    threads: int = 0,
    seconds: Optional[float] = None,
    say: Callable[[str], None] = lambda text: None,
) -> Dict[str, Any]:
    """Measure training, its parts, and embedding, and return what a JSON file holds.

    Parameters
    ----------
    network : str
        One of `NETWORKS`.
    data : str
        Folder with train.rec; "" for images of noise, as many as `classes`, which are then thrown away.
    devices : str
    batch_size : int, optional
        Images a step. The default depends on the network.
    classes : int
        Identities of the noise.
    threads : int
        As for `train`; 0 measures it.
    seconds : float, optional
        Length of each measurement; the default is `SECONDS`.
    say : callable
        Told what is measured.

    Raises
    ------
    UserError
        For bad input.
    """
    for name, value in {"batch_size": batch_size, "classes": classes}.items():
        if value is not None and value < 1:
            raise UserError(f"`{name}` must be at least 1, got {value}")
    shape, seconds = NETWORKS[network], SECONDS if seconds is None else seconds
    settings = {"network": network, "data": data, "devices": devices, "batch_size": batch_size or shape.batch_size}
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.abspath(data) if data else make_faces(os.path.join(folder, "faces"), classes, shape.image_size)
        values: Dict[str, Any] = {
            "data": source,
            "run": os.path.join(folder, "run"),  # nothing is written there
            **shape.settings(),
            "batch_size": settings["batch_size"],
            "head": "auto",
            "devices": devices,
            "threads": threads,
        }
        config = from_flat(values)
        say("threads")
        run, text = choose_threads(resolve(config, join(config.run.kvstore)))
        say("training")
        training, embedder, images = _training(run, seconds)
        say("embedding")
        embedding = {name: _embedding(embedder, name, images, seconds) for name in ENGINES}
    training["images"] = len(run.index)
    return report("arcface-mx bench", settings, threads=text, training=training, embedding=embedding)


def answers(results: Dict[str, Any]) -> str:
    """Return the three answers as text."""
    training, size = results["training"], results["settings"]["batch_size"]
    rate, parts = training["images_per_second"], training["parts"]
    count = re.match(r"\d+ of \d+", results["threads"])
    threads = f" with {count.group()} threads" if count else ""
    epoch = f"an epoch of {training['images']} images takes {duration(training['images'] / rate)}"
    embedding = [
        f"{entry['images_per_second']:.0f} images/s with {ENGINES[name][0]}"
        for name, entry in results["embedding"].items()
        if "images_per_second" in entry
    ]
    failures = [entry["failure"] for entry in results["embedding"].values() if "failure" in entry]
    largest = max(parts, key=parts.__getitem__)
    subject = "the reader" if largest == WAITING else f"the {largest}"
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in parts.items())
    return "\n".join(
        [
            f"Training: {rate:.0f} images/s{threads}; {epoch}, and 1,000 steps of {size} images take "
            f"{duration(1000 * size / rate)}.",
            f"Embedding: {', '.join(embedding)}." + "".join(f" Not measured: {reason}." for reason in failures),
            f"Bottleneck of training: {subject}; {ADVICE[largest]}. A step: {shares}. The reader alone reads "
            f"{training['reader_images_per_second']:.0f} images/s.",
        ]
    )


def _training(run: Run, seconds: float) -> Tuple[Dict[str, Any], Embedder, List[bytes]]:
    """Return the speed of steps and of their parts, the network as an embedder, and some images."""
    import mxnet as mx

    trainer, module, metrics = make_trainer(run)

    def step() -> None:
        trainer.compute_gradients()
        trainer.update()
        mx.nd.waitall()

    for _ in range(2):
        step()
    trainer.report()  # its metrics count from here
    whole = _medians({"whole": step}, seconds)["whole"]
    trainer.report()
    reading = _reader_seconds(run.reader, seconds)
    batch = next(run.reader.batches())
    inputs = batch_inputs(run, module, batch.pixels, batch.labels, 0)
    times = _medians(
        {
            "passes": lambda: (module.forward_backward(inputs), mx.nd.waitall()),
            "network": _network_pass(run, batch.pixels),
            "update": lambda: (module.update(), mx.nd.waitall()),
        },
        seconds,
    )
    state = read_state(embedding_module(module), 0, {})
    symbol, side = run.backbone.symbol(), run.backbone.image_size
    arrays = run.backbone.arrays_of(symbol, state.arg_params, state.aux_params)
    embedder = Embedder(symbol, *arrays, run.contexts, (side, side), "the network")
    images = [encoded for _, _, encoded in itertools.islice(run.index.images(), NUM_EMBEDDED)]
    parts = {
        "network": times["network"] / whole,
        "head": max(0.0, times["passes"] - times["network"]) / whole,
        "update": times["update"] / whole,
        WAITING: metrics["input_wait_share"],
    }
    parts[OTHERS] = max(0.0, 1.0 - sum(parts.values()))
    total = sum(parts.values())
    result = {
        "images_per_second": run.batch_size / whole,
        "reader_images_per_second": run.batch_size / reading,
        "parts": {name: share / total for name, share in parts.items()},
    }
    return result, embedder, images


def _reader_seconds(reader: RecordReader, seconds: float) -> float:
    """Return the seconds in which the reader alone reads a batch. What it reads ahead at first does not count."""
    batches = reader.batches()
    for _ in range(4):
        next(batches)
    begin = time.perf_counter()
    count = 0
    while count == 0 or time.perf_counter() - begin < seconds / 4:
        next(batches).pixels.wait_to_read()
        count += 1
    return (time.perf_counter() - begin) / count


def _network_pass(run: Run, pixels: Any) -> Callable[[], None]:
    """Return a function that does the forward and backward pass of the network without its head."""
    import mxnet as mx

    module = mx.mod.Module(run.backbone.symbol(training=True), ["data"], None, context=run.contexts)
    module.bind([("data", pixels.shape)])
    module.init_params(mx.init.Xavier())
    gradient = [mx.nd.ones((len(pixels), run.backbone.embedding_size))]

    def once() -> None:
        module.forward(mx.io.DataBatch([pixels]), is_train=True)
        module.backward(gradient)
        mx.nd.waitall()

    return once


def _embedding(embedder: Embedder, name: str, images: List[bytes], seconds: float) -> Dict[str, Any]:
    """Return the images per second of an engine, or why it cannot run."""
    engine = ENGINES[name][1]
    if engine:
        embedder = Embedder(
            embedder.symbol, *embedder.params, embedder.contexts, embedder.input_size, embedder.name, engine
        )
    try:
        taken = _medians({name: lambda: embedder.embed(images)}, seconds)[name]
    except UserError as error:
        return {"failure": str(error)}
    return {"images_per_second": len(images) / taken}


def _medians(works: Dict[str, Callable[[], Any]], seconds: float) -> Dict[str, float]:
    """Return the median times of calls that take turns for so many seconds, after one of each that prepares."""
    for work in works.values():
        work()
    times: Dict[str, List[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or not all(times.values()):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}
