"""`arcface-mx compare`: differences between runs on verification sets, with intervals over identities."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_devices_flag, add_json_flag

HELP = """compare the accuracy of runs on the same pairs, with intervals over identities

The first run is the one that others are compared with. Pairs that share an identity are not
independent, so identities are drawn again, with all their pairs, and all runs have the same draws. A
difference counts if its interval does not contain 0. Images are not flipped.

  arcface-mx compare runs/softmax runs/arcface --eval lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders, two or more")
    parser.add_argument("--eval", metavar="SET.bin", action="append", required=True, help="set; may be repeated")
    add_devices_flag(parser)
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to FILE")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.model import load_model
    from arcface_mx.report.comparison import as_markdown, compare_runs
    from arcface_mx.report.grouping import names_of
    from arcface_mx.report.scores import embed_and_score
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import atomic_write, write_json

    if len(args.runs) < 2:
        raise UserError("`runs` needs two folders or more")
    contexts, names = parse_devices(args.devices), names_of(args.runs)
    embedders = [load_model(folder, contexts) for folder in args.runs]
    comparisons = []
    for path in args.eval:
        scored = [embed_and_score(embedder, path, name) for embedder, name in zip(embedders, names)]
        comparisons += compare_runs(names, scored)
    table = as_markdown(comparisons)
    print(table)
    if args.markdown:
        with atomic_write(args.markdown, "w") as stream:
            stream.write(table + "\n")
    if args.json:
        write_json(args.json, [item._asdict() for item in comparisons])
    return 0
