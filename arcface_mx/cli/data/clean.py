"""`arcface-mx data clean`: find label errors with a model."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_json_flag, add_model_flags, open_model

HELP = """list the label errors of a face set that a model finds

Listed are images far from the centre of the other images of their identity, identities whose centres nearly coincide,
and with --against identities that occur in a verification set. Nothing is deleted. LIST is a table
to read and edit; each line has an action (leave out, keep, merge into LABEL). Then

  arcface-mx data clean MODEL SET LIST --apply OUT

writes a copy of the set with the actions done. If LIST exists it is used as it is, and the model is
not run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("set", metavar="SET", help="folder of the face set")
    parser.add_argument("list", metavar="LIST", help="table to write (.csv), or with --apply to read if it exists")
    parser.add_argument(
        "--against",
        metavar="BIN",
        nargs="+",
        default=[],
        help="verification sets whose identities should not be in SET",
    )
    limits = (
        ("--far", 75.0, "list images farther than this from the centre of the others of their identity"),
        ("--near", 40.0, "list identities whose centres are nearer than this"),
        ("--overlap", 50.0, "list identities nearer than this to an image of --against"),
    )
    for flag, default, text in limits:
        parser.add_argument(
            flag, type=float, default=default, metavar="A", help=text + ", in degrees (default: %(default)g)"
        )
    parser.add_argument("--apply", metavar="OUT", help="folder to write, with the actions of LIST done")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    import collections
    import os

    from arcface_mx.data.check.clean_list import apply_list, read_list, write_list
    from arcface_mx.data.recordio.index import RecordIndex
    from arcface_mx.faces.clean import CleanOptions, find_label_errors
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    index = RecordIndex.open(args.set)
    if os.path.exists(args.list):
        if not args.apply:
            raise UserError(f"{args.list}: already exists; give another file, or use it with --apply OUT")
        entries = read_list(args.list, index)
    else:
        options = CleanOptions(far=args.far, near=args.near, overlap=args.overlap)
        options.check()
        embedder = open_model(args)
        entries = find_label_errors(
            index, lambda images: embedder.embed(images, args.batch_size, flip=True), args.against, options
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
