"""`arcface-mx data pack`: photos of identities become a face set."""

from __future__ import annotations

import argparse

HELP = """pack photos into train.rec, train.idx and property

SOURCE is a folder with one sub-folder an identity, or a list file with lines "path<TAB>identity"
(.lst files of im2rec and InsightFace are read too). Photos of 112×112 keep their bytes. Others are
refused: align them first (arcface-mx data align), or give --fit. OUT appears when it is whole;
the same photos give the same bytes. OUT/names.txt says which label is whose."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder of identities, or list file")
    parser.add_argument("out", metavar="OUT", help="folder to make")
    parser.add_argument("--size", default="112,112", metavar="H,W", help="height and width in pixels (112,112)")
    parser.add_argument(
        "--fit",
        choices=("refuse", "pad", "stretch"),
        default="refuse",
        help="what to do with photos of another size (refuse)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help="encode all photos anew, as JPEG of this quality (keep bytes; 95 where a photo changes)",
    )
    parser.add_argument(
        "--min-images", type=int, default=1, metavar="K", help="leave out identities with fewer photos (1)"
    )
    parser.add_argument(
        "--held-out",
        type=float,
        default=0,
        metavar="N",
        help="identities kept from training, a number or a share below 1; their pairs go to OUT/held_out.bin (0)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="chooses the held-out identities and their pairs (0)"
    )
    parser.add_argument(
        "--leave-out-bad",
        action="store_true",
        help="leave out photos that cannot be used, and list them in OUT/pack.json",
    )
    parser.add_argument("--workers", type=int, metavar="W", help="threads (one a core); no influence on the bytes")
    parser.add_argument("--json", metavar="FILE", help="write the summary there too")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.pack.pack import PackOptions, pack
    from arcface_mx.util.environment import available_cores
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import write_json

    try:
        height, width = (int(word) for word in args.size.split(","))
    except ValueError:
        raise UserError(f"--size {args.size}: give height,width in pixels, such as 112,112") from None
    options = PackOptions(
        height=height,
        width=width,
        fit=args.fit,
        quality=args.quality,
        min_images=args.min_images,
        held_out=args.held_out,
        seed=args.seed,
        leave_out_bad=args.leave_out_bad,
    )
    summary = pack(args.source, args.out, options, max(1, args.workers or available_cores()))
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: {summary['images']} images of {summary['identities']} identities")
    for name, text in (
        ("held_out_identities", "identities held out; their pairs are in held_out.bin"),
        ("identities_left_out", "identities left out: fewer than --min-images photos"),
        ("photos_left_out", "photos left out, see pack.json"),
        ("files_skipped", "files skipped, no photos by their names"),
    ):
        count = summary[name] if isinstance(summary[name], int) else len(summary[name])
        if count:
            print(f"  {count} {text}")
