"""`arcface-mx data unpack`: write the images of a face set as files."""

from __future__ import annotations

import argparse

HELP = """write the images of a face set or of a .bin file as files, without changing their bytes

A face set gives one sub-folder per identity, named as in the names.txt beside the set, or after the
label if there is no names.txt. `arcface-mx data pack` can pack this folder again. A .bin file gives
each distinct image once, and pairs.txt."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SET", help="folder of a face set, .rec file or .bin file")
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is complete")
    parser.add_argument("--json", metavar="FILE", help="also write the counts to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.pack.unpack import unpack_images
    from arcface_mx.util.files import write_json

    summary = unpack_images(args.source, args.out)
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: {', '.join(f'{count} {name}' for name, count in summary.items())}")
