"""`arcface-mx data pack`: pack images into a face set."""

from __future__ import annotations

import argparse

from arcface_mx.cli.shared.face_flags import num_workers

HELP = """pack a folder of aligned images into train.rec, train.idx and property

SOURCE is a folder with one sub-folder per identity, or a text file with lines "path<TAB>identity".
The .lst files of im2rec and of InsightFace are read too. SOURCE may also be a tar, zip or parquet file,
or a folder of such files: images in folders of identities, WebDataset's image.jpg beside image.cls, or
parquet with a column of images and a column of labels (extra parquet). Archives are unpacked beside OUT
while the command runs, and give the same bytes as a folder with the same images in the same order.

Images of 112×112 pixels keep their bytes. Other images are refused: align them first (arcface-mx
data align), or set --fit. The same images give the same bytes each time.

Images that occur, byte for byte, under several identities are named, and those identities are not
held out, so that no image is both trained on and verified on.

OUT/names.txt says which identity each label stands for. OUT/pack.json says what was left out."""


MAX_SHOWN = 5  # copies that are named on the terminal; pack.json names all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder with one sub-folder per identity, list, or archive")
    parser.add_argument("out", metavar="OUT", help="folder to make; it appears when it is complete")
    parser.add_argument(
        "--size",
        default="112,112",
        metavar="H,W",
        help="height and width in pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--fit",
        choices=("refuse", "pad", "stretch"),
        default="refuse",
        help="what happens to images of another size (default: %(default)s)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help="encode all images again, as JPEG of this quality (default: images of the right size keep their bytes, "
        "others get quality 95)",
    )
    parser.add_argument(
        "--min-images",
        type=int,
        default=1,
        metavar="K",
        help="leave out identities with fewer images than this (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        default=0,
        metavar="N",
        help="hold out N identities, or this share of them if N is below 1; pairs of their images are written to "
        "OUT/held_out.bin, for verification (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="seed of the draw of the held-out identities and of their pairs (default: %(default)s)",
    )
    parser.add_argument(
        "--leave-out-bad",
        action="store_true",
        help="leave out images that cannot be used and list them in OUT/pack.json, instead of stopping",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help="number of processes, without influence on the bytes (default: one per core)",
    )
    parser.add_argument(
        "--label-column", metavar="NAME", help="column of parquet files that names the identity (default: label)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the summary to this file")


def run(args: argparse.Namespace) -> None:
    from arcface_mx.data.pack.encode import PackOptions
    from arcface_mx.data.pack.pack import pack_images
    from arcface_mx.util.errors import UserError, printable
    from arcface_mx.util.files import write_json

    try:
        height, width = (int(word) for word in args.size.split(","))
    except ValueError:
        raise UserError(f"--size {args.size}: give height and width in pixels, such as 112,112") from None
    options = PackOptions(
        height=height,
        width=width,
        fit=args.fit,
        quality=args.quality,
        min_images=args.min_images,
        held_out=args.held_out,
        seed=args.seed,
        leave_out_bad=args.leave_out_bad,
        label_column=args.label_column,
    )
    summary = pack_images(args.source, args.out, options, num_workers(args))
    shared = summary["images_of_several_identities"]
    if args.json:
        write_json(args.json, summary)
    print(f"{args.out}: {summary['images']} images of {summary['identities']} identities")
    for count, text in (
        (summary["held_out_identities"], "identities held out; held_out.bin contains their pairs"),
        (len(summary["identities_left_out"]), "identities left out: they have fewer images than --min-images"),
        (len(summary["images_left_out"]), "images left out; pack.json lists them"),
        (len(summary["files_skipped"]), "files skipped: their names are not those of images"),
        (len(shared), "images occur under several identities, which are therefore not held out"),
    ):
        if count:
            print(f"  {count} {text}")
    for paths in shared[:MAX_SHOWN]:
        print(printable(f"    {' = '.join(paths)}"))
