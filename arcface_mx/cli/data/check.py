"""`arcface-mx data check`: what is in a data folder and what is wrong with it."""

from __future__ import annotations

import argparse
from typing import Any

HELP = """find what is wrong with a face set before training on it

PATH is a folder (its train.rec, .idx and property, and every .bin in it), a .rec file or a .bin
file. Every image is decoded. Exit code 0: nothing wrong, 1: problems found, 2: nothing to check.
Nothing is changed in place: --fix writes a cleaned copy."""

SHOWN = 10  # record numbers of a problem on the terminal; --json has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", nargs="+", help="folder, .rec or .bin")
    parser.add_argument("--quick", action="store_true", help="decode 2,000 images of each file instead of all")
    parser.add_argument(
        "--fix", metavar="OUT", help="write a copy without the unusable records, identities numbered 0…n−1 (one PATH)"
    )
    parser.add_argument(
        "--mean-face", metavar="FILE", help="write the mean face with the reference points on it, a PNG (one PATH)"
    )
    parser.add_argument("--workers", type=int, metavar="W", help="threads (one a core)")
    parser.add_argument("--json", metavar="FILE", help="write tables and all record numbers there")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.check.check import check_path
    from arcface_mx.data.check.fix import write_cleaned
    from arcface_mx.data.check.mean_face import write_mean_face
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    if (args.fix or args.mean_face) and len(args.path) > 1:
        raise UserError(f"--fix and --mean-face work on one PATH; {len(args.path)} are given")
    if args.fix and args.quick:
        raise UserError("--fix needs all images decoded; leave out --quick")
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers}: give at least 1")
    reports = [
        report for path in args.path for report in check_path(path, args.quick, args.workers or available_cores())
    ]
    for report in reports:
        _print(report)
    if args.json:
        write_json(args.json, [report.to_json() for report in reports])
    means = [report.mean for report in reports if report.mean is not None]
    if args.mean_face and means:
        write_mean_face(means[0], args.mean_face)
    if args.fix:
        if reports[0].index is None:
            raise UserError(f"--fix {args.fix}: {reports[0].path} is no face set to copy")
        summary = write_cleaned(reports[0], args.fix)
        print(
            f"{args.fix}: {summary['images']} images of {summary['identities']} identities, "
            f"{len(summary['left_out'])} records left out (cleaned.json)"
        )
    return 1 if any(report.problems for report in reports) else 0


def _print(report: Any) -> None:
    print(report.path)
    width = max([len(name) for name, _ in report.table] + [0])
    for name, value in report.table:
        print("  %-*s  %s" % (width, name, value))
    for kind, entries in (("problem", report.problems), ("remark", report.remarks)):
        for entry in entries:
            print(f"  {kind}: {entry}")
            if len(entry.records) > 1:
                more = f" … ({len(entry.records)})" if len(entry.records) > SHOWN else ""
                print(f"    records {', '.join(map(str, entry.records[:SHOWN]))}{more}")
    if not report.problems:
        print("  no problem found")
