"""The command `arcface-mx angles`: the paper's angle statistics of finished runs."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_devices_flag

HELP = """measure angle statistics of finished runs, as in the paper's table

W-EC     mean angle between class centre W_j and the centre of its embeddings
W-Inter  mean of the smallest angles between class centres
Intra1   mean angle between embedding and embedding centre, on the training set
Inter1   mean of the smallest angles between embedding centres, on the training set
Intra2, Inter2   the same on the test sets

All of them are exact; memory grows with the number of classes, not with its square. If a run is one
of the five losses of the paper's table, the paper's values are shown too. They come from other data
and another network.

  arcface-mx angles runs/first --test faces/rendered_lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument(
        "--test",
        metavar="SET",
        action="append",
        default=[],
        help=".bin set (images linked by same pairs are one identity), or folder with train.rec; may be repeated",
    )
    parser.add_argument("--data", metavar="FOLDER", help="training set, if it has moved since the run")
    parser.add_argument(
        "--images", type=int, default=0, metavar="N", help="at most N images of each set, evenly spread (default: all)"
    )
    add_devices_flag(parser)
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to FILE")
    parser.add_argument("--json", metavar="FILE", help="also write the values to FILE")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.angle_table import angle_table
    from arcface_mx.report.angles import measure_run
    from arcface_mx.train.folder import read_config
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.files import atomic_write, write_json

    contexts = parse_devices(args.devices)
    for folder in args.runs:
        read_config(folder)  # a folder that is not a run is refused before minutes of embedding
    angles = [
        measure_run(folder, load_model(folder, contexts), args.test, args.data, args.images) for folder in args.runs
    ]
    table = angle_table(angles)
    print(table)
    if args.markdown:
        with atomic_write(args.markdown, "w") as stream:
            stream.write(table + "\n")
    if args.json:
        write_json(args.json, [run_angles.to_json() for run_angles in angles])
    return 0
