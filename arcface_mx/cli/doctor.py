"""`arcface-mx doctor`: check this machine."""

from __future__ import annotations

import argparse

HELP = """check whether this machine is ready, and say what is missing

The checks are: versions of the packages, libraries of the system, number of threads, the margin head
against a float64 reference, a timed product on each GPU, and the optional packages. The product runs
in a process of its own, because old CUDA builds hang on newer cards.

--gpu examines the GPUs instead, which takes some minutes for each: CUDA's libraries, driver, cards,
the margin head and a training step of every loss against the CPU (with TF32, and without it by
NVIDIA_TF32_OVERRIDE=0), dropout and its seed, stop and resume, half precision, and the memory. Each
check runs in a process of its own. No GPU has run these checks yet.

The exit code is 1 if something is wrong. A missing optional package is not wrong; the report has the
command that installs it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpu",
        metavar="DEVICES",
        nargs="?",
        const="",
        help="examine these GPUs, for example gpu(0) (without a value: all of this machine)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the findings to this JSON file")


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from arcface_mx.util.files import write_json

    if args.gpu is None:
        from arcface_mx.doctor.checks import examine

        findings, width = iter(examine()), 14
    else:
        from arcface_mx.doctor.gpu_report import examine_gpus

        findings, width = examine_gpus(args.gpu), 32
    shown = []
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "-"}[finding.ok]
        remedy = f": {finding.remedy}" if finding.remedy else ""
        print(f"{mark:6} {finding.subject:{width}} {finding.text}{remedy}", flush=True)
        shown.append(finding)
    if args.json:
        write_json(args.json, [asdict(finding) for finding in shown])
    return 1 if any(finding.ok is False for finding in shown) else 0
