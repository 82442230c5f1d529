"""The command `arcface-mx bench`: how fast this machine trains and embeds."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Dict, Tuple

from arcface_mx.cli.plan import CARD_NAMES
from arcface_mx.flags import thread_count

HELP = """measure how fast this machine trains and embeds, and what holds it back

Takes about a minute and needs no data: without --data it makes images of noise. It prints the speed of
training, the speed of embedding, and which part of a step takes most of the time: network, head (margin,
softmax and their gradients), update of the weights, waiting for images, or other work such as decoding.

  arcface-mx bench
  arcface-mx bench --data faces --network iresnet50 --out speed.json

`bench gpu` compares settings of GPUs, such as forms of PReLU, types, batch sizes and numbers of devices. It
takes half an hour or more, and gives every case a time limit. A case that fails is a row with the reason.
Please send its file to the project.

  arcface-mx bench gpu --out gpu.json"""

GPU = "gpu"
NETWORK_NAMES = ("recipe", "iresnet50", "mobilefacenet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=(GPU,), help="compare settings of GPUs instead")
    parser.add_argument("--data", default="", metavar="DATA", help="folder with train.rec (default: noise)")
    parser.add_argument(
        "--network",
        choices=NETWORK_NAMES,
        help="the recipes' small network, or a full one (default: recipe; gpu: iresnet50)",
    )
    parser.add_argument(
        "--batch-size", type=int, metavar="B", help="images a step (default: by network; gpu: 64 a device)"
    )
    parser.add_argument("--classes", type=int, metavar="N", help="identities of the noise (default: 1000; gpu: 10572)")
    parser.add_argument("--devices", default="", metavar="LIST", help="device list (default: cpu; gpu: all GPUs)")
    parser.add_argument(
        "--threads",
        type=thread_count,
        default=0,
        metavar="N",
        help="threads that compute on CPUs (default: auto, as train chooses)",
    )
    parser.add_argument("--out", "--json", dest="out", metavar="FILE", help="also write the results to FILE, as JSON")
    group = parser.add_argument_group("bench gpu")
    group.add_argument("--repetitions", type=int, default=3, metavar="N", help="repetitions (default: %(default)s)")
    group.add_argument("--card", choices=CARD_NAMES, help="kind of card, for the cost model (default: the driver's)")
    group.add_argument("--steps", type=int, default=30, metavar="N", help="steps a repetition (default: %(default)s)")
    group.add_argument(
        "--largest-batch-size",
        type=int,
        default=1024,
        metavar="B",
        help="largest number of images a device that is tried (default: %(default)s)",
    )
    group.add_argument("--timeout", type=int, default=300, metavar="S", help="seconds a case (default: %(default)s)")
    group.add_argument("--only", default="", metavar="TEXT", help="only cases with this in their name")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import refuse_unwritable, write_json

    if args.out:
        refuse_unwritable(args.out, "out")
    text, results = _gpu(args) if args.what == GPU else _machine(args)
    print(text)
    if args.out:
        write_json(args.out, results)
    return 0


def _machine(args: argparse.Namespace) -> Tuple[str, Dict[str, Any]]:
    from arcface_mx.bench.machine import answers, measure_machine

    results = measure_machine(
        args.network or "recipe",
        args.data,
        args.devices or "cpu",
        args.batch_size,
        1000 if args.classes is None else args.classes,
        args.threads,
        say=lambda what: print(f"measuring: {what}", file=sys.stderr, flush=True),
    )
    return answers(results), results


def _gpu(args: argparse.Namespace) -> Tuple[str, Dict[str, Any]]:
    from arcface_mx.bench.gpu import gpu_table, measure_gpus
    from arcface_mx.bench.results import origin
    from arcface_mx.util.errors import UserError

    counts = {
        "steps": args.steps,
        "timeout": args.timeout,
        "repetitions": args.repetitions,
        "classes": 10572 if args.classes is None else args.classes,
    }
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
