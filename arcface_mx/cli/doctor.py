"""`arcface-mx doctor`: check this machine."""

from __future__ import annotations

import argparse

HELP = """check whether this machine is ready, and say what is missing

The checks are: versions of the packages, number of threads, the margin head against a float64
reference, a timed product on each GPU, and the optional packages. The product runs in a process of
its own, because old CUDA builds hang on newer cards.

The exit code is 1 if something is wrong. A missing optional package is not wrong; the report has the
command that installs it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="also write the findings to this JSON file")


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from arcface_mx.doctor.checks import examine
    from arcface_mx.util.files import write_json

    findings = examine()
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "-"}[finding.ok]
        print(f"{mark:6} {finding.subject:14} {finding.text}{': ' + finding.remedy if finding.remedy else ''}")
    if args.json:
        write_json(args.json, [asdict(finding) for finding in findings])
    return 1 if any(finding.ok is False for finding in findings) else 0
