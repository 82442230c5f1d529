"""`arcface-mx compare`: differences between models on verification sets, with intervals over identities."""

from __future__ import annotations

import argparse
from typing import Dict

from arcface_mx.cli.shared.model_flags import add_devices_flag, add_json_flag, add_no_flip_test_flag
from arcface_mx.metrics.verification import FOLDS
from arcface_mx.util.errors import UserError

HELP = """compare models on the same pairs, with intervals over identities

Pairs that share an identity are not independent, so identities are drawn again, with all their pairs, and
all models have the same draws. A difference counts if its interval does not contain 0.

With --eval, the accuracies of two or more runs are compared with that of the first. Images are not flipped.

  arcface-mx compare runs/softmax runs/arcface --eval lfw.bin

With a set as the last argument, two models are compared in accuracy (at the threshold that is best for the
whole set), EER and TAR at FAR, and by McNemar's test of the decisions over folds. A model is also a score
file (.csv) that verify --scores wrote. The draws are scaled so that the noise of a pair counts once; with
--eval it is not, and intervals are wider. A set has no names: images that same pairs link are one identity,
unless --identities names them.

  arcface-mx compare runs/softmax runs/arcface lfw.bin
  arcface-mx compare softmax.csv arcface.csv lfw.bin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders, two or more; or A B SET.bin")
    parser.add_argument("--eval", metavar="SET.bin", action="append", default=[], help="set; may be repeated")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="of A B SET.bin: number of folds (default: %(default)s)"
    )
    parser.add_argument(
        "--identities", metavar="FILE", help='of A B SET.bin: "identity identity" on a line for each pair'
    )
    add_no_flip_test_flag(parser)
    add_devices_flag(parser)
    parser.add_argument("--markdown", metavar="FILE", help="with --eval, also write the table to FILE")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    if args.eval:
        _compare_runs(args)
    elif len(args.runs) == 3 and args.runs[2].endswith(".bin"):
        _compare_two(args, *args.runs)
    else:
        raise UserError("give runs and --eval SET.bin, or two models and a set: A B SET.bin")
    return 0


def _compare_runs(args: argparse.Namespace) -> None:
    from arcface_mx.model import load_model
    from arcface_mx.report.comparison import as_markdown, compare_runs
    from arcface_mx.report.grouping import names_of
    from arcface_mx.report.scores import embed_and_score
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.files import atomic_write, write_json

    if len(args.runs) < 2:
        raise UserError("`runs` needs two folders or more")
    contexts, names = parse_devices(args.devices), names_of(args.runs)
    embedders = [load_model(folder, contexts) for folder in args.runs]
    comparisons = []
    for path in args.eval:
        scored = [embed_and_score(embedder, path, name) for embedder, name in zip(embedders, names)]
        comparisons += compare_runs(names, scored)
    table = as_markdown(comparisons)
    print(table)
    if args.markdown:
        with atomic_write(args.markdown, "w") as stream:
            stream.write(table + "\n")
    if args.json:
        write_json(args.json, [item._asdict() for item in comparisons])


def _compare_two(args: argparse.Namespace, first: str, second: str, path: str) -> None:
    from arcface_mx.data.bins.read import read_pairs
    from arcface_mx.metrics.verification import check_folds
    from arcface_mx.model import load_model
    from arcface_mx.util.devices import parse_devices
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.scores import Key, Scored, pair_identities, read_scores
    from arcface_mx.verify.sets import set_name, verify_set
    from arcface_mx.verify.uncertainty import compare_scores, compared_table

    pairs = read_pairs(path)
    check_folds(len(pairs), args.folds, pairs.path)
    identities = pair_identities(pairs, args.identities)
    files = {source: read_scores(source) for source in (first, second) if source.endswith(".csv")}

    def scores(source: str) -> Dict[Key, Scored]:
        if source in files:
            return files[source]
        result = verify_set(load_model(source, parse_devices(args.devices)), pairs, args.folds, None, args.flip_test)
        return {(result.set, flip): Scored(values, pairs.same) for flip, values in result.scores.items()}

    found = compare_scores(scores(first), scores(second), set_name(path), identities, args.folds)
    print(f"A: {first}\nB: {second}")
    print(compared_table(found))
    if args.json:
        write_json(args.json, {"a": first, "b": second, "sets": [item.to_json() for item in found]})
