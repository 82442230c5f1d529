"""`arcface-mx ijb`: IJB-B and IJB-C as published."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.model_flags import add_json_flag, add_model_flags
from arcface_mx.metrics.templates import MODES
from arcface_mx.util.errors import UserError

HELP = """measure IJB-B or IJB-C, 1:1 and 1:N, from the released lists

META is the folder meta with the released lists, such as ijbc_face_tid_mid.txt,
ijbc_name_5pts_score.txt and ijbc_template_pair_label.txt. IMAGES is the folder loose_crop. Images are
aligned by the five points of the list; --aligned takes aligned crops instead.

All modes of InsightFace's ijb_evals.py are measured in one pass over the images. N1 divides each
embedding by its length, N0 weighs it by its length (InsightFace's older ijb_11.py uses N the other
way round). D1 multiplies it by the score of the face detector. F1 adds the embedding of the mirror
image. The frames of a medium are averaged, then the media of a template.

1:N needs the files ijbc_1N_gallery_G1.csv, ijbc_1N_gallery_G2.csv and ijbc_1N_probe_mixed.csv (IJB-B:
S1 and S2). Rank-k counts the probes of both galleries together, and TPIR at FPIR is the mean of both.

  arcface-mx ijb model,0 IJBC/meta IJBC/loose_crop --json ijbc.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument("meta", metavar="META", help="folder of the released lists")
    parser.add_argument("images", metavar="IMAGES", help="folder of the images")
    parser.add_argument("--aligned", action="store_true", help="IMAGES contains aligned crops")
    parser.add_argument(
        "--mode", action="append", choices=[mode.name for mode in MODES], help="measure this mode; may be repeated"
    )
    parser.add_argument(
        "--no-flip-test", dest="flip_test", action="store_false", help="leave out the modes F1, which halves the time"
    )
    parser.add_argument(
        "--max-residual",
        type=float,
        default=8.0,
        metavar="P",
        help="refuse landmarks whose median residual is above this, in pixels (default: %(default)s)",
    )
    parser.add_argument("--keep-repeated", action="store_true", help="accept pairs that are listed several times")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli.shared.model_flags import open_model
    from arcface_mx.data.protocols.ijb import read_ijb
    from arcface_mx.util.files import write_json
    from arcface_mx.verify.ijb import embed_ijb, find_images, verify_ijb
    from arcface_mx.verify.tables import ijb_table

    chosen = [mode for mode in MODES if not args.mode or mode.name in args.mode]
    modes = [mode for mode in chosen if args.flip_test or not mode.flip]
    if not modes:
        raise UserError("`mode` has only modes F1, which `no_flip_test` leaves out")
    lists = read_ijb(args.meta)
    paths = find_images(lists, args.images)
    flip = any(mode.flip for mode in modes)
    embed = embed_ijb(open_model(args), lists, paths, args.aligned, args.batch_size, flip, args.max_residual)
    results = verify_ijb(embed, lists, modes, args.keep_repeated)
    print(ijb_table(lists.name, results))
    if args.json:
        write_json(args.json, {"set": lists.name, "modes": [result.to_json() for result in results]})
    return 0
