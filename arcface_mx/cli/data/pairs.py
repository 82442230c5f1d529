"""`arcface-mx data pairs`: a published protocol becomes a verification set."""

from __future__ import annotations

import argparse

HELP = """make a .bin from a protocol's file and aligned photos

  arcface-mx data pairs lfw pairs.txt crops/ lfw.bin
  arcface-mx data pairs cfp-fp cfp-dataset/Protocol crops/ cfp_fp.bin     (also cfp-ff)
  arcface-mx data pairs list agedb_30_pair.txt crops/ agedb_30.bin        (lines: path path 1-or-0)
  arcface-mx data pairs two-lines pairs_CALFW.txt crops/ calfw.bin        (also CPLFW)
  arcface-mx data pairs ytf splits.txt crops/ ytf_pairs.txt               (for arcface-mx templates)

PHOTOS is what arcface-mx data align wrote from the data set's photos (CFP: from Data/Images). The
order of the folds is kept. A photo that is missing is named and the set refused: without it, it
would be another protocol."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind",
        metavar="KIND",
        choices=("lfw", "cfp-fp", "cfp-ff", "list", "two-lines", "ytf"),
        help="the protocol's form",
    )
    parser.add_argument("protocol", metavar="PROTOCOL", help="its file (CFP: its folder Protocol)")
    parser.add_argument("photos", metavar="PHOTOS", help="folder of aligned photos")
    parser.add_argument("out", metavar="OUT", help=".bin to write (ytf: list of pairs)")
    parser.add_argument("--missing", metavar="FILE", help="write the names of missing photos there")
    parser.add_argument("--json", metavar="FILE", help="write the counts there")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.protocols.pairs import make_pairs
    from arcface_mx.util.files import write_json

    summary = make_pairs(args.kind, args.protocol, args.photos, args.out, args.missing)
    if args.json:
        write_json(args.json, summary)
    print(
        f"{args.out}: {summary['pairs']} pairs ({summary['same']} same, {summary['different']} different) "
        f"of {summary['photos']} {('videos' if args.kind == 'ytf' else 'photos')}"
    )
