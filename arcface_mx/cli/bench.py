"""`arcface-mx bench`: speed, measured against a named baseline in the same run."""

from __future__ import annotations

import argparse

HELP = """measure speed against a baseline in the same run

input: images a second of the training stream, against a Python loop on the same file.
centres: step time and peak memory of the classifier alone, split by class over CPU contexts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("input", "centres"), help="what to measure")
    parser.add_argument("--data", metavar="DATA", help="input: folder with train.rec")
    parser.add_argument("--images", type=int, default=6400, metavar="N", help="images a repetition (6400)")
    parser.add_argument("--batch-size", type=int, default=128, metavar="B", help="images a batch (128)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="repetitions, after one warm-up (5)")
    parser.add_argument("--classes", default="10572,85742", metavar="N,N", help="centres: numbers of classes (10572,85742)")
    parser.add_argument("--contexts", default="1,2,4", metavar="D,D", help="centres: numbers of CPU contexts (1,2,4)")
    parser.add_argument("--embedding-size", type=int, default=512, metavar="D", help="centres: length of the embedding (512)")
    parser.add_argument("--sample-centres", type=float, default=1.0, metavar="SHARE", help="centres: share of centres in a step (1)")
    parser.add_argument("--steps", type=int, default=5, metavar="N", help="centres: steps a repetition, after one warm-up (5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from arcface_mx.errors import UserError
    from arcface_mx.files import write_json

    if args.what == "centres":
        from arcface_mx.bench import centres

        sizes = [_numbers(args.classes, "--classes"), _numbers(args.contexts, "--contexts")]
        measured = centres.measure(*sizes, args.batch_size, args.embedding_size, args.steps, args.repetitions, args.sample_centres)
        print(centres.table(measured))
        figures = [dataclasses.asdict(one) for one in measured]
    else:
        from arcface_mx.bench import input as bench_input

        if not args.data:
            raise UserError("bench input: give --data, a folder with train.rec")
        timings = bench_input.measure(args.data, args.images, args.batch_size, args.repetitions)
        for timing in timings:
            print("%-40s %8.0f images/s (%.0f to %.0f)  ×%.2f" % (timing.name, timing.median, min(timing.rates), max(timing.rates), timing.ratio))
        figures = [dataclasses.asdict(timing) for timing in timings]
    if args.json:
        write_json(args.json, figures)
    return 0


def _numbers(text: str, flag: str) -> "list[int]":
    from arcface_mx.errors import UserError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UserError("%s %s: give whole numbers above 0 with commas between" % (flag, text))
    return numbers
