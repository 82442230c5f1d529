"""`arcface-mx figures`: pictures of finished runs."""

from __future__ import annotations

import argparse

HELP = """draw finished runs: curves, histograms, ROC, DET

Into the first run's folder, or --out: target_logits.png (the margins), decision_margins.png,
training.png, angles_in_training.png (θ at start, middle and end), pair_angles.png, roc.png, det.png,
and plane.png for runs with --embedding-size 2. Several runs are drawn side by side.

  arcface-mx figures runs/first
  arcface-mx figures runs/softmax runs/arcface --eval lfw.bin --out figures/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument(
        "--eval",
        metavar="SET.bin",
        action="append",
        default=[],
        help="verification sets (default: the first run's first one); may be repeated",
    )
    parser.add_argument("--data", metavar="FOLDER", help="the training set of 2-d runs, where it has moved")
    parser.add_argument("--out", metavar="FOLDER", help="where the pictures go (default: the first run's folder)")
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.paper import names_of
    from arcface_mx.report.plots.run import draw_figures
    from arcface_mx.train.folder import read_config
    from arcface_mx.util.devices import parse_devices

    contexts, names = parse_devices(args.devices), names_of(args.runs)
    sets = args.eval or list(read_config(args.runs[0]).data.eval[:1])
    for path in draw_figures(
        args.runs, names, sets, args.out or args.runs[0], lambda name: load_model(name, contexts), args.data
    ):
        print(path)
    return 0
