"""The command `arcface-mx bench`: speed on this machine, compared with a baseline."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Dict, Tuple

from arcface_mx.cli.plan import CARD_NAMES
from arcface_mx.cli.shared.model_flags import add_json_flag

HELP = """measure the speed of this machine, compared with a baseline

input     reading training images; baseline: a Python loop with MXNet's functions
head      the margin head, forward, backward and with the update of W; baseline: its three matrix products
step      a whole training step, and its share of waiting for input; baseline: without a reader
embed     embedding, by each engine; baseline: the graph as it was trained, in MXNet
verify    metrics of 6,000 pairs; baseline: InsightFace's 400 thresholds in ten folds
gpu       training on GPUs: forms of PReLU, cuDNN's choice of algorithms, types, batch sizes and
          numbers of devices; baseline: the default settings

Each case runs in a process of its own, in turn with the others, after one repetition to warm up.
Ratios (×) are medians over the repetitions. "CPU" columns count processor time, which other work on
the machine distorts little.

  arcface-mx bench input --data faces
`gpu` takes half an hour or more, needs no data, and gives every case a time limit. A case that fails is
a row with the reason. Please send the JSON file to the project: no GPU of its own has run this yet.

  arcface-mx bench step --data faces --network iresnet50
  arcface-mx bench gpu --json gpu.json"""

CHOICES = ("input", "head", "step", "embed", "verify")
GPU = "gpu"
NETWORK_NAMES = ("recipe", "iresnet50", "mobilefacenet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=(*CHOICES, GPU), help="what to measure")
    parser.add_argument(
        "--data", default="", metavar="DATA", help="input, step, gpu: folder with train.rec (default for gpu: noise)"
    )
    parser.add_argument("--images", type=int, default=0, metavar="N", help="input: images per repetition (0: an epoch)")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="B",
        help="images per batch (default: 128; step and embed: by network; gpu: 64 a device)",
    )
    parser.add_argument(
        "--classes", type=int, default=10572, metavar="N", help="head, gpu: classes (default: %(default)s)"
    )
    parser.add_argument(
        "--embedding-size", type=int, default=512, metavar="D", help="head: embedding size (default: %(default)s)"
    )
    parser.add_argument(
        "--network",
        choices=NETWORK_NAMES,
        help="step, embed, gpu: the recipes' small network, or a full one (default: recipe; gpu: iresnet50)",
    )
    parser.add_argument("--repetitions", type=int, metavar="N", help="repetitions (default: 5; gpu: 3)")
    group = parser.add_argument_group("gpu")
    group.add_argument("--devices", default="", metavar="LIST", help="gpu: device list (default: all GPUs)")
    group.add_argument(
        "--card", choices=CARD_NAMES, help="gpu: kind of card, for the cost model (default: the driver's)"
    )
    group.add_argument(
        "--steps", type=int, default=30, metavar="N", help="gpu: steps a repetition (default: %(default)s)"
    )
    group.add_argument(
        "--largest-batch-size",
        type=int,
        default=1024,
        metavar="B",
        help="gpu: largest number of images a device that is tried (default: %(default)s)",
    )
    group.add_argument(
        "--timeout", type=int, default=300, metavar="S", help="gpu: seconds a case (default: %(default)s)"
    )
    group.add_argument("--only", default="", metavar="TEXT", help="gpu: only cases with this in their name")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import write_json

    text, results = _gpu(args) if args.what == GPU else _other(args)
    print(text)
    if args.json:
        write_json(args.json, results)
    return 0


def _other(args: argparse.Namespace) -> Tuple[str, Dict[str, Any]]:
    from arcface_mx.bench.benchmarks import measure

    repetitions = 5 if args.repetitions is None else args.repetitions
    return measure(args.what, {**vars(args), "network": args.network or "recipe"}, repetitions)


def _gpu(args: argparse.Namespace) -> Tuple[str, Dict[str, Any]]:
    from arcface_mx.bench.gpu import gpu_table, measure_gpus
    from arcface_mx.bench.results import origin
    from arcface_mx.util.errors import UserError

    repetitions = 3 if args.repetitions is None else args.repetitions
    counts = {"steps": args.steps, "timeout": args.timeout, "repetitions": repetitions, "classes": args.classes}
    for name, value in {**counts, "batch_size": args.batch_size}.items():
        if value is not None and value < 1:
            raise UserError(f"`{name}` must be at least 1, got {value}")
    results = measure_gpus(
        args.devices,
        args.network or "iresnet50",
        batch_size=args.batch_size,
        largest=args.largest_batch_size,
        data=args.data,
        card=args.card or "",
        only=args.only,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        **counts,
    )
    return f"{gpu_table(results)}\n\n{origin(results)}", results
