"""`arcface-mx doctor`."""

from __future__ import annotations

import argparse

HELP = """say whether this machine is ready, and what is missing

Versions, threads, the margin head against a float64 reference, a timed product on each GPU in a
process of its own (old CUDA builds hang on newer cards), optional packages. Exit code 1 where
something is wrong; what is only absent is listed with the command that gets it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the findings as JSON")


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from arcface_mx.doctor import examine
    from arcface_mx.util.files import write_json

    findings = examine()
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "-"}[finding.ok]
        print(f"{mark:6} {finding.subject:14} {finding.text}{': ' + finding.remedy if finding.remedy else ''}")
    if args.json:
        write_json(args.json, [asdict(finding) for finding in findings])
    return 1 if any(finding.ok is False for finding in findings) else 0
