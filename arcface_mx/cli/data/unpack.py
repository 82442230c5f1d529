"""`arcface-mx data unpack`: a face set becomes folders of photos."""

from __future__ import annotations

import argparse

HELP = """write the images of a face set or a .bin as files, bytes unchanged

A face set gives one sub-folder an identity (named as in names.txt beside it, or by label), what
`data pack` reads; a .bin gives its distinct images and pairs.txt."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SET", help="folder, .rec or .bin")
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is whole")
    parser.add_argument("--json", metavar="FILE", help="write the counts there")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.pack.unpack import unpack_set
    from arcface_mx.util.files import write_json

    summary = unpack_set(args.source, args.out)
    if args.json:
        write_json(args.json, summary)
    print("{}: {}".format(args.out, ", ".join(f"{value} {name}" for name, value in summary.items())))
