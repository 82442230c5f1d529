"""`arcface-mx table`: the ablation table from run folders."""

from __future__ import annotations

import argparse

from arcface_mx.metrics.verification import FLIP_TESTS

HELP = """the ablation table from finished runs

Rows are recognised by the runs' flags, seeds are averaged (mean ± standard deviation), and the
paper's figures (CASIA-WebFace, ResNet50) stand beside: other data, another network. Where five rows
and more can be compared, Spearman's rank correlation tells whether they stand in the paper's order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument("--flip", choices=FLIP_TESTS, default="none", help="flip test (default: %(default)s)")
    parser.add_argument("--all-rows", action="store_true", help="list the paper's rows that have not run, too")
    parser.add_argument(
        "--tar", metavar="FAR", type=float, help="TAR in %% at this FAR in the place of accuracy, for example 0.01"
    )
    parser.add_argument(
        "--paper", metavar="CSV", help="the paper's figures (default: recipes/paper.csv of the checkout)"
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too")
    parser.add_argument("--csv", metavar="FILE", help="write the table there as CSV")
    parser.add_argument("--png", metavar="FILE", help="draw the table there")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run there")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.report import paper, picture, provenance, table
    from arcface_mx.report import rank_correlation as agreement
    from arcface_mx.util.files import atomic_write, write_json

    is_accuracy = args.tar is None
    figure = table.accuracy if is_accuracy else table.tar_at(f"{args.tar:.0e}")
    printed = paper.read_rows(args.paper or paper.default_path())
    rows = table.collect(args.runs, printed, figure, args.flip, args.all_rows)
    what = "Accuracy in %" if is_accuracy else f"TAR in % at FAR {args.tar:g}"
    beside = "; (paper): CASIA-WebFace, ResNet50" if is_accuracy else ""
    title = f"{what}, flip test: {args.flip}{beside}"
    found = agreement.agreements(rows) if is_accuracy else []
    print("\n".join(filter(None, [title, table.as_markdown(rows, is_accuracy), agreement.describe(found)])))
    page = [title, table.as_markdown(rows, is_accuracy), agreement.describe(found), provenance.describe(args.runs)]
    for path, text in (
        (args.markdown, "\n\n".join(filter(None, page)) + "\n"),
        (args.csv, table.as_csv(rows, is_accuracy)),
    ):
        if path:
            with atomic_write(path, "w") as stream:
                stream.write(text)
    if args.png:
        picture.draw_table(rows, args.png, title)
    if args.json:
        figures = [{"row": row.name, "runs": row.runs, "values": row.values} for row in rows]
        write_json(args.json, {"rows": figures, "agreement": [one._asdict() for one in found]})
    return 0
