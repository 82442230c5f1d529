"""`arcface-mx data rendered-shortcuts`: what a rendered set gives away without a face model."""

from __future__ import annotations

import argparse

HELP = """measure what a rendered set gives away: raw pixels, PCA, LDA, background, mean colour

Accuracy over ten folds on each rendered_*.bin of FOLDER; models are fitted on its training people.
Exit code 1 when raw pixels, PCA, background or mean colour are above their limits."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="made by `arcface-mx data rendered`")
    parser.add_argument("--also", nargs="+", default=[], metavar="BIN", help="other sets to measure beside")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.rendered.shortcuts import measure, problems, table
    from arcface_mx.util.files import write_json

    figures = measure(args.folder, args.also)
    print(table(figures))
    found = problems(figures)
    for line in found:
        print(line)
    if args.json:
        write_json(args.json, {"accuracy_percent": figures, "problems": found})
    return 1 if found else 0
