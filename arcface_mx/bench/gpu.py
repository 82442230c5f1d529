"""`bench gpu`: what the settings of a GPU are worth on this machine. An owner of GPUs runs it once.

Each case is a child process with its own environment variables and a timeout (`gpu_case.py`). A case that fails
is a row with the reason.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from arcface_mx.bench.networks import NETWORKS
from arcface_mx.bench.results import report
from arcface_mx.planning.cards import CARDS, find_card
from arcface_mx.planning.cost import BYTES, Backbone, Head, step_cost
from arcface_mx.util.devices import device_names
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import markdown_table

CHILD = [sys.executable, "-m", "arcface_mx.bench.gpu_case"]
DEFAULTS = "defaults"
BATCH_SIZE = 64  # images a device, as in published measurements of V100
SYNTHETIC_IMAGES = 64  # distinct images of the data that are made if there are none


@dataclass(frozen=True)
class GpuCase:
    """One row.

    Parameters
    ----------
    name : str
    config : dict
        Settings of the run that differ from the defaults.
    variables : dict of str to str
        Environment variables.
    options : dict
        Further arguments of the function of `gpu_case` that measures.
    what : {"steps", "reader"}
    ladder : bool
        Whether the cases of the ladder that follow are left out if this one fails.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    what: str = "steps"
    ladder: bool = False


def cases(devices: Sequence[str], batch_size: int, largest: int) -> List[GpuCase]:
    """Return all cases, the baseline first.

    Parameters
    ----------
    devices : sequence of str
        The names of the devices; all cases but those of several devices use the first.
    batch_size : int
        Images a device.
    largest : int
        The largest number of images a device that is tried.
    """
    autotune, aggregation = "MXNET_CUDNN_AUTOTUNE_DEFAULT", "MXNET_OPTIMIZER_AGGREGATION_SIZE"
    result = [
        GpuCase(DEFAULTS),
        GpuCase("PReLU of MXNet", options={"fast_prelu": False}),
        GpuCase("PReLU as convolutions", options={"fast_prelu": True}),
        *(GpuCase(f"cuDNN autotune {value}", variables={autotune: value}) for value in "012"),
        *(GpuCase(f"update of {value} arrays at once", variables={aggregation: value}) for value in ("4", "54")),
        GpuCase("without checks of loss and gradient", options={"guard": False}),
        GpuCase("float32 without TF32", variables={"NVIDIA_TF32_OVERRIDE": "0"}),
        GpuCase("float16", {"dtype": "float16"}),
        GpuCase("deterministic", {"deterministic": True}),
        GpuCase("with the reader", options={"reading": True}),
        GpuCase("the reader alone", what="reader"),
    ]
    for count in sorted({2**power for power in range(1, len(devices).bit_length())} | {len(devices)} - {1}):
        several = {"devices": ",".join(devices[:count]), "batch_size": batch_size * count}
        result += [
            GpuCase(f"{count} devices", several),
            GpuCase(f"{count} devices, gradients added on the CPU", {**several, "kvstore": "local"}),
            GpuCase(f"{count} devices, class centres split", {**several, "parallel": "centres"}),
        ]
    images = batch_size * 2
    while images <= largest:
        result.append(GpuCase(f"{images} images a device", {"batch_size": images}, ladder=True))
        images *= 2
    return [*result, GpuCase(f"{DEFAULTS}, again")]


def measure_gpus(
    devices: str,
    network: str,
    batch_size: Optional[int] = None,
    largest: int = 1024,
    classes: int = 10572,
    data: str = "",
    card: str = "",
    steps: int = 30,
    repetitions: int = 3,
    timeout: int = 300,
    only: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> Dict[str, Any]:
    """Run all cases one after the other and return what a JSON file holds.

    Parameters
    ----------
    devices : str
        Device list; "" for all GPUs that MXNet sees.
    network : str
        One of `NETWORKS`.
    batch_size, largest : int
        Images a device, and the largest number of them that is tried.
    classes : int
        Identities of the data that are made if `data` is "".
    data : str
        Folder with train.rec.
    card : str
        One of `CARDS`, for the cost model; "" for the name that the driver reports.
    steps, repetitions : int
        Steps of a repetition, and repetitions.
    timeout : int
        Seconds for a case.
    only : str
        Run the cases alone whose name contains this text, and the baseline.
    say : callable
        Told about each row as soon as it is known.

    Raises
    ------
    UserError
        If there is no GPU, or `card` is unknown.
    """
    names = [f"{kind}({number})" for kind, number in device_names(devices or _all_gpus())]
    shape, images = NETWORKS[network], batch_size or BATCH_SIZE
    known = card or card_of_machine()
    if known:
        find_card(known)
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.abspath(data) if data else make_faces(os.path.join(folder, "faces"), classes, shape.image_size)
        config = {
            "data": source,
            "run": os.path.join(folder, "run"),  # nothing is written there
            **shape.settings(),
            "devices": names[0],
            "batch_size": images,
        }
        rows: List[Dict[str, Any]] = []
        too_large = False
        for case in cases(names, images, largest):
            if (only not in case.name and case.name != DEFAULTS) or (case.ladder and too_large):
                continue
            row = _measured(case, config, {"steps": steps, "repetitions": repetitions}, timeout)
            row["model"] = _modelled(row, config, case, known) if known else None
            too_large = too_large or (case.ladder and "failed" in row)
            rows.append(row)
            say(_line(row))
    settings = {"devices": ",".join(names), "network": network, "batch_size": images, "data": data, "card": known}
    settings.update(steps=steps, repetitions=repetitions, timeout=timeout, only=only)
    return report(
        "arcface-mx bench gpu",
        settings,
        unit="images/s",
        rows=rows,
        cards=_cards(),
        model=asdict(CARDS[known]) if known else None,
    )


def _measured(case: GpuCase, config: Mapping[str, Any], counts: Mapping[str, int], timeout: int) -> Dict[str, Any]:
    """Run a case; return its row."""
    row: Dict[str, Any] = {"name": case.name, "config": dict(case.config), "variables": dict(case.variables)}
    settings = {"what": case.what, "config": {**config, **case.config}, **counts, **case.options}
    environment = {**os.environ, **case.variables}
    command = [*CHILD, json.dumps(settings)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"no result within {timeout} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        errors = [line for line in done.stderr.splitlines() if line.strip()]
        ended = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {**row, "failed": (errors or [ended])[-1].strip()[:300]}
    return {**row, **json.loads(lines[-1])}


def _modelled(row: Mapping[str, Any], config: Mapping[str, Any], case: GpuCase, card: str) -> Optional[float]:
    """Return the images per second that the cost model expects; None where it does not apply."""
    from arcface_mx.config import from_flat
    from arcface_mx.data.recordio.index import RecordIndex
    from arcface_mx.planning.cost import forward_operations
    from arcface_mx.planning.memory_estimate import parameter_bytes
    from arcface_mx.planning.workload import Workload

    if case.what != "steps" or case.config.get("dtype") == "float16":
        return None
    workload = Workload.of(from_flat({**config, **case.config}))
    symbol, shape = workload.backbone.symbol(), (1, *workload.backbone.input_shape)
    parameters = parameter_bytes(symbol, ["data"], data=shape)[1] / BYTES
    backbone = Backbone(forward_operations(symbol, data=shape), parameters, workload.backbone.embedding_size)
    head = Head(RecordIndex.open(config["data"]).num_classes, workload.parallel == "centres")
    devices = workload.device_count
    cost = step_cost(backbone, head, workload.batch_size // devices, devices)
    return workload.batch_size / sum(cost.seconds(CARDS[card].machine).values())


def make_faces(folder: str, classes: int, side: int) -> str:
    """Write a face set with one image of an identity, of smooth noise, and return its folder."""
    import cv2

    from arcface_mx.data.recordio.writer import RecordWriter

    random = np.random.default_rng(0)
    images = []
    for _ in range(SYNTHETIC_IMAGES):
        small = random.integers(0, 256, (side // 4, side // 4, 3)).astype(np.uint8)
        images.append(cv2.imencode(".jpg", cv2.resize(small, (side, side)))[1].tobytes())
    with RecordWriter(folder, side, side) as writer:
        for identity in range(classes):
            writer.add(identity, images[identity % len(images)])
    return folder


def card_of_machine() -> str:
    """Return the card of `CARDS` that the driver reports first, or an empty text."""
    words = " ".join(name for name, _ in _cards()[:1]).lower().replace(" ti", "ti").replace("-", " ").split()
    return next((card for card in CARDS if any(word.endswith(card) for word in words)), "")


def _cards() -> List[Any]:
    from arcface_mx.doctor.gpus import installed_cards

    return installed_cards()


def _all_gpus() -> str:
    import mxnet as mx

    count = mx.context.num_gpus()
    if not count:
        raise UserError("`devices`: MXNet sees no GPU here (arcface-mx doctor says why); name cpu to try the benchmark")
    return ",".join(f"gpu({number})" for number in range(count))


def gpu_table(results: Mapping[str, Any]) -> str:
    """Format the rows as a Markdown table. Columns without any value are left out."""
    baseline = _median(results["rows"][0])
    table = [["", "images/s", "lowest to highest", "×", "model", "planned MB", "used MB", "failed"]]
    for row in results["rows"]:
        rate = _median(row)
        rates = row.get("rates") or [0.0]
        table.append(
            [
                row["name"],
                f"{rate:.0f}" if rate else "",
                f"{min(rates):.0f} to {max(rates):.0f}" if rate else "",
                f"{rate / baseline:.2f}" if rate and baseline else "",
                f"{row['model']:.0f}" if row.get("model") else "",
                *(f"{row[key] / 1e6:.0f}" if row.get(key) else "" for key in ("planned_bytes", "used_bytes")),
                row.get("failed", ""),
            ]
        )
    columns = [column for column in range(len(table[0])) if any(row[column] for row in table[1:])]
    text = markdown_table([[row[column] for column in columns] for row in table])
    card = results["settings"]["card"]
    note = f"model: the cost model for {card}: {CARDS[card].source}" if card else "model: no card is known; give `card`"
    return f"{text}\n\n{note}"


def _median(row: Mapping[str, Any]) -> float:
    return statistics.median(row["rates"]) if row.get("rates") else 0.0


def _line(row: Mapping[str, Any]) -> str:
    return f"{row['name']}: " + (f"{_median(row):.0f} images/s" if "rates" in row else f"failed: {row['failed']}")
