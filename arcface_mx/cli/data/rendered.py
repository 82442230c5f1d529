"""`arcface-mx data rendered`: make a face set without photographs."""

from __future__ import annotations

import argparse

HELP = """render a face set: training people and, on other people, three verification sets

OUT gets train.rec, train.idx, property, rendered_lfw.bin (mixed pose, light, expression, age),
rendered_cfp_fp.bin (frontal against profile), rendered_agedb_30.bin (30 years between photos) and
rendered.json. The bytes depend on the seed and the numbers of person and photo alone: more
identities extend a smaller set, and workers change nothing. Interrupted, the same command goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is whole")

    def number(flag: str, default: int, metavar: str, text: str) -> None:
        parser.add_argument(flag, type=int, default=default, metavar=metavar, help=f"{text} ({default})")

    number("--identities", 1000, "N", "training people")
    number("--images", 20, "K", "photos of each")
    number("--seed", 0, "S", "another seed, other people")
    number("--test-identities", 300, "N", "people of the verification sets, never trained on; 0: no such sets")
    number("--test-images", 5, "K", "photos of each and of each kind: mixed, frontal, profile, young, old")
    number("--pairs", 3000, "N", "pairs of each verification set, a multiple of 20")
    parser.add_argument("--workers", type=int, metavar="W", help="processes (one a core); no influence on the bytes")
    parser.add_argument(
        "--supersampling", type=float, default=1.5, metavar="X", help="pixels drawn for one kept, along each side (1.5)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the summary there too")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.rendered.dataset import render_dataset
    from arcface_mx.data.rendered.sets import RenderOptions
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
    print(f"{args.out}: {summary['photos']} rendered photos, {options.identities} identities to train on")
