"""`arcface-mx compare`: do two models differ by more than noise?"""

from __future__ import annotations

import argparse
from typing import Dict

from arcface_mx.cli.shared.model_flags import add_json_flag, add_model_flags, add_no_flip_test_flag
from arcface_mx.metrics.verification import FOLDS

HELP = """compare two models on the same verification set

A and B are models, or score files (.csv) that verify --scores wrote. The command prints accuracy, EER and
TAR at FAR of both, and a 95 % interval of each difference. The interval is a paired bootstrap over
identities: pairs that share an identity are not independent. A difference is beyond noise if its interval
does not contain 0. McNemar's test counts the pairs that only one model decides correctly.

A set has no names, so images that same pairs link count as one identity. --identities gives the names.

  arcface-mx compare runs/arcface runs/softmax lfw.bin
  arcface-mx compare arcface.csv softmax.csv lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("other", metavar="B", help="model or score file to compare with")
    parser.add_argument("set", metavar="SET.bin", help="verification set")
    parser.add_argument("--folds", type=int, default=FOLDS, help="number of folds of pairs (default: %(default)s)")
    parser.add_argument("--identities", metavar="FILE", help='list with "identity identity" on a line for each pair')
    add_no_flip_test_flag(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli.shared.model_flags import open_model
    from arcface_mx.data.bins.read import read_pairs
    from arcface_mx.metrics.verification import check_folds
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.scores import Key, Scored, pair_identities, read_scores
    from arcface_mx.verify.sets import set_name, verify_set
    from arcface_mx.verify.uncertainty import compare_scores, compared_table

    pairs = read_pairs(args.set)
    check_folds(len(pairs), args.folds, pairs.path)
    identities = pair_identities(pairs, args.identities)
    sources = (args.model, args.other)
    files = {source: read_scores(source) for source in sources if source.endswith(".csv")}

    def scores(source: str) -> Dict[Key, Scored]:
        if source in files:
            return files[source]
        embedder = open_model(argparse.Namespace(**{**vars(args), "model": source}))
        result = verify_set(embedder, pairs, args.folds, args.batch_size, args.flip_test)
        return {(result.set, flip): Scored(values, pairs.same) for flip, values in result.scores.items()}

    first, second = (scores(source) for source in sources)
    found = compare_scores(first, second, set_name(args.set), identities, args.folds)
    print(f"A: {args.model}\nB: {args.other}")
    print(compared_table(found))
    if args.json:
        write_json(args.json, {"a": args.model, "b": args.other, "sets": [item.to_json() for item in found]})
    return 0
