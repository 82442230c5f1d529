"""The command `arcface-mx table`: the ablation table from run folders."""

from __future__ import annotations

import argparse
import sys

from arcface_mx.metrics.verification import FAR_LEVELS, FLIP_TESTS

TABLES = ("ArcFace", "SphereFace", "journal")  # as in report/paper.py, whose import takes time

HELP = """print the ablation table of finished runs

A run is a row of the paper if it has every setting of the row's recipe, in one of the recipes'
budgets. Other runs stand below, named by what differs. Runs that differ in nothing but their seed
are averaged (mean ± standard deviation). The paper's values (CASIA-WebFace, ResNet50) are shown too,
and a column marks runs that do not have the paper's settings. With five rows or more, Spearman's rank
correlation tells whether they are in the paper's order. ▲ marks rows whose accuracy is above softmax's
beyond noise. Notes on standard error name mixed data sets,
budgets and versions, runs without a recipe, and missing seeds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument("--flip", choices=FLIP_TESTS, default="none", help="flip test (default: %(default)s)")
    parser.add_argument("--all-rows", action="store_true", help="also list the rows of the table that were not run")
    parser.add_argument(
        "--table",
        choices=TABLES,
        default=TABLES[0],
        help="whose rows come first, with its figures: the paper's table, SphereFace's (LFW and YTF), or the journal "
        "version's at s = 20 (default: %(default)s)",
    )
    parser.add_argument(
        "--tar", metavar="FAR", type=float, help="show TAR in %% at this FAR instead of accuracy, for example 0.01"
    )
    parser.add_argument(
        "--paper", metavar="CSV", help="the paper's values (default: recipes/paper.csv of the checkout)"
    )
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to FILE, with its origin")
    parser.add_argument("--csv", metavar="FILE", help="also write the table to FILE as CSV")
    parser.add_argument("--png", metavar="FILE", help="also draw the table into FILE")
    parser.add_argument("--json", metavar="FILE", help="also write the values of every run to FILE")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.report import paper, provenance, rank_correlation, table
    from arcface_mx.report.plots.ablation import draw_table
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.files import atomic_write, write_json

    is_accuracy = args.tar is None
    if not is_accuracy and args.tar not in FAR_LEVELS:
        raise UserError(f"`tar` must be one of {', '.join(f'{far:g}' for far in FAR_LEVELS)}, got {args.tar:g}")
    metric = table.accuracy if is_accuracy else table.tar_at(f"{args.tar:.0e}")
    printed = paper.read_rows(args.paper) if args.paper else None
    rows, notes = table.collect_with_notes(args.runs, metric, args.flip, printed, args.all_rows, args.table)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    title = f"Accuracy in %, flip test: {args.flip}; (paper): CASIA-WebFace, ResNet50"
    if not is_accuracy:
        title = f"TAR in % at FAR {args.tar:g}, flip test: {args.flip}"
    correlations = rank_correlation.rank_correlations(rows) if is_accuracy else []
    parts = [title, table.as_markdown(rows, is_accuracy), rank_correlation.describe(correlations)]
    parts.append(table.best_steps(args.runs))
    print("\n".join(filter(None, parts)))
    listed = "\n".join(f"- {note}" for note in notes)
    page = "\n\n".join(filter(None, [*parts, listed, provenance.describe(args.runs)])) + "\n"
    for path, text in ((args.markdown, page), (args.csv, table.as_csv(rows, is_accuracy))):
        if path:
            with atomic_write(path, "w") as stream:
                stream.write(text)
    if args.png:
        draw_table(rows, args.png, title)
    if args.json:
        values = [{"row": row.name, "runs": row.runs, "values": row.values, "leads": sorted(row.leads)} for row in rows]
        order = [item._asdict() for item in correlations]
        write_json(args.json, {"rows": values, "rank_correlation": order, "notes": notes})
    return 0
