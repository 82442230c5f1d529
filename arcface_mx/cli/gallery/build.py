"""`arcface-mx gallery build`: the people that search knows."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import add_face_flags, face_options, print_skipped
from arcface_mx.cli.shared.model_flags import add_images_flag, add_model_flags, open_model

HELP = """embed known people into a gallery

PEOPLE is a folder with a sub-folder a person, or a list with "photo person" a line. Every photo is an
entry. Photos without a usable face are named (exit code 1).

  arcface-mx gallery build runs/first people/ people.npz --align"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("people", metavar="PEOPLE", help="folder of identities, or list: photo identity")
    parser.add_argument("out", metavar="GALLERY.npz", help="file to make")
    add_images_flag(parser)
    add_face_flags(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.faces.embed import embed_faces
    from arcface_mx.faces.gallery import make_gallery, write_gallery
    from arcface_mx.verify.calibration_file import model_fingerprint
    from arcface_mx.verify.images import read_identities

    paths, names = read_identities(args.people, args.images)
    found = embed_faces(open_model(args), model_fingerprint(args.model), paths, face_options(args), "gallery")
    gallery = make_gallery(found, dict(zip(paths, names)))
    write_gallery(args.out, gallery)
    print(f"{args.out}: {len(gallery.names)} photos of {len(set(gallery.names))} people")
    print_skipped(found.skipped.tolist(), found.reasons.tolist())
    return 1 if len(found.skipped) else 0
