"""`arcface-mx data rendered`: make a face set without photographs."""

from __future__ import annotations

import argparse

HELP = """render a training set and, of other identities, three verification sets

OUT gets train.rec, train.idx, property, rendered_lfw.bin (mixed pose, light, expression and age),
rendered_cfp_fp.bin (frontal against profile), rendered_agedb_30.bin (30 years between the images)
and rendered.json. An image depends only on the seed and on the numbers of its identity and itself,
so more identities extend a smaller set, and --workers changes nothing. After an interruption, the
same command continues."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is complete")

    def number(flag: str, default: int, metavar: str, text: str) -> None:
        parser.add_argument(flag, type=int, default=default, metavar=metavar, help=f"{text} (default: {default})")

    number("--identities", 1000, "N", "training identities")
    number("--images", 20, "K", "images of each training identity")
    number("--seed", 0, "S", "another seed gives other identities")
    number("--test-identities", 300, "N", "identities of the verification sets; 0: no verification sets")
    number("--test-images", 5, "K", "images of each test identity and kind: mixed, frontal, profile, young, old")
    number("--pairs", 3000, "N", "pairs of each verification set, a multiple of 20")
    parser.add_argument("--workers", type=int, metavar="W", help="number of processes (default: one per core)")
    parser.add_argument(
        "--supersampling",
        type=float,
        default=1.5,
        metavar="X",
        help="pixels drawn for each pixel along a side (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the summary to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.rendered.dataset import render_dataset
    from arcface_mx.data.rendered.options import RenderOptions
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.files import write_json

    options = RenderOptions(
        identities=args.identities,
        images=args.images,
        seed=args.seed,
        test_identities=args.test_identities,
        test_images=args.test_images,
        pairs=args.pairs,
        supersampling=args.supersampling,
    )
    workers = available_cores() if args.workers is None else args.workers
    summary = render_dataset(args.out, options, workers)
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: {summary['images']} rendered images, {options.identities} training identities")
