"""`arcface-mx report`: one page that tells a run."""

from __future__ import annotations

import argparse

HELP = """write RUN/report.html: one page, no network, no script

Accuracy, training curves, θ histograms, ROC, DET, the hardest pairs as images, angle statistics,
thresholds, configuration. Pictures that `arcface-mx figures` left in the run folder are taken,
missing ones drawn.

  arcface-mx report runs/first"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--eval",
        metavar="SET.bin",
        action="append",
        default=[],
        help="verification sets to look at (default: the run's own); may be repeated",
    )
    parser.add_argument(
        "--most-photos",
        type=int,
        default=2000,
        metavar="N",
        help="training photos for the angle statistics (default: %(default)s)",
    )
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.page import write_report
    from arcface_mx.util.devices import parse_devices

    print(write_report(args.run, load_model(args.run, parse_devices(args.devices)), args.eval, args.most_photos))
    return 0
