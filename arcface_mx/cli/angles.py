"""`arcface-mx angles`: the paper's angle statistics of finished runs."""

from __future__ import annotations

import argparse

HELP = """angle statistics of finished runs, as in the paper's table

W-EC     mean angle between class centre W_j and the centre of its embeddings
W-Inter  mean of the smallest angles between class centres
Intra1   mean angle between embedding and embedding centre, training set
Inter1   mean of the smallest angles between embedding centres, training set
Intra2, Inter2   the same on the test sets

All are exact, in memory that grows with the number of classes, not with its square. The paper's
figures stand beside where the run is one of its five losses: other data, another network.

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
    parser.add_argument(
        "--data", metavar="FOLDER", help="the training set, where it is no longer where the run found it"
    )
    parser.add_argument(
        "--images", type=int, default=0, metavar="N", help="at most N photos a set, evenly spread (default: all)"
    )
    parser.add_argument("--devices", default="cpu", help="cpu, gpu(0) or gpu(0),gpu(1) (default: %(default)s)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.angles import as_markdown, read_printed
    from arcface_mx.report.paper import default_path, find_row, read_rows
    from arcface_mx.train.folder import read_config
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.files import atomic_write, write_json
    from arcface_mx.verify.angles import measure_run

    contexts, printed, paper = parse_devices(args.devices), read_printed(), read_rows(default_path())
    rows = [find_row(read_config(name), paper) for name in args.runs]
    measured = [measure_run(name, load_model(name, contexts), args.test, args.data, args.images) for name in args.runs]
    table = as_markdown(measured, [row.name if row else None for row in rows], printed)
    print(table)
    if args.markdown:
        with atomic_write(args.markdown, "w") as stream:
            stream.write(table + "\n")
    if args.json:
        write_json(args.json, [one.to_json() for one in measured])
    return 0
