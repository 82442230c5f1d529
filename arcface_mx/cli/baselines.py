"""`arcface-mx baselines`: what needs no network, on the same pairs."""

from __future__ import annotations

import argparse

HELP = """measure methods without a network on verification sets

Cosine of raw pixels, whitened PCA, PCA + LDA (scikit-learn), fitted on the training set DATA.
`arcface-mx table` shows them where they stand in a run folder as baselines.json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="folder with train.rec, to fit PCA and LDA on")
    parser.add_argument("sets", metavar="SET.bin", nargs="+", help="verification sets")
    parser.add_argument("--json", metavar="FILE", help="write the results there")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.baselines import fit_baselines, training_images, verify_baselines
    from arcface_mx.verify.sets import result_table

    baselines = fit_baselines(*training_images(args.data))
    results = [result for path in args.sets for result in verify_baselines(baselines, path)]
    print(result_table(results))
    if args.json:
        write_json(args.json, [result.to_json() for result in results])
    return 0
