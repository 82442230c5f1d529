"""`arcface-mx baselines`: measure methods without a network on verification sets."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_json_flag

HELP = """measure methods without a network on verification sets

The methods are the cosine of raw pixels, whitened PCA, and PCA + LDA (scikit-learn), fitted on the
training set DATA. `arcface-mx table` shows their results if a run folder holds them as
baselines.json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="folder with train.rec, on which PCA and LDA are fitted")
    parser.add_argument("sets", metavar="SET.bin", nargs="+", help="verification sets")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.bins.read import read_pairs
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.baselines import fit_baselines, training_images, verify_baselines
    from arcface_mx.verify.tables import result_table

    sets = [read_pairs(path) for path in args.sets]  # a bad set is refused before the fitting
    baselines = fit_baselines(*training_images(args.data))
    results = [result for pairs in sets for result in verify_baselines(baselines, pairs)]
    print(result_table(results))
    if args.json:
        write_json(args.json, [result.to_json() for result in results])
    return 0
