"""`arcface-mx data rendered-sheets`: contact sheets of rendered people."""

from __future__ import annotations

import argparse

HELP = """render contact sheets: ten people in rows, ten photos of each

FOLDER gets rendered_training.jpg, rendered_mixed.jpg, rendered_frontal_profile.jpg (five of each)
and rendered_ages.jpg (five young, five 30 years older, ages rising)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where the sheets go")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the people (0)")
    parser.add_argument("--supersampling", type=float, default=1.5, metavar="X", help="pixels drawn for one kept (1.5)")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.rendered.sheet import write_sheets

    for path in write_sheets(args.folder, args.seed, args.supersampling):
        print(path)
