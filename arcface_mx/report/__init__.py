"""Tables, plots and pages from run folders.

`collect` and `as_markdown` make the ablation table, `rank_correlations` compares its order with the
paper's, `angle_table` shows angle statistics, `draw_plots` draws plots, `write_report` writes one
HTML page about a run. The values of the paper are in `recipes/paper.csv`, see `read_rows`.
"""

from arcface_mx.report.angles import angle_table, read_printed
from arcface_mx.report.page.build import write_report
from arcface_mx.report.paper import default_path, read_rows
from arcface_mx.report.plots.run import draw_plots
from arcface_mx.report.rank_correlation import rank_correlations
from arcface_mx.report.table import accuracy, as_markdown, collect, tar_at

__all__ = [
    "accuracy",
    "angle_table",
    "as_markdown",
    "collect",
    "default_path",
    "draw_plots",
    "rank_correlations",
    "read_printed",
    "read_rows",
    "tar_at",
    "write_report",
]
