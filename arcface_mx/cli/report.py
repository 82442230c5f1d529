"""The command `arcface-mx report`: one HTML page about a run."""

from __future__ import annotations

import argparse
import os

from arcface_mx.cli.shared.model_flags import add_devices_flag, add_input_flag, add_step_flag

HELP = """write a page about a run, RUN/report.html, that needs no network

It shows accuracy, training curves, histograms of θ, ROC, DET, the hardest pairs as images, angle
statistics, thresholds and the configuration. The plots are also written beside the page. Of a model that
is not a run, it shows what --eval measures.

  arcface-mx report runs/first"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a finished run, PREFIX,EPOCH or FILE.onnx")
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
    add_step_flag(parser)
    add_devices_flag(parser)
    add_input_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.page.build import write_model_report, write_report
    from arcface_mx.train.snapshot import find_step, load_snapshot
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.errors import UserError

    devices = parse_devices(args.devices)
    if not os.path.isdir(args.run) and not args.step:
        embedder = load_model(args.run, devices, convention=args.input)
        print(write_model_report(args.run, embedder, args.eval, args.out))
        return 0
    if args.input:
        raise UserError("`input` is for models of others; a run states its own")
    step = find_step(args.run, args.step) if args.step else None
    embedder = load_model(args.run, devices) if step is None else load_snapshot(args.run, str(step), devices)
    print(write_report(args.run, embedder, args.eval, args.max_images, args.out, step))
    return 0
