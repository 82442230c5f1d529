"""`arcface-mx embed`: embed images into one file."""

from __future__ import annotations

import argparse
import os

from arcface_mx.cli.shared.face_flags import (
    add_all_faces_flag,
    add_face_flags,
    face_options,
    print_notes,
    print_skipped,
)
from arcface_mx.cli.shared.model_flags import add_images_flag, add_model_flags, add_step_flag, open_model

HELP = """embed images into one .npz

IMAGES is a folder (with its sub-folders), a list with one image on a line, or an image. OUT.npz
holds paths (n,), faces (n,), the number of the face in its image, notes (n,), vectors (n, d) in
float32, which are not normalised, and skipped with reasons: the images without a usable face (exit
code 1). An image with several faces has a note; --all-faces embeds all of them. The same command
continues after an interruption.

  arcface-mx embed runs/first photos/ photos.npz --align"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser, int8=True)
    add_step_flag(parser)
    parser.add_argument("source", metavar="IMAGES", help="folder, list or image")
    parser.add_argument("out", metavar="OUT.npz", help="file to write; it appears when it is complete")
    add_images_flag(parser)
    add_face_flags(parser)
    add_all_faces_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.data.image_files import image_paths
    from arcface_mx.faces.embed import embed_to_file
    from arcface_mx.model.load import int8_path, model_fingerprint
    from arcface_mx.train.checkpoint import ARRAYS, checkpoint_path
    from arcface_mx.train.snapshot import find_step
    from arcface_mx.util.files import fingerprint, refuse_unwritable

    refuse_unwritable(args.out)
    paths = image_paths(args.source, args.images)
    embedder = open_model(args)
    # The int8 form and a checkpoint count as other models, because their embeddings must not be mixed
    # with the model's.
    if args.step:
        step = find_step(args.model, args.step)
        model = fingerprint(os.path.join(checkpoint_path(args.model, step), ARRAYS))
    elif args.engine == "int8":
        model = fingerprint(int8_path(args.model))
    else:
        model = model_fingerprint(args.model, args.input)
    embeddings = embed_to_file(embedder, model, paths, args.out, face_options(args))
    count, length = embeddings.vectors.shape
    print(f"{args.out}: {count} embeddings of length {length}")
    if args.engine == "auto":
        print(f"engine: {embeddings.engine}")
    print_notes(embeddings)
    print_skipped(embeddings.reason_of)
    return 1 if len(embeddings.skipped) else 0
