"""`arcface-mx megaface`: identification and verification among a million distractors."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_flip_flag, add_json_flag, add_model_flags

HELP = """measure MegaFace: probes of FaceScrub among a million distractors

FACESCRUB and MEGAFACE are the lists facescrub_lst and megaface_lst, with the images of aligned crops in
--facescrub-images and --megaface-images. Each image of an identity is in turn the gallery entry of the
identity's other images, and competes with all distractors. The command prints rank-k, and TAR at FAR over
all pairs of a probe and a distractor. Distractors are compared as they are embedded and are not kept.

--facescrub-noises and --megaface-noises leave out the images of InsightFace's lists of noise, as in its
"refined" figures. InsightFace replaces noisy probes by the mean of their identity, because the official
program needs each file; here they are left out.

  arcface-mx megaface model,0 data/facescrub_lst data/megaface_lst \\
      --facescrub-images data/facescrub_images --megaface-images data/megaface_images --flip sum \\
      --facescrub-noises data/facescrub_noises.txt --megaface-noises data/megaface_noises.txt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("facescrub", metavar="FACESCRUB", help="list of the probes: identity/image")
    parser.add_argument("megaface", metavar="MEGAFACE", help="list of the distractors")
    parser.add_argument("--facescrub-images", required=True, metavar="FOLDER", help="images of the probes")
    parser.add_argument("--megaface-images", required=True, metavar="FOLDER", help="images of the distractors")
    parser.add_argument("--facescrub-noises", metavar="FILE", help="list of noisy probes")
    parser.add_argument("--megaface-noises", metavar="FILE", help="list of noisy distractors")
    add_flip_flag(parser)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli.shared.model_flags import open_model
    from arcface_mx.data.protocols.megaface import read_listed_images
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.protocols import search_distractors
    from arcface_mx.verify.tables import megaface_table

    probes = read_listed_images(args.facescrub, args.facescrub_images, args.facescrub_noises)
    others = read_listed_images(args.megaface, args.megaface_images, args.megaface_noises)
    result = search_distractors(open_model(args), probes, others.paths, args.batch_size, args.flip)
    print(f"left out as noise: {probes.noisy} probes, {others.noisy} distractors")
    print(megaface_table(result))
    if args.json:
        write_json(args.json, {**result.to_json(), "noisy_probes": probes.noisy, "noisy_distractors": others.noisy})
    return 0
