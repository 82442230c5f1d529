"""`arcface-mx bench`: speed, measured against a named baseline in the same run."""

from __future__ import annotations

import argparse

HELP = """measure speed against a baseline in the same run

input     images a second of the training stream; baseline: a Python loop on the same file
head      the margin head, forward and backward, and with the update of W; baseline: its three matrix products
backbone  a network's forward pass; baseline: MXNet's default settings
step      a whole training step, and its share of waiting for input; baseline: MXNet's default settings
embed     embedding with the mirror image, by forms of the graph and engines; baseline: the first row
batch     the same by photos a batch; baseline: the mirror images in a pass of their own
settings  a training step under MXNet's own settings; baseline: none of them
verify    6,000 pairs; baseline: InsightFace's 400 thresholds in ten folds
render    rendered photos a second
start     start-up of commands; baseline: an empty Python
profile   a training step, operator by operator (MXNet's profiler)
centres   step time and peak memory of the classifier alone, split by class over CPU contexts
growth    a step's time and memory over classes, batch and devices, with the cost model's line (--png FILE)

Contestants run in processes of their own, in turn, after one warm-up each; ratios are medians over
the rounds. "CPU" columns count processor time, which a busy machine distorts little. PyTorch and
DALI are compared where an interpreter that has them is named."""

CHOICES = (
    "input",
    "head",
    "backbone",
    "step",
    "embed",
    "batch",
    "settings",
    "verify",
    "render",
    "start",
    "profile",
    "centres",
    "growth",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=CHOICES, help="what to measure")
    parser.add_argument("--data", default="", metavar="DATA", help="input: folder with train.rec")
    parser.add_argument(
        "--images", type=int, default=0, metavar="N", help="input, render: images a repetition (0: an epoch; 20)"
    )
    parser.add_argument("--batch-size", type=int, default=128, metavar="B", help="input, head: images a batch (128)")
    parser.add_argument("--classes", type=int, default=10572, metavar="N", help="head: classes (10572)")
    parser.add_argument(
        "--embedding-size", type=int, default=512, metavar="D", help="head: length of the embedding (512)"
    )
    parser.add_argument(
        "--network",
        choices=("recipe", "iresnet50", "mobilefacenet"),
        default="recipe",
        help="backbone, step, embed, batch, settings, profile: the default recipes' network, or a full one at 112 pixels (recipe)",
    )
    parser.add_argument(
        "--torch", default="", metavar="PYTHON", help="backbone, step, embed: a Python that has PyTorch"
    )
    parser.add_argument("--dali", default="", metavar="PYTHON", help="input: a Python that has NVIDIA DALI")
    parser.add_argument(
        "--class-counts", default="10572,85742", metavar="N,N", help="centres: numbers of classes (10572,85742)"
    )
    parser.add_argument("--contexts", default="1,2,4", metavar="D,D", help="centres: numbers of CPU contexts (1,2,4)")
    parser.add_argument(
        "--sample-rate", type=float, default=1.0, metavar="SHARE", help="centres: share of centres in a step (1)"
    )
    parser.add_argument(
        "--steps", type=int, default=5, metavar="N", help="centres: steps a repetition, after one warm-up (5)"
    )
    parser.add_argument("--png", default="", metavar="FILE", help="growth: draw the curves there")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="rounds, after one warm-up (5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from arcface_mx.util.files import write_json

    if args.what == "centres":
        from arcface_mx.bench import centres

        classes, contexts = _numbers(args.class_counts, "--class-counts"), _numbers(args.contexts, "--contexts")
        measured = centres.measure(
            classes, contexts, args.batch_size, args.embedding_size, args.steps, args.repetitions, args.sample_rate
        )
        print(centres.table(measured))
        if args.json:
            write_json(args.json, [dataclasses.asdict(one) for one in measured])
        return 0
    from arcface_mx.bench import suite

    options = suite.Options(**{field.name: getattr(args, field.name) for field in dataclasses.fields(suite.Options)})
    lines, report = suite.measure(args.what, options)
    print("\n".join(lines))
    if args.json:
        write_json(args.json, report)
    return 0


def _numbers(text: str, flag: str) -> list[int]:
    from arcface_mx.util.errors import UserError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UserError(f"{flag} {text}: give whole numbers above 0 with commas between")
    return numbers
