"""The command `arcface-mx report`: one HTML page about a run."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_devices_flag

HELP = """write a page about a run, RUN/report.html, that needs no network

It shows accuracy, training curves, histograms of θ, ROC, DET, the hardest pairs as images, angle
statistics, thresholds and the configuration. The plots are also written beside the page.

  arcface-mx report runs/first"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--eval",
        metavar="SET.bin",
        action="append",
        default=[],
        help="verification set to look at; may be repeated (default: those of the run)",
    )
    parser.add_argument(
        "--max-images",
        type=int,
        default=2000,
        metavar="N",
        help="use at most N training images for the angle statistics (default: %(default)s)",
    )
    parser.add_argument("--out", default="", metavar="FILE", help="page to write (default: RUN/report.html)")
    add_devices_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.page.build import write_report
    from arcface_mx.util.devices import parse_devices

    print(
        write_report(args.run, load_model(args.run, parse_devices(args.devices)), args.eval, args.max_images, args.out)
    )
    return 0
