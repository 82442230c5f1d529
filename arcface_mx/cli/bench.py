"""`arcface-mx bench`: speed, measured against a named baseline in the same run."""

from __future__ import annotations

import argparse

HELP = """measure speed against a baseline in the same run

input: images a second of the training stream, against a Python loop on the same file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("input",), help="what to measure")
    parser.add_argument("--data", required=True, metavar="DATA", help="folder with train.rec")
    parser.add_argument("--images", type=int, default=6400, metavar="N", help="images a repetition (6400)")
    parser.add_argument("--batch-size", type=int, default=128, metavar="B", help="images a batch (128)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="repetitions, after one warm-up (5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from arcface_mx.bench import input as bench_input
    from arcface_mx.files import write_json

    timings = bench_input.measure(args.data, args.images, args.batch_size, args.repetitions)
    for timing in timings:
        print("%-40s %8.0f images/s (%.0f to %.0f)  ×%.2f" % (timing.name, timing.median, min(timing.rates), max(timing.rates), timing.ratio))
    if args.json:
        write_json(args.json, [dataclasses.asdict(timing) for timing in timings])
    return 0
