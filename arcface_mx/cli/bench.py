"""The command `arcface-mx bench`: speed on this machine, compared with a baseline."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_json_flag

HELP = """measure the speed of this machine, compared with a baseline

input     reading training images; baseline: a Python loop with MXNet's functions
head      the margin head, forward, backward and with the update of W; baseline: its three matrix products
step      a whole training step, and its share of waiting for input; baseline: without a reader
embed     embedding, by each engine; baseline: the graph as it was trained, in MXNet
verify    metrics of 6,000 pairs; baseline: InsightFace's 400 thresholds in ten folds

Each case runs in a process of its own, in turn with the others, after one repetition to warm up.
Ratios (×) are medians over the repetitions. "CPU" columns count processor time, which other work on
the machine distorts little.

  arcface-mx bench input --data faces
  arcface-mx bench step --data faces --network iresnet50"""

CHOICES = ("input", "head", "step", "embed", "verify")
NETWORK_NAMES = ("recipe", "iresnet50", "mobilefacenet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=CHOICES, help="what to measure")
    parser.add_argument("--data", default="", metavar="DATA", help="input, step: folder with train.rec")
    parser.add_argument("--images", type=int, default=0, metavar="N", help="input: images per repetition (0: an epoch)")
    parser.add_argument(
        "--batch-size", type=int, metavar="B", help="images per batch (default: 128; step and embed: by network)"
    )
    parser.add_argument("--classes", type=int, default=10572, metavar="N", help="head: classes (default: %(default)s)")
    parser.add_argument(
        "--embedding-size", type=int, default=512, metavar="D", help="head: embedding size (default: %(default)s)"
    )
    parser.add_argument(
        "--network",
        choices=NETWORK_NAMES,
        default="recipe",
        help="step, embed: the recipes' small network, or a full one at 112 pixels (default: %(default)s)",
    )
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="repetitions (default: %(default)s)")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.bench.benchmarks import measure
    from arcface_mx.util.files import write_json

    text, results = measure(args.what, vars(args), args.repetitions)
    print(text)
    if args.json:
        write_json(args.json, results)
    return 0
