"""`arcface-mx verify`: measure a model on verification sets."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import (
    add_json_flag,
    add_model_flags,
    add_no_flip_test_flag,
    add_step_flag,
    open_model,
)
from arcface_mx.metrics.verification import FOLDS, PROTOCOLS, check_folds

HELP = """measure a model on verification sets (.bin)

MODEL is a run folder, PREFIX,EPOCH (PREFIX-symbol.json and PREFIX-0000.params) of any MXNet model, or
an ONNX file. The command prints accuracy over folds (the threshold of a fold is chosen on the other
folds), TAR at FAR, EER and AUC: without flip test (none), as in the paper, and with it (sum), which
adds the embeddings of image and mirror image. Unless the model states its input, other conventions
are tried on up to 200 pairs, and a better one is named (--input).

--intervals adds 95 % intervals, and --curves draws ROC and DET with them. They take into account that
pairs share identities: images that same pairs link are one identity, unless --identities names them.
--at prints FMR and FNMR of each set at the threshold of a calibration that was measured elsewhere, and
with --groups of each group of pairs.

  arcface-mx verify runs/first lfw.bin cfp_fp.bin
  arcface-mx verify runs/first lfw.bin --step best
  arcface-mx verify model-r100-ii/model,0 lfw.bin --json lfw.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser, int8=True)
    add_step_flag(parser)
    parser.add_argument("sets", metavar="SET.bin", nargs="+", help="verification sets")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="number of consecutive folds of pairs (default: %(default)s)"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="exact",
        help="insightface: also print the accuracy with thresholds from the released evaluation's grid of squared "
        "distances, which published figures have (default: %(default)s)",
    )
    add_no_flip_test_flag(parser)
    parser.add_argument(
        "--baselines",
        metavar="DATA",
        help="also measure raw pixels, PCA and PCA + LDA, fitted on at most 20,000 images of the face set DATA",
    )
    parser.add_argument(
        "--scores", metavar="FILE.csv", help="write the score of each pair: set, flip, pair, score, same"
    )
    parser.add_argument("--intervals", action="store_true", help="also print 95 %% intervals")
    parser.add_argument("--curves", metavar="FILE.png", help="draw ROC and DET with bands of 95 %% intervals")
    parser.add_argument("--identities", metavar="FILE", help='of one set: "identity identity" on a line for each pair')
    parser.add_argument("--at", metavar="CALIBRATION", help="print FMR and FNMR at the threshold of this calibration")
    parser.add_argument("--far", type=float, default=1e-3, help="FAR of the threshold of --at (default: %(default)s)")
    parser.add_argument("--groups", metavar="FILE", help="with --at, of one set: a group on a line for each pair")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli.shared.verify_extras import Extras
    from arcface_mx.data.bins.read import read_pairs
    from arcface_mx.util.files import refuse_unwritable, write_json
    from arcface_mx.verify.baselines import fit_baselines, training_images, verify_baselines
    from arcface_mx.verify.sets import verify_by_protocols
    from arcface_mx.verify.tables import result_table

    # Bad input is refused before minutes of embedding.
    if args.json:
        refuse_unwritable(args.json, "json")
    sets = [read_pairs(path) for path in args.sets]
    for pairs in sets:
        check_folds(len(pairs), args.folds, pairs.path)
    extras = Extras(args, sets)
    data = training_images(args.baselines) if args.baselines else None
    embedder = open_model(args)
    protocols = PROTOCOLS if args.protocol == "insightface" else PROTOCOLS[:1]
    results = []
    for pairs in sets:
        results += verify_by_protocols(embedder, pairs, args.folds, args.batch_size, args.flip_test, protocols)
    if data:
        baselines = fit_baselines(*data)
        results += [result for pairs in sets for result in verify_baselines(baselines, pairs, args.folds)]
    print(result_table(results))
    more = extras.report([result for result in results if result.method == embedder.name])
    if args.json:
        plain = [result.to_json() for result in results]
        for entry in plain:
            if entry["method"] == embedder.name:
                entry["engine"] = embedder.engine
        write_json(args.json, {"results": plain, **more} if more else plain)
    return 0
