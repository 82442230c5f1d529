"""`arcface-mx embed`: photos become embeddings in one file."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import add_face_flags, face_options, print_skipped
from arcface_mx.cli.shared.model_flags import add_images_flag, add_model_flags, open_model

HELP = """embeddings of photos, in one .npz

PHOTOS is a folder (sub-folders too), a list with one photo a line, or a photo. OUT.npz holds paths (n,),
vectors (n, d) float32, not normalised, and skipped with reasons: photos without a usable face (exit
code 1). An interrupted call goes on where it was.

  arcface-mx embed runs/first photos/ photos.npz --align"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser, int8=True)
    parser.add_argument("photos", metavar="PHOTOS", help="folder, list or photo")
    parser.add_argument("out", metavar="OUT.npz", help="file to make; it appears when it is whole")
    add_images_flag(parser)
    add_face_flags(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.image_files import image_paths
    from arcface_mx.faces.embed import embed_to_file
    from arcface_mx.model.load import int8_path
    from arcface_mx.util.files import fingerprint
    from arcface_mx.verify.calibration_file import model_fingerprint

    paths = image_paths(args.photos, args.images)
    embedder = open_model(args)
    # Another form of a model is another model: its embeddings are not to be mixed with the model's.
    model = fingerprint(int8_path(args.model)) if args.engine == "int8" else model_fingerprint(args.model)
    found = embed_to_file(embedder, model, paths, args.out, face_options(args))
    print("%s: %d embeddings of length %d" % ((args.out,) + found.vectors.shape))
    print_skipped(found.skipped.tolist(), found.reasons.tolist())
    return 1 if len(found.skipped) else 0
