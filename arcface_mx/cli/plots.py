"""The command `arcface-mx plots`: draw plots of finished runs."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_devices_flag

HELP = """draw plots of finished runs: curves, histograms, ROC, DET

The files are written into the folder of the first run, or into --out: target_logits.png (the
margins), decision_margins.png, training.png, angles_in_training.png (θ at the start, in the middle
and at the end of training), pair_angles.png, roc.png, det.png, and plane.png for runs with
--embedding-size 2. Several runs are drawn side by side.

  arcface-mx plots runs/first
  arcface-mx plots runs/softmax runs/arcface --eval lfw.bin --out plots"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument(
        "--eval",
        metavar="SET.bin",
        action="append",
        default=[],
        help="verification set; may be repeated (default: the first one of the first run)",
    )
    parser.add_argument("--data", metavar="FOLDER", help="training set of runs with 2-d embeddings, if it has moved")
    parser.add_argument("--out", metavar="FOLDER", help="folder for the plots (default: the folder of the first run)")
    add_devices_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.grouping import names_of
    from arcface_mx.report.plots.run import draw_plots
    from arcface_mx.train.folder import read_config
    from arcface_mx.util.devices import parse_devices

    contexts, names = parse_devices(args.devices), names_of(args.runs)
    sets = args.eval or read_config(args.runs[0]).data.eval[:1]
    embedders = [load_model(folder, contexts) for folder in args.runs]
    for path in draw_plots(list(zip(names, args.runs)), embedders, sets, args.out or args.runs[0], args.data):
        print(path)
    return 0
