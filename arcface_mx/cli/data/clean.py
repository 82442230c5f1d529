"""`arcface-mx data clean`: find label errors with a model."""

from __future__ import annotations

import argparse

from arcface_mx.cli.model_flags import add_model_flags, open_model

HELP = """find label errors in a face set with a model: writes a list, deletes nothing

Listed are photos far from their identity's centre, identities whose centres nearly coincide, and
with --against identities that are in a test set. LIST is a table to read and edit: each line has
an action (leave out, keep, merge into LABEL). Then

  arcface-mx data clean MODEL SET LIST --apply OUT

writes a copy of the set with the actions done; a LIST that is there is used as it stands, and the
model is not run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("set", metavar="SET", help="folder of the face set")
    parser.add_argument("list", metavar="LIST", help="table to write (.csv); with --apply, to read where it is there")
    parser.add_argument(
        "--against", metavar="BIN", nargs="+", default=[], help="test sets whose people should not be in SET"
    )
    parser.add_argument(
        "--far", type=float, default=75.0, metavar="A", help="a photo farther from its identity's centre, degrees (75)"
    )
    parser.add_argument(
        "--near", type=float, default=40.0, metavar="A", help="identities with centres nearer than this, degrees (40)"
    )
    parser.add_argument(
        "--overlap",
        type=float,
        default=50.0,
        metavar="A",
        help="identities nearer than this to a test photo, degrees (50)",
    )
    parser.add_argument("--apply", metavar="OUT", help="folder to make, with the list's actions done")
    parser.add_argument("--json", metavar="FILE", help="write the counts there")


def run(args: argparse.Namespace) -> int:
    import collections
    import os

    from arcface_mx.data.check.clean_list import apply_list, read_list, write_list
    from arcface_mx.data.recordio.index import RecordIndex
    from arcface_mx.faces.clean import CleanOptions, find_faults
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    index = RecordIndex.open(args.set)
    if os.path.exists(args.list):
        if not args.apply:
            raise UserError(f"{args.list}: already there; give another file, or --apply OUT to use it")
        entries = read_list(args.list, index)
    else:
        options = CleanOptions(far=args.far, near=args.near, overlap=args.overlap)
        options.check()
        embedder = open_model(args)
        entries = find_faults(
            index, lambda images: embedder.embed(images, args.batch_size, mirror=True), args.against, options
        )
        write_list(args.list, index, entries)
    counts = collections.Counter(f"{entry.what}: {entry.action.split(' into')[0]}" for entry in entries)
    print(f"{args.list}: {len(entries)} lines")
    for what, count in sorted(counts.items()):
        print(f"  {what}: {count}")
    if args.json:
        write_json(args.json, {"lines": len(entries), "counts": dict(counts)})
    if args.apply:
        summary = apply_list(index, entries, args.apply)
        print(
            f"{args.apply}: {summary['images']} images of {summary['identities']} identities, "
            f"{len(summary['left_out'])} left out"
        )
    return 0
