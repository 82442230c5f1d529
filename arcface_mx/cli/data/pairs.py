"""`arcface-mx data pairs`: make a verification set from a published protocol."""

from __future__ import annotations

import argparse

HELP = """make a verification set (.bin) from a published list of pairs and aligned images

  arcface-mx data pairs lfw pairs.txt crops/ lfw.bin
  arcface-mx data pairs cfp-fp cfp-dataset/Protocol crops/ cfp_fp.bin     (cfp-ff in the same way)
  arcface-mx data pairs list agedb_30_pair.txt crops/ agedb_30.bin        (lines: path path 1-or-0)
  arcface-mx data pairs two-lines pairs_CALFW.txt crops/ calfw.bin        (CPLFW in the same way)
  arcface-mx data pairs ytf splits.txt crops/ ytf_pairs.txt               (for arcface-mx templates)

IMAGES is the folder that `arcface-mx data align` made from the images of the data set (for CFP from
Data/Images). The order of the folds is kept. If an image is missing, no set is written, because a
set without it would be another protocol."""

KINDS = ("lfw", "cfp-fp", "cfp-ff", "list", "two-lines", "ytf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=f"format of the protocol: {', '.join(KINDS)}")
    parser.add_argument("protocol", metavar="PROTOCOL", help="file of the protocol; for CFP its folder Protocol")
    parser.add_argument("images", metavar="IMAGES", help="folder of the aligned images")
    parser.add_argument("out", metavar="OUT", help=".bin file to write; for ytf a list of pairs")
    parser.add_argument("--missing", metavar="FILE", help="write the names of missing images to this file")
    parser.add_argument("--json", metavar="FILE", help="also write the counts to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.protocols.verification_set import make_verification_set
    from arcface_mx.util.files import write_json

    summary = make_verification_set(args.kind, args.protocol, args.images, args.out, args.missing)
    if args.json:
        write_json(args.json, summary)
    print(
        f"{args.out}: {summary['pairs']} pairs ({summary['same']} same, {summary['different']} different) "
        f"of {summary['images']} {'videos' if args.kind == 'ytf' else 'images'}"
    )
